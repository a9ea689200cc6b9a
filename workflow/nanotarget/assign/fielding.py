"""What a survey platform imports: everybody's arm and petition in one wide table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

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
    policies = {arm.name: arm.policy for arm in arms if arm.policy}
    drawn = people.arms[["respondent_id", "arm"]].merge(people.ids, on="respondent_id", validate="1:1")
    drawn = drawn.assign(policy=drawn["arm"].map(policies))
    shown = {attribute.name: attribute.column for attribute in design.attributes} if texts else {}
    fielded = people.assignments[people.assignments["policy"].isin(set(policies.values()))]
    chosen = fielded[["respondent_id", "policy", "petition_id", *shown]].rename(columns=shown)
    table = drawn.merge(chosen, on=["respondent_id", "policy"], how="left", validate="1:1")
    table = table.astype({"petition_id": "Int64"})
    if texts:
        ids = table["petition_id"].dropna().unique().astype("int64")
        said = dict(zip(ids, design.texts(design.petition_levels(ids)), strict=True))
        table["petition_text"] = table["petition_id"].map(said)
    own = table.drop(columns="respondent_id").rename(columns={"id": "respondent_id"})
    own = own.sort_values("respondent_id", ignore_index=True)
    return own[["respondent_id", "arm", "policy", *own.columns[3:]]]
