"""The doctor sees what is wrong with a machine, says what to do, and shows no key."""

from types import SimpleNamespace

import pytest

from lit_delays.cli.doctor import command, devices
from lit_delays.cli.doctor.finding import Finding
from lit_delays.cli.main import main
from lit_delays.data.storage.receipts import content_of, write_receipt
from lit_delays.data.storage.sources import SOURCES, Source

KEY = "0123456789abcdef" * 3


@pytest.fixture(autouse=True)
def _machine(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LIT_DELAYS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    for name in ("WANDB_API_KEY", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    free(monkeypatch, 100)


def free(monkeypatch, gigabytes):
    usage = SimpleNamespace(free=gigabytes * command.GIGABYTE)
    monkeypatch.setattr(command, "shutil", SimpleNamespace(disk_usage=lambda path: usage))


def test_the_doctor_looks_at_everything_and_shows_no_key(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(
        command, "processes", lambda: iter([Finding("ok", "gloo", "2 processes add up to 2")])
    )
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setattr("lit_delays.cli.wandb_server.getproxies", dict)
    monkeypatch.setenv("WANDB_BASE_URL", f"http://me:{KEY}@127.0.0.1:1")
    main(["doctor"])
    out = capsys.readouterr().out
    looks = [
        "packages",
        "hdf5",
        "processor",
        "gloo",
        "gpu",
        "runs",
        "cache",
        "shd",
        "ssc",
        "wandb",
        "environment",
    ]
    found = [line[5:].split()[0] for line in out.splitlines() if line[:4].strip() in ("ok", "warn", "fail")]
    assert found == looks
    assert "torch 2." in out
    assert "127.0.0.1 does not answer" in out
    assert "WANDB_API_KEY=(set)" in out
    assert KEY not in out
    assert not list(tmp_path.iterdir())  # it looks, and leaves nothing


def test_a_failure_is_exit_code_1(monkeypatch, capsys):
    monkeypatch.setattr(command, "processes", lambda: iter(()))
    free(monkeypatch, 0.5)
    with pytest.raises(SystemExit) as stopped:
        main(["doctor", "--runs", "elsewhere"])
    assert stopped.value.code == 1
    out = capsys.readouterr().out
    assert "elsewhere, 0 GB free\n                  -> free some, or choose another disk" in out


def test_a_look_that_breaks_is_a_finding():
    def look():
        yield Finding("ok", "first", "")
        raise RuntimeError("no\nsuch thing")

    assert list(command.findings("second", look))[1] == ("fail", "second", "RuntimeError: no such thing", "")


def test_two_real_processes_find_each_other():
    assert devices.all_reduce("gloo", 2) == ("ok", "gloo", "2 processes add up to 2", "")


def test_processes_that_cannot_talk_are_a_failure(monkeypatch):
    monkeypatch.setattr(devices, "join", lambda *args: 1 / 0)
    finding = devices.all_reduce("gloo", 1)
    assert (finding.state, finding.found) == ("fail", "division by zero")


def test_a_package_outside_its_bounds_is_named_with_the_command_that_mends_it(monkeypatch):
    versions = {"lightning": "2.6.2"}
    original = command.metadata.version
    monkeypatch.setattr(command.metadata, "version", lambda name: versions.get(name) or original(name))
    (bad,) = [finding for finding in command.packages() if finding.state == "fail"]
    assert (bad.what, bad.found) == ("lightning", "2.6.2, not <2.7,>=2.6.6")
    assert bad.advice == 'pip install "lightning<2.7,>=2.6.6"'


@pytest.mark.parametrize(("version", "state"), [("2.0.0", "warn"), ("2.2.0", "ok"), ("2.10.1", "ok")])
def test_an_hdf5_library_with_known_flaws_is_a_warning(version, state, monkeypatch):
    monkeypatch.setattr(command.h5py.version, "hdf5_version", version)
    (finding,) = command.hdf5()
    assert finding.state == state


@pytest.mark.parametrize(("gigabytes", "state"), [(100, "ok"), (5, "warn"), (0.1, "fail")])
def test_little_space_is_a_warning_and_none_a_failure(gigabytes, state, monkeypatch, tmp_path):
    free(monkeypatch, gigabytes)
    (finding,) = command.folders({"runs": tmp_path / "not/yet/there"})
    assert finding.state == state


def test_a_folder_that_cannot_be_written_is_a_failure(monkeypatch, tmp_path):
    def refuse(dir):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(command, "TemporaryFile", refuse)
    (finding,) = command.folders({"cache": tmp_path})
    assert (finding.state, finding.found) == ("fail", f"{tmp_path} cannot be written: Permission denied")


def test_data_are_compared_with_their_receipts(monkeypatch, tmp_path):
    files = {"train": "x_train.h5", "test": "x_test.h5"}
    monkeypatch.setitem(SOURCES, "x", Source("X", "https://x/", (), files))

    def last():
        return list(command.data(tmp_path))[-1]

    assert last() == (
        "warn",
        "x",
        f"not in {tmp_path}",
        f"python -m lit_delays data fetch x --data-dir {tmp_path}",
    )
    for name in files.values():
        (tmp_path / name).write_bytes(b"spikes")
    assert last()[:3] == ("ok", "x", f"in {tmp_path}, not fetched by `data fetch`, so not compared")
    for name in files.values():
        write_receipt(tmp_path / name, content_of(tmp_path / name), "md5:0", "https://x/")
    assert last()[:3] == ("ok", "x", f"in {tmp_path}, as fetched")
    (tmp_path / "x_train.h5").write_bytes(b"Spikes")
    assert last()[:3] == ("fail", "x", "x_train.h5 is not what was fetched")


def test_a_torch_without_the_gpu_that_is_there_is_a_warning(monkeypatch):
    monkeypatch.setattr(devices.torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(devices.torch.version, "cuda", "13.0")
    (finding,) = devices.gpus()
    assert (finding.state, finding.found) == ("warn", "none that torch finds (built for CUDA 13.0)")
    assert "--gpus all" in finding.advice


def test_little_memory_is_a_warning(monkeypatch):
    monkeypatch.setattr(devices.os, "sysconf", lambda name: 2**10 if name == "SC_PAGE_SIZE" else 2**20)
    (finding,) = devices.processor()
    assert finding.state == "warn"
    assert "1 GB of memory" in finding.found
