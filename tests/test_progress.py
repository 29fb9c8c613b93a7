"""Long work says how far it is: in a log by lines, at once never."""

import pytest

from lit_delays import progress
from lit_delays.progress import Progress, track


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass at each look."""
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_a_log_gets_a_line_a_minute(clock, capsys):
    for item in track(range(1000), "encoding", 1000):
        clock[0] += 0.25
        assert item < 1000
    assert capsys.readouterr().err.splitlines() == [
        "encoding: 240 of 1,000 (24%)",
        "encoding: 480 of 1,000 (48%)",
        "encoding: 720 of 1,000 (72%)",
        "encoding: 960 of 1,000 (96%)",
    ]


def test_what_has_no_known_end_is_counted(clock, capsys):
    with Progress("unpacking a.zip, bytes") as shown:
        for done, total in ((1, 3 * 10**9), (15 * 10**8, 3 * 10**9), (2 * 10**9, None)):
            shown.update(done, total)
            clock[0] += 61
    assert capsys.readouterr().err.splitlines() == [
        "unpacking a.zip, bytes: 1,500,000,000 of 3,000,000,000 (50%)",
        "unpacking a.zip, bytes: 2,000,000,000",
    ]


def test_what_is_over_at_once_says_nothing(capsys):
    assert list(track(range(100), "encoding", 100)) == list(range(100))
    assert capsys.readouterr() == ("", "")


def test_a_terminal_gets_a_bar_that_goes_away(clock, capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    for _ in track(range(10), "encoding", 10):
        clock[0] += 1
    assert "encoding" in capsys.readouterr().err
