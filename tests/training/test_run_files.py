"""What is missing, cut or edited in the folder of a run is named, and made again."""

import multiprocessing
import os
import shutil
from pathlib import Path

import pytest
import torch
from matplotlib import pyplot as plt

from lit_delays.cli import fit as fit_module
from lit_delays.cli.main import main
from lit_delays.errors import InputError
from lit_delays.training.callbacks.delay_histograms import read_histograms
from lit_delays.training.epoch_table import read_table
from lit_delays.training.run_files import SUMS
from lit_delays.training.run_lock import only_maker
from tests.cuts import OPTIONS, compare

SMALL = {**OPTIONS, "trainer.max_epochs": 2, "trainer.limit_train_batches": 2}
TEXTS = ("metrics.csv", "delays.csv", "config.yaml", "provenance.json", "result.json")


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.delenv("LIT_DELAYS_DEBUG", raising=False)
    monkeypatch.setattr(fit_module, "draw_run", draw)


def draw(trainer, module):
    """In place of four figures."""
    path = Path(trainer.default_root_dir, "learning.png")
    figure = plt.figure()
    figure.savefig(path)
    plt.close(figure)
    return [path]


def fit(root, *words):
    try:
        main(
            [
                "fit",
                *(f"--{name}={value}" for name, value in SMALL.items()),
                *words,
                f"--trainer.default_root_dir={root}",
            ]
        )
    except SystemExit as end:
        return end.code
    return 0


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    root = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fit_module, "draw_run", draw)
        assert fit(root) == 0
    return root / "run"


@pytest.fixture
def run(finished, tmp_path):
    """A copy, at the same depth, whose config says where it is."""
    shutil.copytree(finished, tmp_path / "run")
    return tmp_path / "run"


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])


def edit(path):
    path.write_bytes(path.read_bytes().replace(b"0", b"1"))


def assert_same(finished, run):
    """Byte for byte, but for the options, which say where the run is, and the sums of that."""
    for name in (*TEXTS, "learning.png", "checkpoints/best.ckpt", "checkpoints/last.ckpt"):
        if name != "config.yaml":
            assert (run / name).read_bytes() == (finished / name).read_bytes(), name


@pytest.mark.parametrize("harm", [Path.unlink, cut, edit], ids=["missing", "cut", "edited"])
@pytest.mark.parametrize("name", [*TEXTS, "learning.png"])
def test_a_file_of_a_finished_run_is_named_and_made_again(name, harm, finished, run, capsys):
    harm(run / name)
    assert fit(run.parent) == 0
    what = "is missing" if harm is Path.unlink else "was changed"
    assert capsys.readouterr().out.splitlines()[0] == f"note: {name} {what}; it is made again"
    assert_same(finished, run)
    assert fit(run.parent) == 0
    assert "note:" not in capsys.readouterr().out


@pytest.mark.parametrize("harm", [Path.unlink, cut], ids=["missing", "cut"])
@pytest.mark.parametrize("name", ["best", "last"])
def test_a_checkpoint_of_a_finished_run_is_named_and_trained_again(name, harm, finished, run, capsys):
    harm(run / f"checkpoints/{name}.ckpt")
    assert fit(run.parent) == 0
    what = "is missing" if harm is Path.unlink else "was changed"
    first = capsys.readouterr().out.splitlines()[0]
    assert first == f"note: checkpoints/{name}.ckpt {what}; the run is made again from its start"
    assert compare(finished, run) == []


def test_an_edited_weight_is_found(finished, run, capsys):
    path = run / "checkpoints/best.ckpt"
    saved = torch.load(path, weights_only=True)
    saved["state_dict"]["network.layers.0.synapses.weight"][0, 0] += 1
    torch.save(saved, path)
    assert fit(run.parent) == 0
    assert "note: checkpoints/best.ckpt was changed; the run is made again" in capsys.readouterr().out
    assert compare(finished, run) == []


def unfinish(run, monkeypatch, root):
    """Leave the first epoch of a run."""
    with monkeypatch.context() as patch:
        stop = fit_module.LastCheckpoint.on_train_epoch_end

        def on_train_epoch_end(self, trainer, module):
            stop(self, trainer, module)
            raise SystemExit(9)

        patch.setattr(fit_module.LastCheckpoint, "on_train_epoch_end", on_train_epoch_end)
        assert fit(root) == 9


@pytest.mark.parametrize("harm", [Path.unlink, cut, edit], ids=["missing", "cut", "edited"])
@pytest.mark.parametrize("name", ["metrics.csv", "delays.csv", "config.yaml", "provenance.json"])
def test_a_file_of_a_cut_off_run_is_named_and_made_again(name, harm, finished, tmp_path, monkeypatch, capsys):
    unfinish(tmp_path / "run", monkeypatch, tmp_path)
    assert not (tmp_path / "run" / SUMS).exists()
    harm(tmp_path / "run" / name)
    assert fit(tmp_path) == 0
    what = "is missing" if harm is Path.unlink else "was changed"
    assert f"note: {name} {what}; it is made again\n" in capsys.readouterr().out
    assert compare(finished, tmp_path / "run") == []


def test_a_cut_off_run_without_its_best_checkpoint_begins_again(finished, tmp_path, monkeypatch, capsys):
    unfinish(tmp_path / "run", monkeypatch, tmp_path)
    (tmp_path / "run/checkpoints/best.ckpt").unlink()
    assert fit(tmp_path) == 0
    assert "note: checkpoints/best.ckpt is missing; the run is made again from its start\n" in (
        capsys.readouterr().out
    )
    assert compare(finished, tmp_path / "run") == []


def test_a_run_that_is_whole_is_not_made_again(finished, run, capsys):
    (run / "my_notes.txt").write_text("mine")
    assert fit(run.parent) == 0
    assert "note:" not in capsys.readouterr().out
    assert_same(finished, run)


@pytest.mark.parametrize("read", [read_table, read_histograms])
def test_a_table_that_is_none_is_one_line(read, tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("epoch,layer\n0,hidden1,x\n")
    with pytest.raises(InputError, match="is cut or edited; repeat the command of its run to make it again"):
        read(path)


def _hold(run_dir, held, done):
    with only_maker(run_dir):
        held.set()
        done.wait(60)


def test_a_second_process_in_the_folder_of_a_run_is_one_line(tmp_path, capsys):
    fork = multiprocessing.get_context("fork")
    held, done = fork.Event(), fork.Event()
    other = fork.Process(target=_hold, args=(tmp_path / "run", held, done))
    other.start()
    assert held.wait(60)
    assert fit(tmp_path) == 2
    (line,) = capsys.readouterr().err.splitlines()
    sentence = f"another process makes the run in {tmp_path / 'run'}; wait until it has ended, or give"
    assert line.endswith(f"{sentence} another --name.")
    done.set()
    other.join()
    assert list(tmp_path.iterdir()) == []


def test_a_killed_process_leaves_no_lock(tmp_path):
    fork = multiprocessing.get_context("fork")
    held, done = fork.Event(), fork.Event()
    other = fork.Process(target=_hold, args=(tmp_path / "run", held, done))
    other.start()
    assert held.wait(60)
    other.kill()
    other.join()
    with only_maker(tmp_path / "run"):
        assert (tmp_path / "run/.lock").exists()
    assert os.listdir(tmp_path / "run") == []


def test_where_there_are_no_locks_a_run_is_made_without(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError("no locks")

    monkeypatch.setattr("filelock._unix.lock_fd_nonblocking", refuse)
    with only_maker(tmp_path / "run"):
        assert (tmp_path / "run").is_dir()
    assert list(tmp_path.iterdir()) == []
