"""What all tests share: where the project and the reference data are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def project() -> Path:
    """Root folder of the project."""
    return PROJECT


@pytest.fixture(scope="session")
def reference() -> Path:
    """Folder with the real data sets and the numbers made with R (NANOTARGET_REFERENCE)."""
    folder = (PROJECT / os.environ.get("NANOTARGET_REFERENCE", "../shared")).resolve()
    if not (folder / "golden").is_dir():
        pytest.skip("no reference data: set NANOTARGET_REFERENCE to the folder with data/ and golden/")
    return folder
