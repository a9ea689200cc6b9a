"""What all tests share: where the project and the reference data are, one thread of linear algebra."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# Before numpy is imported: the thread that every job of the workflow has, and two workers on two cores.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

PROJECT = Path(__file__).parents[1]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run what takes longest first, so that no worker is left alone with it at the end."""
    items.sort(key=lambda item: item.path.parent.name != "workflow")


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
