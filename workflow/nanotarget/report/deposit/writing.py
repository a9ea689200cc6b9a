"""A deposit on the disk: a folder, and a zip whose bytes follow from it alone."""

from __future__ import annotations

import hashlib
import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path

from nanotarget.report.deposit.crate import Size
from nanotarget.study.artefacts import replacing

EPOCH = (1980, 1, 1, 0, 0, 0)  # the first that a zip knows
PLAIN, RUNS = 0o644, 0o755
SUMS = "SHA256SUMS"


def content_of(source: Path | bytes) -> bytes:
    """Return the bytes of a file of the deposit."""
    return source if isinstance(source, bytes) else source.read_bytes()


def sized(source: Path | bytes) -> Size:
    """Return checksum and size of a file of the deposit."""
    content = content_of(source)
    return Size(hashlib.sha256(content).hexdigest(), len(content))


def checksums(files: Mapping[str, Size]) -> bytes:
    """Return the text of SHA256SUMS, as `sha256sum -c` reads it."""
    return "".join(f"{known.sha256}  {path}\n" for path, known in sorted(files.items())).encode()


def write(files: Mapping[str, Path | bytes], runs: frozenset[str], folder: Path) -> Path:
    """Write a folder, which replaces one of that name, and a zip beside it; return the zip.

    Nothing is compressed: no compression library shows in the bytes.

    Args:
        files: path in the folder -> file or content.
        runs: paths that can be executed.
        folder: where to write.
    """
    building = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(building, ignore_errors=True)
    archive = folder.with_name(f"{folder.name}.zip")
    try:
        building.mkdir(parents=True)
        with replacing(archive) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as packed:
            for path in sorted(files):
                content, mode = content_of(files[path]), RUNS if path in runs else PLAIN
                entry = zipfile.ZipInfo(f"{folder.name}/{path}", EPOCH)
                entry.external_attr, entry.create_system = mode << 16, 3
                packed.writestr(entry, content)
                target = building / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)
                target.chmod(mode)
        shutil.rmtree(folder, ignore_errors=True)
        building.rename(folder)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return archive
