"""A disk that becomes full during a run, and a shard that is cut off: the same command goes on.

Long (`make test-faults`): root, which alone may mount the small file system in memory that becomes full.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from running import artefacts, copy_project, divide, ended, start, study_in
from tiny_study import await_fielding, tiny_study

pytestmark = [
    pytest.mark.long,
    pytest.mark.workflow,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small file system"),
]
COMMAND = ("assign", "study.yaml", "--cores", "1")
SHARES = (0.3, 0.6, 0.9)  # of what the run needs


@contextmanager
def disk(folder: Path) -> Iterator[None]:
    """Mount a file system in memory."""
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1g", "tmpfs", folder], check=False)
    if mounted.returncode:
        pytest.skip("nothing can be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


def used(folder: Path) -> int:
    """Return how many bytes of the file system are taken."""
    told = os.statvfs(folder)
    return (told.f_blocks - told.f_bfree) * told.f_frsize


def resize(folder: Path, size: float) -> None:
    subprocess.run(["mount", "-o", f"remount,size={size:.0f}", folder], check=True)


def roster(folder: Path) -> Path:
    study = tiny_study()
    await_fielding(study)
    return study_in(folder, study)


def test_a_full_disk_and_a_cut_shard_end_with_the_same_bytes(project: Path, tmp_path: Path) -> None:
    project = copy_project(project, tmp_path / "project")
    divide(project)
    with disk(tmp_path / "disk"):
        folder = tmp_path / "disk"
        whole = roster(folder / "whole")
        before = used(folder)
        code, said = ended(start(project, whole, *COMMAND))
        assert code == 0, said
        needed = used(folder) - before
        struck = roster(folder / "struck")
        taken = used(folder)
        for share in SHARES:
            resize(folder, taken + share * needed)
            code, said = ended(start(project, struck, *COMMAND))
            assert code == 1 and "the disk is full" in said and "what to do:" in said, said
            assert not list((struck / "results").rglob("*.tmp"))
            assert len(artefacts(struck / "results/tiny")) < len(artefacts(whole / "results/tiny"))
        resize(folder, 1e9)
        shard = Path("results/tiny/private/assign/assignments.parquet/part-00002.parquet")
        for cut in (False, True):
            if cut:
                (struck / shard).write_bytes((struck / shard).read_bytes()[:-100])
            code, said = ended(start(project, struck, *COMMAND))
            assert code == 0 and (shard.as_posix() in said) == cut, said
            assert artefacts(struck / "results/tiny") == artefacts(whole / "results/tiny")
            assert (struck / "ledger/arms.csv").read_bytes() == (whole / "ledger/arms.csv").read_bytes()
