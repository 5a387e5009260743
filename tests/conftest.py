"""What every test needs: one torch thread, so that parallel tests do not fight over two cores."""

import pytest
import torch


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)
