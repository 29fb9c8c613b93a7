import numpy as np
import pytest

from lit_delays.audio import cochlea
from lit_delays.audio.bushy_cells import BushyCells
from lit_delays.audio.hair_cells import NUM_FIBRES, REST, Fibres, HairCells, _draw
from lit_delays.audio.inner_ear import sounds_to_spikes

NUM_CHANNELS = 15
PLACES = np.linspace(0, 3.5, NUM_CHANNELS)


def pitch(place):
    return np.sqrt((1e9 * np.exp(-3 * place) - 3500) / 0.05) / (2 * np.pi)


def move(samples, response):
    return np.concatenate(list(cochlea.membrane_velocity(samples, response)))


def one(sound, response, seed=0):
    return sounds_to_spikes([sound], response, [[seed]])[0]


@pytest.fixture(scope="module")
def response():
    return cochlea.transfer_function(NUM_CHANNELS)


@pytest.mark.parametrize("frequency", [5.0, 200.0, 1000.0, 3000.0, 12_000.0])
def test_the_phase_of_the_wave_is_the_integral_of_its_wave_number(frequency):
    omega, place = 2 * np.pi * frequency, 1.0
    nodes, weights = np.polynomial.legendre.leggauss(120)

    def wave_number(x):
        friction = 0.15 * np.sqrt(1e9 * 0.05) * np.exp(-1.5 * x)
        xi = 1e9 * np.exp(-3 * x) - 3500 - 0.05 * omega**2 - 1j * omega * friction
        return omega * np.sqrt(1 / (0.1 * xi))

    integral = (wave_number(place * (nodes + 1) / 2) * weights).sum() * place / 2
    expected = 2 * wave_number(0.0) / 3 + integral
    assert cochlea.phase(np.array([omega]), place)[0] == pytest.approx(expected, rel=1e-8)


def test_every_place_swings_by_itself_where_the_tool_that_made_shd_has_it():
    """From its constants, 10e8 of stiffness among them: 22.5 kHz at the base, 110 Hz at the apex."""
    pitches = [round(cochlea._resonance(place) / (2 * np.pi)) for place in (0.0, 2.0, 3.5)]
    assert pitches == [22_508, 1120, 110]


def test_pitches_above_12_khz_are_folded_down_as_every_second_step_does(response):
    """A tone of 16 kHz near the base: in closed form at the full rate, and every second step."""
    steps, omega = np.arange(2 * 3000), 2 * np.pi * 16_000
    place = PLACES[1]
    answer = cochlea.velocity(np.array([omega]), place)[0]
    whole = np.abs(answer) * np.sin(omega * steps / 48_000 + np.angle(answer))
    moved = move(np.sin(omega * steps / 48_000), response)[:, 1]
    np.testing.assert_allclose(moved[500:-500], whole[1000:-1000:2], atol=0.01 * np.abs(answer))


def test_a_place_moves_most_at_a_pitch_a_little_below_its_own(response):
    frequencies = np.arange(cochlea.SIZE + 1) * cochlea.RATE / cochlea.SIZE
    loudest = frequencies[np.abs(response).argmax(axis=1)]
    assert np.all(loudest[1:13] > 0.8 * pitch(PLACES[1:13]))
    assert np.all(loudest[1:13] < 1.0 * pitch(PLACES[1:13]))


def test_the_membrane_swings_before_the_sound_as_in_the_published_spikes(response):
    click = np.zeros(2 * 4000)
    click[2 * 3000] = 1
    moved = move(click, response)
    energy = np.cumsum(moved[:, 6] ** 2)
    assert energy[3000 - 1] > 0.99 * energy[-1]


def test_sound_later_by_a_segment_moves_the_membrane_later_and_not_otherwise(response):
    sound = np.random.default_rng(0).normal(size=2 * 3000)
    delay = cochlea.SEGMENT - 1500
    late = np.concatenate([np.zeros(2 * delay), sound])
    early, moved = move(sound, response), move(late, response)
    assert len(moved) == delay + 3000
    assert np.abs(moved[delay:] - early).max() < 0.01 * early.std(axis=0).max()


def test_hair_cells_follow_their_equations():
    velocity = np.random.default_rng(0).normal(scale=30, size=(200, 3)).astype(np.float32)
    cells = HairCells(3)
    k0 = 2000 * 5 / 305
    cleft = 5.05 * k0 / (2500 * k0 + 5.05 * 9080)
    free, back, dt = np.full(3, cleft * 9080 / k0), np.full(3, cleft * 6580 / 66.3), 1 / 24_000
    expected = []
    for v in velocity.astype(np.float64):
        k = np.where(v + 5 > 0, 2000 * (v + 5) / (v + 305), 0)
        change = (
            5.05 * (1 - free) + 66.3 * back - k * free,
            k * free - 9080 * cleft,
            6580 * cleft - 66.3 * back,
        )
        free, cleft, back = free + dt * change[0], cleft + dt * change[1], back + dt * change[2]
        expected.append(50_000 * dt * cleft)
    halves = [cells.firing_probability(part.copy()) for part in (velocity[:70], velocity[70:])]
    np.testing.assert_allclose(np.concatenate(halves), expected, rtol=1e-4)


