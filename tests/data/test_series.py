"""Sequences of any kind: files, generated ones, their splits, and what is wrong with them."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lit_delays.cli.main import main
from lit_delays.data.binning import Binning
from lit_delays.data.datasets import (
    QTDB,
    AutonomousLocalisation,
    LagDetection,
    MackeyGlass,
    Memorisation,
    SequentialMNIST,
    SeriesFiles,
    YinYang,
)
from lit_delays.data.datasets.mackey_glass import mackey_glass
from lit_delays.data.datasets.series_files import crossings
from lit_delays.data.datasets.yin_yang import class_of, make_points
from lit_delays.data.module import SpikeData
from lit_delays.deploy.loading import load
from lit_delays.deploy.stream import Stream
from lit_delays.errors import InputError

SHARED = Path(__file__).parents[2].parent / "shared"  # beside the project, where it is
TS = """@problemName walks
@timeStamps false
@missing false
@dimensions 2
@classLabel true slow fast
@data
1,2,3:4,5,6:slow
7,8:9,10:fast
"""


def save(path: Path, **arrays: Any) -> str:
    np.savez(path, **arrays)
    return str(path)


def sensor(folder: Path, **more: Any) -> dict[str, str]:
    """A training and a test file of two classes that differ in the sign of a channel."""
    random, files = np.random.default_rng(0), {}
    for name, size, first in (("train", 40, 0), ("test", 20, 100)):
        y = np.arange(size) % 2
        x = random.normal(3.0, 2.0, (size, 12, 3)) + 4 * y[:, None, None]
        group = first + np.arange(size) // 4
        files[f"{name}_file"] = save(folder / f"{name}.npz", x=x, y=y, group=group, **more)
    return files


class TestFiles:
    def test_ts_files_are_read(self, tmp_path: Path) -> None:
        (tmp_path / "a.ts").write_text(TS)
        samples = SeriesFiles(train_file=f"{tmp_path}/a.ts", test_file=f"{tmp_path}/a.ts").open("train")
        assert samples.class_names == ("slow", "fast")
        assert samples.labels.tolist() == [0, 1]
        assert samples.lengths.tolist() == [3, 2]
        values = samples.values[samples.values != 0]
        assert abs(values.mean()) < 1e-6

    def test_values_are_standardised_by_the_training_file(self, tmp_path: Path) -> None:
        data = SeriesFiles(**sensor(tmp_path))
        train = data.open("train").values
        np.testing.assert_allclose(train.mean(axis=(0, 1)), 0, atol=1e-5)
        np.testing.assert_allclose(train.std(axis=(0, 1)), 1, atol=1e-5)
        assert abs(data.open("test").values.mean()) > 1e-4

    def test_crossings_add_up_to_the_series(self, tmp_path: Path) -> None:
        data = SeriesFiles(**sensor(tmp_path), inputs="crossings", threshold=0.25)
        spikes, values = data.open("train").values, SeriesFiles(**sensor(tmp_path)).open("train").values
        assert data.num_inputs == 6
        level = 0.25 * np.cumsum(spikes[..., :3] - spikes[..., 3:], axis=1)
        assert np.abs(level - values).max() < 0.25
        assert np.array_equal(spikes, spikes.round())

    def test_ragged_samples_lie_one_after_another(self, tmp_path: Path) -> None:
        x = np.arange(14.0).reshape(7, 2)
        path = save(tmp_path / "r.npz", x=x, y=np.array(["b", "a", "b"]), lengths=np.array([2, 4, 1]))
        samples = SeriesFiles(train_file=path, test_file=path).open("train")
        assert samples.values.shape == (3, 4, 2)
        assert samples.class_names == ("a", "b")
        assert samples.labels.tolist() == [1, 0, 1]
        batch = samples.batch(np.array([2, 0]), Binning("uniform", 10.0, 2))
        assert batch.values.shape == (2, 2, 2)
        assert batch.lengths.tolist() == [1, 2]

    def test_what_is_asked_follows_from_y(self, tmp_path: Path) -> None:
        x = np.random.default_rng(0).normal(size=(4, 5, 1))
        asked = {
            "ClassPerSequence": np.array([0, 1, 1, 0]),
            "ClassPerStep": np.zeros((4, 5), np.int64),
            "ValuePerSequence": np.zeros(4),
            "ValuePerStep": np.zeros((4, 5, 2)),
        }
        for task, y in asked.items():
            path = save(tmp_path / "a.npz", x=x, y=y)
            assert SeriesFiles(train_file=path, test_file=path).task == task

    def test_validation_holds_out_whole_groups(self, tmp_path: Path) -> None:
        data = SpikeData(partial(SeriesFiles, **sensor(tmp_path)))
        data.setup()
        train, held_out = data._held_out
        speakers = data._open("train").speakers
        assert not set(speakers[train]) & set(speakers[held_out])

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (
                {"y": np.zeros((40, 11), np.int64)},
                "`y` must have a label for each of the 12 steps of `x`, got 11",
            ),
            ({"y": np.zeros(39, np.int64)}, "`y` must have one entry a sample (40), got 39"),
            ({"x": np.full((40, 12, 3), "a")}, "`x` must be numbers, got <U1"),
            (
                {"x": np.zeros((40, 0, 3))},
                "`x` must be of samples, time steps and channels, got shape (40, 0, 3)",
            ),
            ({"lengths": np.full(40, 13)}, "`lengths` must be 1 to 12, the steps of the longest sample"),
            ({"y": np.full(40, np.nan)}, "`y` must be all numbers, got none in sample 0."),
        ],
    )
    def test_what_is_wrong_with_a_file_is_said(
        self, change: dict[str, Any], message: str, tmp_path: Path
    ) -> None:
        files = sensor(tmp_path)
        with np.load(files["train_file"]) as file:
            save(tmp_path / "train.npz", **{**file, **change})
        with pytest.raises(InputError) as error:
            SeriesFiles(**files).open("train")
        assert message in str(error.value)

    def test_a_gap_is_shown_where_it_is(self, tmp_path: Path) -> None:
        files = sensor(tmp_path)
        with np.load(files["train_file"]) as file:
            arrays = dict(file)
        arrays["x"][3, 5, 1] = np.nan
        save(tmp_path / "train.npz", **arrays)
        with pytest.raises(InputError, match="got nan in sample 3, step 5, channel 1; fill gaps before"):
            SeriesFiles(**files).open("train")

    def test_a_test_file_fits_the_training_file(self, tmp_path: Path) -> None:
        files = sensor(tmp_path)
        other = save(tmp_path / "o.npz", x=np.ones((4, 12, 2)), y=np.arange(4) % 2)
        with pytest.raises(InputError, match="`x` must have the 3 channels of the training file, got 2"):
            SeriesFiles(train_file=files["train_file"], test_file=other).open("test")
        same = files["train_file"]
        with pytest.raises(InputError, match="`group` 0 is in the training file too"):
            SeriesFiles(train_file=same, test_file=same).open("test")

    @pytest.mark.parametrize(
        ("old", "new", "message"),
        [
            ("1,2,3", "1,?,3", "line 7 has missing values"),
            ("1,2,3", "(0,1),(1,2)", "line 7 has timestamps"),
            ("@timeStamps false", "@timeStamps true", "`@timestamps true` is not read"),
            ("@missing false", "@missing true", "`@missing true` is not read"),
            ("9,10", "9", "line 8 has channels of unequal lengths, [2, 1]"),
            ("7,8:9,10", "7,8", "line 8 has 1 channels, the first series has 2"),
            (":fast", ":rapid", "which has no 'rapid'"),
            ("@classLabel true slow fast", "@classLabel false", "`@classLabel` must be true"),
        ],
    )
    def test_what_is_wrong_with_a_ts_file_is_said(
        self, old: str, new: str, message: str, tmp_path: Path
    ) -> None:
        path = tmp_path / "a.ts"
        path.write_text(TS.replace(old, new, 1))
        with pytest.raises(InputError) as error:
            SeriesFiles(train_file=str(path), test_file=str(path)).open("train")
        assert message in str(error.value)
        assert "\n" not in str(error.value)

    def test_a_file_of_pickles_runs_no_code(self, tmp_path: Path) -> None:
        path = tmp_path / "a.npz"
        np.savez(path, x=np.array([object()]), y=np.zeros(1))
        with pytest.raises(InputError, match=r"must be a \.ts file, or a \.npz"):
            SeriesFiles(train_file=str(path), test_file=str(path)).open("train")


class TestGenerated:
    @pytest.mark.parametrize("lag", [1, 7, 500])
    def test_lags_are_the_only_difference_between_the_classes(self, lag: int) -> None:
        samples = LagDetection(lag_steps=lag).open("train")
        step = samples.values.argmax(axis=1)
        assert np.array_equal(samples.values.sum(axis=1), np.ones((2000, 2)))
        apart = step[:, 1] - step[:, 0]
        assert np.array_equal(apart, np.where(samples.labels == 0, lag, -lag))

    def test_the_mackey_glass_series_obeys_its_equation(self) -> None:
        series = mackey_glass(17, 600)
        assert 0.2 < series.min() < 0.6
        assert 1.1 < series.max() < 1.5
        late, now = series[:-18], series[17:-1]
        slope = 0.2 * late / (1 + late**10) - 0.1 * now
        assert np.abs(series[18:] - now - slope).max() < 0.03  # one step of 1, the data have steps of 0.1

    def test_forecasts_are_of_values_that_no_window_holds(self) -> None:
        data = MackeyGlass(num_points=1500, window=50, horizon=7)
        train, val, test = (data.open(split) for split in data.splits)
        assert [len(part) for part in (train, val, test)] == [900 - 56, 300 - 56, 300 - 56]
        np.testing.assert_allclose(train.values[7 + 50, 0], train.targets[1, 0], rtol=1e-6)
        series = mackey_glass(17, 1500)
        scaled = (series - series[:900].mean()) / series[:900].std()
        np.testing.assert_allclose(train.targets[0, 0], scaled[50 + 7 - 1], rtol=1e-6)
        np.testing.assert_allclose(test.values[0, :, 0], scaled[1200:1250], rtol=1e-6)

    def test_a_horizon_fits_into_the_series(self) -> None:
        with pytest.raises(InputError, match="must leave room in the test series of 200 points, got 60"):
            MackeyGlass(num_points=1000, window=150, horizon=60)

    def test_yin_and_yang_are_equal_and_opposite(self) -> None:
        points, labels = make_points(0, 300)
        assert np.bincount(labels).tolist() == [100, 100, 100]
        for (x, y), label in zip(points, labels, strict=True):
            assert class_of(1 - x, 1 - y) == {0: 1, 1: 0, 2: 2}[label]
        assert [class_of(0.75 + x, 0.5) for x in (-0.1001, -0.0999, 0.0999, 0.1001)] == [0, 2, 2, 0]
        assert [class_of(0.25 + x, 0.5) for x in (-0.1001, -0.0999, 0.0999, 0.1001)] == [1, 2, 2, 1]
        assert [class_of(*point) for point in ((0.5, 0.9), (0.75, 0.7), (0.5, 0.1))] == [1, 0, 0]

    def test_the_times_of_five_spikes_say_where_a_point_is(self) -> None:
        samples, (points, labels) = YinYang().open("test"), make_points(40, 1000)
        assert np.array_equal(samples.labels, labels)
        for index in (0, 999):
            times, units = samples.sample(index)
            ms = dict(zip(units.tolist(), 1000 * times, strict=True))
            x, y = points[index]
            expected = [1.5 + 18.5 * it for it in (x, y, 1 - x, 1 - y)]
            assert [ms[unit] for unit in range(5)] == pytest.approx([*expected, 0], abs=1e-3)

    def test_what_is_to_be_remembered_is_the_same_in_all_splits(self) -> None:
        data = Memorisation(num_samples=64)
        first, second = data.open("train"), data.open("test")
        assert np.array_equal(first.values, second.values)
        assert np.array_equal(first.labels, second.labels)
        assert (first.values.sum(axis=1) == 1).all()
        assert np.bincount(first.labels).tolist() == [16] * 4
        assert len(np.unique(first.values, axis=0)) == 64
        assert (first.values.sum(axis=(0, 2)) > 0).all()  # all steps are used
        with pytest.raises(InputError, match=r"`--data\.dataset\.num_samples` must be at least 4, got 3"):
            Memorisation(num_samples=3)

    def test_the_robot_ends_where_the_definition_says(self) -> None:
        data = AutonomousLocalisation(num_steps=30, num_samples=200)
        samples = data.open("train")
        for values, label in zip(samples.values, samples.labels, strict=True):
            heading = x = 0
            for forward, left, right in values:
                x += int(forward) * {1: 1, 3: -1}.get(heading % 4, 0)
                heading += int(right) - int(left)
            assert label == int(x > 0)
        assert not np.array_equal(samples.values[:20], data.open("test").values)


@pytest.mark.skipif(not (SHARED / "data/series").exists(), reason="needs ../shared/data/series")
class TestReal:
    def test_the_waves_of_an_electrocardiogram(self) -> None:
        files = {f"{name}_file": str(SHARED / f"data/series/qtdb_{name}.npz") for name in ("train", "test")}
        samples = QTDB(**files).open("train")
        batch = samples.batch(np.arange(3), Binning("uniform", 10.0, 4))
        assert batch.values.shape[1:] == (3, 4)
        assert set(batch.labels.unique().tolist()) <= set(range(-1, 6))
        assert (batch.labels == -1).any()
        theirs = QTDB(**files, unlabelled="class 0").open("train")
        real = np.arange(1301) < samples.lengths[:, None]
        assert (theirs.targets[real] >= 0).all()

    def test_digits_have_one_order_of_pixels_everywhere(self) -> None:
        files = {f"{n}_file": str(SHARED / f"data/series/mnist10k_{n}.npz") for n in ("train", "test")}
        rows, one, two = (
            SequentialMNIST(**files, permutation_seed=seed, pool=4).open("test").values[:5]
            for seed in (None, 3, 3)
        )
        assert np.array_equal(one, two)
        assert not np.array_equal(one, rows)
        assert np.array_equal(np.sort(one, axis=1), np.sort(rows, axis=1))


def test_a_forecast_is_trained_tested_predicted_and_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    data = ["--data.dataset=MackeyGlass", "--data.dataset.num_points=1200", "--data.dataset.window=40"]
    network = ["--model.network.hidden_sizes=[16]", "--model.network.synapses.max_delay_ms=50"]
    main(["fit", *data, *network, "--trainer.max_epochs=2", "--name=mg", "--trainer.accelerator=cpu"])
    out = capsys.readouterr().out
    assert "val/nmse" in out
    assert "test NMSE" in out
    assert (tmp_path / "runs/mg/forecast.png").exists()
    main(["predict", "--config=runs/mg/config.yaml"])
    first = (tmp_path / "runs/mg/predictions.csv").read_text().splitlines()[0]
    assert first == "sample,x in 20 steps,true x in 20 steps"
    main(["report", "runs"])
    assert "NMSE" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("y", "lacking"),
    [
        (np.array([[0, 1, 2], [-1, 1, 0]]), ""),
        (np.array([[0, 2, 2], [-1, 2, 0]]), "1 of its 3 classes (1)"),
        (np.array([[0.5, 2.0], [1.0, 0.0]]), ""),
        (np.zeros((2, 3, 2)), ""),
    ],
    ids=["all classes", "one lacks", "two values", "two values a step"],
)
def test_classes_are_looked_for_where_they_are_asked(
    y: Any, lacking: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = save(tmp_path / "a.npz", x=np.ones((2, 3, 1)) * np.arange(3)[:, None], y=y)
    SpikeData(partial(SeriesFiles, train_file=path, test_file=path, val_file=path)).setup("fit")
    noted = capsys.readouterr().err
    assert ("has no sample" in noted) is bool(lacking)
    assert lacking in noted


@pytest.mark.parametrize("label", [2, -2])
def test_labels_of_steps_that_training_does_not_know_are_refused(label: int, tmp_path: Path) -> None:
    x, y = np.random.default_rng(0).normal(size=(4, 3, 1)), np.array([[0, 1, -1]] * 4)
    train = save(tmp_path / "train.npz", x=x, y=y)
    y[1, 2] = label
    test = save(tmp_path / "test.npz", x=x, y=y)
    with pytest.raises(InputError) as refused:
        SeriesFiles(train_file=train, test_file=test).open("test")
    ends = f"{min(label, -1)} to {max(label, 1)}"
    assert str(refused.value) == (
        f"{test}: `y` must be 0 to 1, the classes of the training file, or -1 for no label, got {ends}."
    )


def test_labels_of_every_step_are_trained_and_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    x = random.normal(size=(60, 20, 1))
    y = (x[..., 0] > 0).astype(np.int64)
    y[:, 15:] = -1
    path = save(tmp_path / "a.npz", x=x, y=y)
    data = [
        "--data.dataset=SeriesFiles",
        f"--data.dataset.train_file={path}",
        f"--data.dataset.test_file={path}",
    ]
    network = ["--model.network.hidden_sizes=[32]", "--model.network.synapses.delays=none"]
    network += ["--model.network.dropout=0", "--model.optimizer.weight_lr=0.05"]
    words = ["--trainer.max_epochs=15", "--data.batch_size=16", "--name=steps", "--trainer.accelerator=cpu"]
    main(["fit", *data, *network, *words])
    assert float(capsys.readouterr().out.split("test accuracy ")[1].split("%")[0]) > 70
    assert (tmp_path / "runs/steps/labels.png").exists()
    main(["predict", "--config=runs/steps/config.yaml"])
    rows = (tmp_path / "runs/steps/predictions.csv").read_text().splitlines()
    assert rows[0] == "sample,step,prediction,label,score of 0,score of 1"
    assert len(rows) == 1 + 60 * 20


@pytest.mark.parametrize("lag", [1, 9, 200])
def test_the_end_of_a_sample_does_not_tell_two_spikes_apart(lag: int) -> None:
    """No delay of up to 100 steps, or two lags, pushes a spike out."""
    values = LagDetection(lag_steps=lag).open("test").values
    longest = max(100, 2 * lag)
    assert not values[:, -longest:].any()
    assert (values[:, : values.shape[1] - longest].sum(axis=1) == 1).all()


def test_two_spikes_are_told_apart_by_a_delay_and_by_nothing_else() -> None:
    """In closed form: one neuron, one delay of the lag, no memory."""
    samples = LagDetection(lag_steps=9).open("test")
    x = torch.from_numpy(samples.values).float()
    late = torch.roll(x[..., 0], 9, dims=1)
    late[:, :9] = 0
    meets = ((late + x[..., 1]) >= 2).any(dim=1)
    assert np.array_equal(meets.numpy().astype(int), 1 - samples.labels)


@pytest.mark.parametrize("inputs", ["values", "crossings"])
def test_an_exported_network_knows_the_scale_of_its_sensors(
    inputs: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Raw values, scaled as the export says, give in a stream what `predict` wrote."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    x = random.normal(size=(40, 12, 2)).cumsum(axis=1) * [3, 50] + [100, -7]
    y = (x[..., 0] > 100).astype(np.int64)
    path = save(tmp_path / "a.npz", x=x, y=y)
    data = [f"--data.dataset.{split}_file={path}" for split in ("train", "test")]
    words = ["--model.network.hidden_sizes=[8]", "--trainer.max_epochs=2", "--trainer.accelerator=cpu"]
    asked = ["--data.dataset=SeriesFiles", *data, f"--data.dataset.inputs={inputs}"]
    main(["fit", *asked, *words, "--name=sensor"])
    main(["predict", "--config=runs/sensor/config.yaml"])
    main(["export", "runs/sensor", "--format=safetensors", "--output=net"])

    network = load("net")
    assert network.interface is not None
    assert network.interface.task == "ClassPerStep"
    assert network.interface.scale is not None
    mean, deviation = map(np.array, network.interface.scale)
    np.testing.assert_allclose(mean, x.mean(axis=(0, 1)))
    scaled = ((x - mean) / deviation).astype(np.float32)
    seen = scaled if inputs == "values" else crossings(scaled, 0.5)
    stream = Stream(network)
    steps = [int(stream.step(now).readout.argmax()) for now in seen[3]]
    rows = (tmp_path / "runs/sensor/predictions.csv").read_text().splitlines()[1:]
    assert [row.split(",")[2] for row in rows if row.startswith("3,")] == [str(step) for step in steps]

    card = (tmp_path / "net/README.md").read_text()
    assert "in every step, the class of the largest readout" in card
    assert f"with means {mean[0]:.6g}, {mean[1]:.6g} and deviations {deviation[0]:.6g}, " in card
    assert ("as often as channel c has risen by another 0.5" in card) == (inputs == "crossings")
    capsys.readouterr()
    with pytest.raises(SystemExit) as stopped:
        main(["stream", "net", "events.h5"])
    assert stopped.value.code == 2
    assert capsys.readouterr().err == (
        "lit_delays: error: `stream` turns events into the class of a sequence, but the inputs of this"
        " network are real values; run it in Python, step by step: `lit_delays.deploy.stream.Stream`, whose"
        " answer is the"
        " `readout` of a step.\n"
    )
