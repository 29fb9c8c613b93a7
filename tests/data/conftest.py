import pytest

from lit_delays.security import subprocess_reader
from tests.data.forking import Forker
from tests.data.three import write


@pytest.fixture(scope="session")
def forker():
    started = Forker()
    yield started
    started.close()


@pytest.fixture(autouse=True)
def _quick_readers(request, monkeypatch):
    """Readers start at once, but in tests of the whole path."""
    if "whole_path" not in request.keywords:
        monkeypatch.setattr(subprocess_reader, "_started", request.getfixturevalue("forker"))


@pytest.fixture
def source(tmp_path):
    return write(tmp_path / "digits.h5")


@pytest.fixture(autouse=True)
def caches(tmp_path, monkeypatch):
    """Every test has its own."""
    folder = tmp_path / "caches"
    monkeypatch.setenv("LIT_DELAYS_CACHE", str(folder))
    return folder
