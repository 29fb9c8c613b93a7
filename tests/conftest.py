"""What all tests share: one thread, and where the golden numbers and the real speech lie."""

import os
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared"
GOLDEN = Path(os.environ.get("LIT_DELAYS_GOLDEN", SHARED / "golden"))

torch.set_num_threads(1)  # the tests run side by side, one process a core


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def speech() -> Path:
    """Folder of the spoken digits."""
    folder = SHARED / "data"
    if not (folder / "fsdd_train.h5").exists():
        pytest.skip(f"the spoken digits are not in {folder}")
    return folder