def test_a_hair_cell_in_silence_stays_at_rest():
    probability = HairCells(1).firing_probability(np.zeros((100, 1), np.float32))
    np.testing.assert_allclose(
        probability * 24_000, 64.77, rtol=1e-3
    )  # 1 / s, Meddis's (1988) spontaneous rate


def test_fibres_fire_with_the_rate_of_a_process_that_rests():
    probability = 0.02
    fibres = Fibres(50, [np.random.default_rng(0)])
    fired = fibres.spikes(np.full((4000, 50), probability, np.float32), [4000])
    mean_interval = REST - 1 + 1 / probability
    assert fired[200:].mean() == pytest.approx(NUM_FIBRES / mean_interval, rel=0.01)


def test_every_fibre_rests_for_a_millisecond_over_the_ends_of_segments_too():
    fibres = Fibres(2, [np.random.default_rng(0)])
    sure = np.full((30, 2), 1 - 1e-6, np.float32)
    fired = np.concatenate([fibres.spikes(sure, [30]), fibres.spikes(sure, [30])])
    assert np.flatnonzero(fired[:, 0]).tolist() == [0, REST, 2 * REST]
    assert set(fired[fired > 0].tolist()) == {NUM_FIBRES}


def test_fibres_are_independent_of_each_other():
    words = _draw(np.full((20_000, 1), 0.3, np.float32), np.random.default_rng(0))
    number = np.bitwise_count(words)
    assert number.mean() == pytest.approx(40 * 0.3, rel=0.01)
    assert number.var() == pytest.approx(40 * 0.3 * 0.7, rel=0.05)  # a binomial's


def test_a_chance_of_zero_ends():
    class Never:
        def random(self, size, dtype):
            return np.zeros(size, dtype)

        def integers(self, end, size, dtype):
            return np.zeros(size, dtype)

    assert _draw(np.full((3, 1), 0.1, np.float32), Never()).tolist() == [[0]] * 3


def test_bushy_cells_follow_their_equations():
    fired = np.random.default_rng(0).poisson(1.5, size=(600, 2)).astype(np.uint8)
    current, v_mem, rested_at, expected = 0.0, 0.0, 0, []
    for step, number in enumerate(fired[:, 1]):
        current = current * np.exp(-1 / 12) + number
        v_mem *= np.exp(-1 / 24)
        if step >= rested_at:
            v_mem += current * 13_000 / 40 / 24_000
        if v_mem >= 1:
            v_mem, rested_at = 0.0, step + 1 + 24
            expected.append(step)
    cells = BushyCells(1, 2)
    halves = [cells.spikes(part) for part in (fired[:250], fired[250:])]
    steps, channels = (np.concatenate(parts) for parts in zip(*halves, strict=True))
    assert steps[channels == 1].tolist() == expected
    assert len(expected) > 5


def test_a_tone_is_heard_at_its_place_and_chance_is_the_seeds(response):
    tone = np.sin(2 * np.pi * 700 * np.arange(9600) / 48_000)
    times, units = one(tone, response)
    assert np.all(np.diff(times) >= 0)
    assert times.dtype == np.float16
    assert units.dtype == np.uint16
    assert np.bincount(units, minlength=NUM_CHANNELS).argmax() == 9  # at 2.25 cm, of 770 Hz
    again, other = one(tone, response), one(tone, response, seed=1)
    assert np.array_equal(again[0], times)
    assert not np.array_equal(other[0], times)


def test_loudness_does_not_matter(response):
    noise = np.random.default_rng(0).normal(size=4800)
    loud, soft = one(noise, response), one(noise / 64, response)
    assert np.array_equal(loud[1], soft[1])


def test_a_recording_does_not_hear_those_beside_it(response):
    """Other lengths and chances beside it, in front or behind: bit for bit the same spikes."""
    random = np.random.default_rng(1)
    sounds = [random.normal(size=size) for size in (9000, 3001, 23_000, 300, 9000)]
    seeds = [[seed] for seed in range(len(sounds))]
    alone = [
        sounds_to_spikes([sound], response, [seed])[0] for sound, seed in zip(sounds, seeds, strict=True)
    ]
    assert all(len(times) for times, _ in alone[:3])
    for order in ([0, 1, 2, 3, 4], [3, 2], [4, 1, 0]):
        beside = sounds_to_spikes([sounds[i] for i in order], response, [seeds[i] for i in order])
        for index, spikes in zip(order, beside, strict=True):
            assert all(np.array_equal(*pair) for pair in zip(spikes, alone[index], strict=True))
