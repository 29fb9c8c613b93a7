"""What is written is there as a whole, or not at all."""

import re

import pytest

from lit_delays.errors import InputError
from lit_delays.writing import apart, beside, sweep_beside, sweep_parts, whole, write_whole


def test_a_file_is_replaced_as_a_whole(tmp_path, monkeypatch):
    path = tmp_path / "folder/file"
    write_whole(path, "old")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    sentence = (
        f"cannot write {path}: No space left on device; the one before is still there. Make room for it, and"
        " repeat the command to go on."
    )
    with pytest.raises(InputError, match="^" + re.escape(sentence) + "$"):
        write_whole(path, "new")
    assert path.read_text() == "old"
    assert [left.name for left in path.parent.iterdir()] == ["file"]


def test_a_folder_that_cannot_be_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"cannot write .*/file/run/x: Not a directory\. Make room for it"):
        write_whole(tmp_path / "file/run/x", "text")


def test_what_killed_writers_left_is_swept(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    for name in ("metrics.csv.part", "checkpoints/last.ckpt.part", "metrics.csv"):
        (tmp_path / name).touch()
    sweep_parts(tmp_path)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["metrics.csv"]


@pytest.mark.parametrize("writer", [whole, apart])
def test_a_writer_that_fails_half_way_changes_nothing(writer, tmp_path):
    path = tmp_path / "file"
    path.write_text("old")

    def fail_half_way():
        with writer(path) as place:
            place.write_text("half")
            raise KeyError

    with pytest.raises(KeyError):
        fail_half_way()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_two_that_write_apart_do_not_meet(tmp_path):
    path = tmp_path / "file"
    with apart(path) as first, apart(path) as second:
        first.write_text("first")
        second.write_text("second")
    assert path.read_text() == "first"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_may_be_written_apart(tmp_path):
    with apart(tmp_path / "new") as place:
        place.mkdir()
        (place / "file").touch()
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")] == ["new", "new/file"]


def test_what_killed_writers_left_beside_is_swept(tmp_path):
    path = tmp_path / "file"
    left = beside(path)
    (tmp_path / ".other.x").mkdir()
    sweep_beside(path)
    assert [path.name for path in tmp_path.iterdir()] == [".other.x"]
    left.cleanup()


def test_an_error_without_a_number_is_told_in_its_own_words(tmp_path):
    with (
        pytest.raises(InputError, match=r"^cannot write .*/file: no room\. Make room"),
        whole(tmp_path / "file"),
    ):
        raise OSError("no room")
