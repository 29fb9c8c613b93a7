"""What is written is there as a whole, or not at all."""

import re
import shutil

import pytest

from lit_delays.atomic_files import atomic_path, remove_leftovers, write_atomic
from lit_delays.errors import InputError


def test_a_file_is_replaced_as_a_whole(tmp_path, monkeypatch):
    path = tmp_path / "folder/file"
    write_atomic(path, "old")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    sentence = (
        f"cannot write {path}: No space left on device; the one before is still there. Make room for it, and"
        " repeat the command to go on."
    )
    with pytest.raises(InputError, match="^" + re.escape(sentence) + "$"):
        write_atomic(path, "new")
    assert path.read_text() == "old"
    assert [left.name for left in path.parent.iterdir()] == ["file"]


def test_a_folder_that_cannot_be_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"cannot write .*/file/run/x: Not a directory\. Make room for it"):
        write_atomic(tmp_path / "file/run/x", "text")


def test_what_killed_writers_left_is_removed(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "metrics.csv").touch()
    (tmp_path / "digits.zip.part").touch()  # a download, which goes on
    for path in (tmp_path / "metrics.csv", tmp_path / "checkpoints/last.ckpt"):
        with atomic_path(path) as temporary:  # killed: its folder stays
            shutil.copytree(temporary.parent, path.parent / f"{temporary.parent.name}x.part")
            temporary.touch()
    remove_leftovers(tmp_path, "metrics.csv")
    assert [path.parent.name for path in tmp_path.rglob(".*.part")] == ["checkpoints"]
    remove_leftovers(tmp_path)
    left = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {"metrics.csv", "last.ckpt", "digits.zip.part"}
    assert not list(tmp_path.rglob(".*"))


def test_a_writer_that_fails_half_way_changes_nothing(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")

    def fail_half_way():
        with atomic_path(path) as temporary:
            temporary.write_text("half")
            raise KeyError

    with pytest.raises(KeyError):
        fail_half_way()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_two_that_write_the_same_file_do_not_meet(tmp_path):
    path = tmp_path / "file"
    with atomic_path(path) as first, atomic_path(path) as second:
        first.write_text("first")
        second.write_text("second")
    assert path.read_text() == "first"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_may_be_written_too(tmp_path):
    with atomic_path(tmp_path / "new") as temporary:
        temporary.mkdir()
        (temporary / "file").touch()
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")] == ["new", "new/file"]


def test_an_error_without_a_number_is_told_in_its_own_words(tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError("no room")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(InputError, match=r"^cannot write .*/file: no room\. Make room"):
        write_atomic(tmp_path / "file", "text")
