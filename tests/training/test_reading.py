"""Checkpoints that are none: one sentence each, whatever the reader stumbled over."""

import pickle
import random
import re

import pytest
import torch

from lit_delays.errors import InputError
from lit_delays.training.reading import network_tensors, read_checkpoint

WHOLE = {"state_dict": {"network.w": torch.arange(100), "loss.v": torch.ones(1)}, "epoch": 1}


def test_the_tensors_of_the_network_have_its_own_names(tmp_path):
    torch.save(WHOLE, tmp_path / "x.ckpt")
    tensors = network_tensors(read_checkpoint(tmp_path / "x.ckpt"))
    assert list(tensors) == ["w"]
    assert torch.equal(tensors["w"], torch.arange(100))


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", "EOFError"),
        (b"not a checkpoint", "UnpicklingError"),
        (pickle.dumps({"epoch": re.compile("a")}, protocol=2), "UnpicklingError"),
    ],
)
def test_what_is_no_checkpoint_is_one_sentence(content, error, tmp_path):
    path = tmp_path / "x.ckpt"
    path.write_bytes(content)
    sentence = (
        f"{path} must be a whole checkpoint of tensors and plain values; it is damaged, cannot be read,"
        f" or holds code that would run when it is loaded ({error}); check `--start_from`."
    )
    with pytest.raises(InputError, match=f"^{re.escape(sentence)}$"):
        read_checkpoint(path, "check `--start_from`")


@pytest.mark.parametrize(
    "content",
    [
        [1, 2],
        {"state_dict": {}},
        {"epoch": 1},
        {"epoch": 1, "state_dict": [1]},
        {"epoch": 1, "state_dict": {"network.w": 1}},
    ],
)
def test_a_checkpoint_of_something_else_is_one_sentence(content, tmp_path):
    path = tmp_path / "x.ckpt"
    torch.save(content, path)
    sentence = f"{path} must be a checkpoint that `fit` wrote; give one of a run that has trained."
    with pytest.raises(InputError, match=f"^{re.escape(sentence)}$"):
        read_checkpoint(path)


def test_a_missing_checkpoint_is_one_sentence(tmp_path):
    with pytest.raises(InputError, match=r"^no checkpoint at .*x\.ckpt; check `--start_from`\.$"):
        read_checkpoint(tmp_path / "x.ckpt", "check `--start_from`")


def test_a_checkpoint_cut_short_anywhere_is_one_sentence(tmp_path):
    torch.save(WHOLE, tmp_path / "whole.ckpt")
    content = (tmp_path / "whole.ckpt").read_bytes()
    for length in range(0, len(content), 101):
        (tmp_path / "cut.ckpt").write_bytes(content[:length])
        with pytest.raises(InputError, match=r"cut\.ckpt must be a"):
            read_checkpoint(tmp_path / "cut.ckpt")


def test_a_pickle_with_wrong_bytes_is_refused_or_read(tmp_path):
    path, whole = tmp_path / "x.ckpt", pickle.dumps({"state_dict": {}, "epoch": [1, {"a": (2.5, "b")}]}, 2)
    chance, refused = random.Random(0), 0
    for _ in range(300):
        content = bytearray(whole)
        for _ in range(3):
            content[chance.randrange(len(content))] = chance.randrange(256)
        path.write_bytes(content)
        refused += is_refused(path)
    assert refused > 250


def is_refused(path):
    try:
        read_checkpoint(path)
    except InputError:
        return True
    return False
