import re
import subprocess
from types import SimpleNamespace

import pytest

from lit_delays.data.storage.hashes import sha256_of
from lit_delays.errors import InputError
from lit_delays.training.callbacks.provenance import Provenance, git_state

DIGESTS = {"train": "ab" * 32}


@pytest.fixture
def here():
    provenance = Provenance({"seed_everything": 0})
    provenance.record["data"] = dict(DIGESTS)
    return provenance


def test_a_hash_is_that_of_the_content_and_follows_it(tmp_path, monkeypatch):
    monkeypatch.setenv("LIT_DELAYS_CACHE", str(tmp_path))
    file = tmp_path / "data.h5"
    file.write_bytes(b"abc")
    # FIPS 180-4, the first example
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert [sha256_of(file), sha256_of(file)] == [known, known]
    (kept,) = tmp_path.glob("*.sha256")
    kept.write_text("damaged")
    assert sha256_of(file) == known
    file.write_bytes(b"abcd")
    assert sha256_of(file) != known


def test_other_data_are_refused(here):
    saved = {"provenance": {**here.record, "data": {"train": "cd" * 32}}}
    sentence = (
        "the train file is not the one that this run began with: its SHA-256 was cdcdcdcdcdcd...; put it"
        " back, or give another --name to start anew."
    )
    with pytest.raises(InputError, match="^" + re.escape(sentence) + "$"):
        here.on_load_checkpoint(None, None, saved)


def test_other_versions_are_said(here):
    versions = {**here.record["versions"], "torch": "2.10.0"}
    with pytest.warns(UserWarning, match=r"began with other versions \(.*torch 2\.10\.0.* than now"):
        here.on_load_checkpoint(None, None, {"provenance": {**here.record, "versions": versions}})


def test_the_same_and_older_checkpoints_pass(here):
    here.on_load_checkpoint(None, None, {"provenance": here.record})
    here.on_load_checkpoint(None, None, {})
    checkpoint = {}
    here.on_save_checkpoint(SimpleNamespace(), None, checkpoint)
    assert checkpoint["provenance"]["data"] == DIGESTS


def test_a_checkout_has_a_commit_and_says_when_it_was_changed(tmp_path):
    assert git_state(tmp_path) is None
    name = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
    (tmp_path / "file").touch()
    for words in (["init", "-q"], ["add", "file"], [*name, "commit", "-qm", "first"]):
        subprocess.run(["git", "-C", tmp_path, *words], check=True)
    clean = git_state(tmp_path)
    assert re.fullmatch("[0-9a-f]{40}", clean["commit"])
    assert not clean["dirty"]
    (tmp_path / "file").write_text("changed")
    assert git_state(tmp_path)["dirty"]
