"""Checkpoints that are none: one sentence each, whatever the reader stumbled over."""

import pickle
import random
import re
import zipfile

import pytest
import torch

from lit_delays.errors import InputError
from lit_delays.training.checkpoint_files import FIELDS, network_tensors, read_checkpoint

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
        f"{path} must be a whole checkpoint of tensors and plain values; it is damaged, or holds code that"
        f" would run when it is loaded ({error}); check `--start_from`."
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
        {"epoch": 1, "state_dict": {1: torch.ones(2)}},
        {"epoch": True, "state_dict": {}},
        {"epoch": -1, "state_dict": {}},
        {"epoch": 10**30, "state_dict": {}},
        {"epoch": 1.0, "state_dict": {}},
        *(WHOLE | {name: wrong} for name in FIELDS for wrong in (1.5, ("a",))),
        # one number that passes for four hundred millions, wherever it lies
        {"epoch": 1, "state_dict": {"network.w": torch.zeros(1).expand(20_000, 20_000)}},
        WHOLE | {"optimizer_states": [{"state": {0: {"exp_avg": torch.zeros(1).expand(20_000, 20_000)}}}]},
        {"epoch": 1, "state_dict": {"network.w": torch.ones(3).as_strided((5000, 2), (0, 1))}},
        {"epoch": 1, "state_dict": {"network.w": torch.empty(20_000, 20_000, device="meta")}},
        {"epoch": 1, "state_dict": {"network.w": torch.ones(3).to_sparse()}},
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


def test_a_checkpoint_with_wrong_bytes_in_its_structure_is_refused_or_read(tmp_path):
    torch.save(WHOLE, tmp_path / "whole.ckpt")
    with zipfile.ZipFile(tmp_path / "whole.ckpt") as file:
        parts = {name: file.read(name) for name in file.namelist()}
    chance, refused = random.Random(0), 0
    for num_wrong in [0, *300 * [2]]:
        path, content = tmp_path / "x.ckpt", bytearray(parts["whole/data.pkl"])
        for _ in range(num_wrong):
            content[chance.randrange(len(content))] = chance.randrange(256)
        with zipfile.ZipFile(path, "w") as file:
            for name, part in (parts | {"whole/data.pkl": bytes(content)}).items():
                file.writestr(name, part)
        refused += is_refused(path)
        assert num_wrong or not refused
    assert 100 < refused < 300


def test_an_archive_that_holds_more_than_its_size_is_not_unpacked(tmp_path):
    torch.save(WHOLE | {"zeros": torch.zeros(10**6)}, tmp_path / "whole.ckpt")
    path = tmp_path / "x.ckpt"
    with (
        zipfile.ZipFile(tmp_path / "whole.ckpt") as file,
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out,
    ):
        for name in file.namelist():
            out.writestr(name, file.read(name))
    assert torch.load(path, weights_only=True)["zeros"].shape == (10**6,)  # torch would
    with pytest.raises(InputError, match=r"x\.ckpt must be a whole checkpoint .* \(BadZipFile\);"):
        read_checkpoint(path)


def test_holes_are_no_checkpoint(tmp_path):
    torch.save(WHOLE, tmp_path / "x.ckpt")
    with (tmp_path / "x.ckpt").open("ab") as file:
        file.truncate(10**12)
    with pytest.raises(InputError, match=r"must hold the 1,000,000,000,000 bytes of its size"):
        read_checkpoint(tmp_path / "x.ckpt")


def test_a_checkpoint_on_a_failing_disk_is_not_called_damaged(tmp_path, monkeypatch):
    def fail(*_, **__):
        raise OSError(5, "Input/output error")

    (tmp_path / "x.ckpt").touch()
    monkeypatch.setattr("torch.load", fail)
    with pytest.raises(
        InputError, match=r"^cannot read .*x\.ckpt: Input/output error; repeat the command\.$"
    ):
        read_checkpoint(tmp_path / "x.ckpt", "delete it to begin anew")


def is_refused(path):
    try:
        read_checkpoint(path)
    except InputError:
        return True
    return False
