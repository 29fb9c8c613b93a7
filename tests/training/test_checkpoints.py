import shutil

import torch

from lit_delays.training.checkpoints import RunCheckpoint


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
