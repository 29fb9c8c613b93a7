import pytest

from lit_delays.data import apart
from tests.data.forking import Forker


@pytest.fixture(scope="session")
def forker():
    started = Forker()
    yield started
    started.close()


@pytest.fixture(autouse=True)
def _quick_readers(request, monkeypatch):
    """Readers start at once, but in tests of the whole path."""
    if "whole_path" not in request.keywords:
        monkeypatch.setattr(apart, "_started", request.getfixturevalue("forker"))
