"""A simulated survey as another platform exports it: Qualtrics with the Conjoint Survey Design Tool."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from nanotarget.study.config import AttributeConfig, CalibrationConfig

PREVIEWS = 5
FIRST_CHOICE = 2  # Q4.2 follows the instructions in Q4.1


def as_design_tool(
    raw: pd.DataFrame, config: CalibrationConfig, attributes: Sequence[AttributeConfig], seed: int
) -> pd.DataFrame:
    """Export a wide survey with attributes in an order of each respondent's own, and previews of its makers.

    Args:
        raw: the survey; its first row holds the texts of questions.
        config: how its columns are named; tasks and profiles are numbered from 1.
        attributes: of the petitions.
        seed: of the orders.

    Returns:
        Three rows of header (names, texts, import ids) and the respondents: F-t-k holds the name of the
        attribute in row k of the table of task t, F-t-p-k its level in profile p; ratings are left out.
    """
    tasks, profiles, rows = config.tasks or 0, config.profiles, len(attributes)
    people = raw.iloc[1:].reset_index(drop=True)
    order = np.array([np.random.default_rng([seed, i]).permutation(rows) for i in range(len(people))])
    names = np.array([attribute.name for attribute in attributes])
    asked = people[[name for name in people.columns if not name.startswith("task")]]
    choice = next(str(outcome.column) for outcome in config.outcomes.measured if outcome.paired)
    chosen = {
        f"Q4.{task + FIRST_CHOICE}": people[choice.replace("{task}", str(task + 1))] for task in range(tasks)
    }
    shown: dict[str, object] = {}
    for task in range(1, tasks + 1):
        for row in range(1, rows + 1):
            shown[f"F-{task}-{row}"] = names[order[:, row - 1]]
            for profile in range(1, profiles + 1):
                levels = np.column_stack(
                    [people[_column(config, task, profile, a.column or a.name)] for a in attributes]
                )
                shown[f"F-{task}-{profile}-{row}"] = levels[np.arange(len(people)), order[:, row - 1]]
    status = pd.Series("IP Address", people.index, name="Status")
    table = pd.concat([status, asked, pd.DataFrame(chosen), pd.DataFrame(shown)], axis=1)
    previews = table.tail(PREVIEWS).assign(Status="Survey Preview")
    previews[config.respondent] = [f"SIM_PREVIEW{i + 1}" for i in range(PREVIEWS)]
    texts = {name: raw[name].iloc[0] if name in raw else f"{name}{_remark(raw)}" for name in table}
    imported = {name: f'{{"ImportId":"{name}"}}' for name in table}
    return pd.concat([pd.DataFrame([texts, imported]), previews, table], ignore_index=True)


def _column(config: CalibrationConfig, task: int, profile: int, attribute: str) -> str:
    pattern = (config.attribute_columns or "").replace("{attribute}", attribute)
    return pattern.replace("{task}", str(task)).replace("{profile}", str(profile))


def _remark(raw: pd.DataFrame) -> str:
    """Return what the survey says of its data behind every question."""
    text = str(raw[raw.columns[0]].iloc[0])
    return text[text.index(" (") :]
