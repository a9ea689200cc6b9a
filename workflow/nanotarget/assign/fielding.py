"""What a survey platform imports: everybody's arm and petition in one wide table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from nanotarget.petitions.design import Design
from nanotarget.study.config import RosterArmConfig


class Fielded(NamedTuple):
    """People who are fielded, or a part of them.

    Attributes:
        arms: respondent_id and arm.
        assignments: `contracts.assignments` of the same people, under the policies of all arms.
        ids: respondent_id, and id: what the survey platform calls her.
    """

    arms: pd.DataFrame
    assignments: pd.DataFrame
    ids: pd.DataFrame


def fielding_table(
    people: Fielded, arms: Sequence[RosterArmConfig], design: Design, texts: bool = True
) -> pd.DataFrame:
    """Give everybody the petition of the policy of her arm.

    Args:
        people: whom.
        arms: names and policies.
        design: the petitions.
        texts: write what each petition says, and not only which it is: `petitions_table` says it once.

    Returns:
        One row per respondent, sorted by id: respondent_id (the id), arm, policy, petition_id, and with texts
        one column an attribute (named as in the raw files), petition_text; empty without a policy.
    """
    drawn, assigned, ids = people
    policies = {arm.name: arm.policy for arm in arms if arm.policy}
    own = ids["id"].iloc[_rows(ids["respondent_id"], drawn["respondent_id"])]
    table = pd.DataFrame({"respondent_id": own.array, "arm": drawn["arm"].array})
    table["policy"] = table["arm"].map(policies)
    row = np.full(len(table), -1)  # which no assignment has
    for policy in dict.fromkeys(policies.values()):
        hers, under = (np.flatnonzero(where["policy"] == policy) for where in (table, assigned))
        listed, wanted = assigned["respondent_id"].iloc[under], drawn["respondent_id"].iloc[hers]
        row[hers] = under[_rows(listed, wanted)]
    shown = {attribute.name: attribute.column for attribute in design.attributes} if texts else {}
    chosen = assigned[["petition_id", *shown]].rename(columns=shown).reset_index(drop=True)
    table = pd.concat([table, chosen.reindex(row).reset_index(drop=True)], axis=1)
    table = table.astype({"petition_id": "Int64"})
    if texts:
        petitions = table["petition_id"].dropna().unique().astype("int64")
        said = dict(zip(petitions, design.texts(design.petition_levels(petitions)), strict=True))
        table["petition_text"] = table["petition_id"].map(said)
    return table.sort_values("respondent_id", ignore_index=True)


def _rows(listed: pd.Series, wanted: pd.Series) -> np.ndarray:
    """Return in which row of a list each person stands; she is there once, and asked for once.

    A join says the same, in four times the time.
    """
    row = pd.Index(listed).get_indexer(pd.Index(wanted))
    if (row < 0).any() or np.bincount(row, minlength=1).max() > 1:
        raise ValueError("the tables do not have the same people, each of them once")
    return row
