from pathlib import Path

import pytest

from lit_delays.errors import InputError
from lit_delays.training.runs import differences, run_folder

SHD = {"class_path": "lit_delays.data.datasets.SHD", "init_args": {"data_dir": "data", "channels_per_bin": 5}}
CONFIG = {"data": {"dataset": SHD}, "trainer": {"default_root_dir": "runs", "max_epochs": 3}, "sigma": {}}


def test_the_same_options_have_the_same_folder():
    assert run_folder(CONFIG) == run_folder({**CONFIG, "ckpt_path": "last"})


def test_another_option_has_another_folder():
    assert run_folder(CONFIG) != run_folder({**CONFIG, "seed_everything": 1})


def test_moving_the_root_keeps_the_name(tmp_path):
    moved = {**CONFIG, "trainer": {**CONFIG["trainer"], "default_root_dir": str(tmp_path)}}
    assert run_folder(moved).name == run_folder(CONFIG).name
    assert run_folder(moved).parent == tmp_path


def test_a_name_is_a_folder():
    assert run_folder({**CONFIG, "name": "mine"}) == Path("runs").resolve() / "mine"


def test_a_run_may_find_its_files_elsewhere_but_keeps_its_data_set():
    moved = {**SHD, "init_args": {**SHD["init_args"], "data_dir": "elsewhere"}}
    binned = {**SHD, "init_args": {**SHD["init_args"], "channels_per_bin": 7}}
    before = {"data": {"dataset": SHD, "num_workers": 0}}
    assert differences(before, {"data": {"dataset": moved, "num_workers": 3}}) == []
    assert differences(before, {"data": {"dataset": binned}}) == [
        ("data.dataset.init_args.channels_per_bin", 5, 7)
    ]


@pytest.mark.parametrize("name", ["../up", "a/b", "..", ".", "a b", "x" * 65])
def test_a_name_cannot_leave_the_root(name):
    with pytest.raises(InputError, match="`--name` must be 1 to 64 letters, digits"):
        run_folder({**CONFIG, "name": name})
