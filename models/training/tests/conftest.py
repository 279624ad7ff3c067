import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))


@pytest.fixture(autouse=True)
def one_thread():
    """Small tensors: a second thread only costs time."""
    torch.set_num_threads(1)
