"""The frozen model, read back only if its files are those that were frozen, and that were registered."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from nanotarget.calibrate.learners import model_from_data
from nanotarget.calibrate.learners.base import Model
from nanotarget.petitions.design import Design
from nanotarget.study.artefacts import read_json, read_npz, sha256
from nanotarget.study.problems import Problem, raise_if_any


def read_frozen(
    settings: str, arrays: str, digest: str, design: Design, registered: Mapping[str, str] | None = None
) -> Model:
    """Read the model that was frozen.

    Args:
        settings, arrays: its two files.
        digest: SHA256SUMS, which was written with them.
        design: the petitions that it was fitted to.
        registered: name of a file -> SHA-256 that the pre-registration holds, if it holds any.

    Raises:
        InputError: if a file differs from its checksum, or from the registered one.
        ValueError: if the model was fitted to another design.
    """
    lines = [line.split(maxsplit=1) for line in Path(digest).read_text(encoding="utf-8").splitlines()]
    frozen = {line[1]: line[0] for line in lines if len(line) == 2}
    known = registered or {}
    again = "run 'nanotarget all', which learns again, or restore the folder from a copy"
    other = "restore the registered model, data, config and software; another model is another study"
    problems = []
    for file in map(Path, (settings, arrays)):
        checksum = sha256(file)
        if checksum != frozen.get(file.name):
            what = "the model is not the one that was frozen"
            problems.append(
                Problem(str(file), "whole file", what, f"the checksum in {digest}", again),
            )
        elif checksum != known.get(file.name, checksum):
            what = f"the model is not the registered one (its SHA-256 is {checksum})"
            problems.append(
                Problem(str(file), "whole file", what, f"SHA-256 {known[file.name]}, key model", other)
            )
    raise_if_any(problems)
    return model_from_data(read_json(settings), read_npz(arrays), design)
