"""Very many people in shards: their petitions, and what survey platforms import, part by part."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import union_categoricals

from nanotarget.assign.assign import Policies
from nanotarget.calibrate.frozen import read_frozen
from nanotarget.clean.blocks import blocks_of
from nanotarget.clean.contracts import assignments as contract
from nanotarget.petitions.design import Design
from nanotarget.study import preregistration
from nanotarget.study.artefacts import read_parquet, write_parquet
from nanotarget.study.config import DesignConfig, PolicyConfig
from nanotarget.study.progress import LOG, steps
from nanotarget.study.shards import parts, read_part, sizes


def learned_policies(inputs: Any, params: Any) -> Policies:
    """Return the policies of the frozen model.

    Args:
        inputs: files settings, arrays and digest of the model, population, and maybe the registration.
        params: design, assign (settings) and seed.

    Raises:
        InputError: if the model is not the one that was frozen, or registered.
    """
    design = Design.from_config(DesignConfig.model_validate(params.design))
    registration = preregistration.read(inputs.get("registration"))
    registered = {str(name): digest for name, digest in registration.model.items()} if registration else None
    model = read_frozen(inputs.settings, inputs.arrays, inputs.digest, design, registered)
    population = read_parquet(inputs.population)
    return Policies.learned(model, population, PolicyConfig.model_validate(params.assign), params.seed)


def assign_parts(policies: Policies, roster: Sequence[Path], folder: Path) -> None:
    """Assign to the people of some parts of a roster; each gives a part of the same name."""
    schema, people = contract(policies.model.design), sizes(roster)
    if len(roster) > 1:
        LOG.info(f"0 of {sum(people):,} people")
    for part in steps(roster, "people", sizes=people):
        write_parquet(schema.validate(policies.assign(read_part(part))), folder / part.name)


def place(finished: Sequence[str], folder: Path) -> None:
    """Put the parts that several jobs have made into one folder; the jobs' own stay where they are."""
    for part in (part for made in finished for part in parts(made)):
        try:
            os.link(part, folder / part.name)
        except OSError:  # on another disk, or one that knows no links
            shutil.copy2(part, folder / part.name)


def with_rosters(assignments: str | Path, roster: str | Path) -> Iterator[tuple[pd.DataFrame, pd.DataFrame]]:
    """Yield the parts of assignments beside those of the roster."""
    for assigned, people in zip(parts(assignments), parts(roster), strict=True):
        yield read_part(assigned), read_part(people)


def to_be_drawn(roster: Sequence[Path], ids: Sequence[Path], names: Sequence[str]) -> pd.DataFrame:
    """Return everybody's own id (as respondent_id) and block, in the order of the parts of a roster."""
    tables = []
    for people, whose in zip(roster, ids, strict=True):
        block = blocks_of(read_part(people, ["respondent_id", *names]), names)
        own = read_part(whose, ["id"])["id"]
        tables.append(pd.DataFrame({"respondent_id": own, "block": block.astype("category")}))
    block = union_categoricals([table["block"] for table in tables])
    own = pd.concat([table["respondent_id"] for table in tables], ignore_index=True)
    return pd.DataFrame({"respondent_id": own, "block": block})


def cut(table: pd.DataFrame, files: Sequence[Path]) -> Iterator[pd.DataFrame]:
    """Cut a table of all people, in the order of the parts, into those of each part."""
    ends = np.cumsum([0, *sizes(files)])
    if ends[-1] != len(table):
        raise ValueError("the table has other people than the parts")
    for start, end in pairwise(ends):
        yield table.iloc[start:end].reset_index(drop=True)
