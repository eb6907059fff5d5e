from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _files_stay_open(files_stay_open: None) -> None:
    """These tests are all of one process."""
