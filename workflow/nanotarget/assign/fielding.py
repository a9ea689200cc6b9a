"""What a survey platform imports: everybody's arm and petition in one wide table."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from nanotarget.petitions.design import Design
from nanotarget.study.config import RosterArmConfig


def fielding_table(
    drawn: pd.DataFrame, assignments: pd.DataFrame, arms: Sequence[RosterArmConfig], design: Design
) -> pd.DataFrame:
    """Give everybody the petition of the policy of her arm.

    Args:
        drawn: respondent_id and arm.
        assignments: `contracts.assignments` of the same people, under the policies of all arms.
        arms: names and policies.

    Returns:
        One row per respondent, in the order of `drawn`: respondent_id, arm, policy, petition_id, one
        column an attribute (named as in the raw files), petition_text; empty without a policy.
    """
    policies = {arm.name: arm.policy for arm in arms if arm.policy}
    people = drawn[["respondent_id", "arm"]].assign(policy=drawn["arm"].map(policies))
    chosen = assignments[["respondent_id", "policy", "petition_id", *design.names]].rename(
        columns={attribute.name: attribute.column for attribute in design.attributes}
    )
    table = people.merge(chosen, on=["respondent_id", "policy"], how="left", validate="1:1")
    ids = table["petition_id"].dropna().unique().astype("int64")
    texts = dict(zip(ids, design.texts(design.petition_levels(ids)), strict=True))
    return table.assign(
        petition_id=table["petition_id"].astype("Int64"), petition_text=table["petition_id"].map(texts)
    )
