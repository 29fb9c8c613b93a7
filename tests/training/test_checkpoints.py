import re
import shutil

import pytest
import torch

from lit_delays.errors import InputError
from lit_delays.training.checkpoints import RunCheckpoint
from lit_delays.writing import sweep_parts, write_whole


def kept(path, score):
    """A callback that has kept a checkpoint with this score."""
    checkpoint = RunCheckpoint(path, monitor="val/acc", mode="max")
    checkpoint.path.parent.mkdir(parents=True)
    checkpoint.path.touch()
    checkpoint.current_score = checkpoint.best_model_score = checkpoint.kth_value = torch.tensor(score)
    checkpoint.best_model_path = checkpoint.kth_best_model_path = str(path)
    checkpoint.best_k_models = {str(path): torch.tensor(score)}
    return checkpoint


def test_a_run_that_was_moved_still_knows_its_best(tmp_path):
    state = kept(tmp_path / "here/best.ckpt", 0.5).state_dict()
    shutil.move(tmp_path / "here", tmp_path / "there")
    moved = RunCheckpoint(tmp_path / "there/best.ckpt", monitor="val/acc", mode="max")
    moved.load_state_dict(state)
    assert moved.best_model_path == str(tmp_path / "there/best.ckpt")
    assert moved.best_k_models == {str(tmp_path / "there/best.ckpt"): torch.tensor(0.5)}
    assert moved.current_score == 0.5


def test_a_run_that_starts_from_another_has_its_own_best(tmp_path):
    state = kept(tmp_path / "other/best.ckpt", 0.5).state_dict()
    new = RunCheckpoint(tmp_path / "new/best.ckpt", monitor="val/acc", mode="max")
    new.load_state_dict(state)
    assert new.best_model_score is None


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
