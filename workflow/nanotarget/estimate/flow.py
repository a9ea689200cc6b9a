"""The flow of participants after CONSORT: assessed, excluded, randomised, received, completed, analysed."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from nanotarget.clean.flow import EVERYBODY, OBSERVED
from nanotarget.estimate.tables import Table
from nanotarget.estimate.trial import Trial


def participant_flow(trial: Trial, flow: pd.DataFrame) -> pd.DataFrame:
    """Count the participants of the experiment at every stage (CONSORT 2010, figure 1).

    Stages, in order: `assessed` (in the raw file), `excluded` (one row per step that excluded somebody, its
    rule as reason), `randomised` (who stayed), then per arm `received` and `not received` (delivery failed,
    not logged), per outcome `completed` and `not completed` (the outcome is missing), `failed check` after
    treatment, and `analysed` per outcome. Nobody who answered is left out of the analysis, so that completed
    and analysed agree; those who failed a check are counted in both.

    Args:
        trial: without logged delivery or checks the stages of these are left out.
        flow: `clean/flow.csv` (`flow.FLOW_COLUMNS`). The raw file already has the arm, so that
            exclusions are counted by arm; people without one are in the arm `none`.

    Returns:
        The columns of `Table.PARTICIPANTS`: first all arms together (`all`), then each; `outcome` and
        `reason` are empty where they mean nothing.
    """
    rows = [*_before(flow[flow["sample"] == "experiment"]), *_after(trial)]
    table = pd.DataFrame(rows, columns=list(Table.PARTICIPANTS.columns[:-1]))
    return trial.published([table], Table.PARTICIPANTS)


Row = tuple[str, str, str, str, int]


def _before(flow: pd.DataFrame) -> Iterator[Row]:
    """Yield who was assessed and excluded."""
    for i, (step, rows) in enumerate(flow[flow["step"] != OBSERVED].groupby("step", sort=False)):
        for arm, rule, n_before, n_excluded in zip(
            rows["arm"], rows["rule"], rows["n_before"], rows["n_excluded"], strict=True
        ):
            if i == 0:
                yield "assessed", arm, "", "", int(n_before)
            else:
                yield "excluded", arm, "", f"{step} ({rule})", int(n_excluded)


def _after(trial: Trial) -> Iterator[Row]:
    """Yield who was randomised and what became of them."""
    table = trial.table
    groups = {EVERYBODY: table["arm"].notna().to_numpy()}
    groups |= {name: trial.members(name) for name in trial.arms}

    def count(stage: str, hit: np.ndarray, outcome: str = "", reason: str = "") -> Iterator[Row]:
        for name, members in groups.items():
            yield stage, name, outcome, reason, int((hit & members).sum())

    yield from count("randomised", np.ones(len(table), dtype=bool))
    if table["delivered"].notna().any():
        arrived, unknown = (
            table["delivered"].fillna(False).to_numpy(bool),
            table["delivered"].isna().to_numpy(),
        )
        yield from count("received", arrived)
        yield from count("not received", ~arrived & ~unknown, reason="delivery failed")
        yield from count("not received", unknown, reason="delivery not logged")
    answered = {outcome.name: table[outcome.name].notna().to_numpy() for outcome in trial.outcomes}
    for outcome, hit in answered.items():
        yield from count("completed", hit, outcome)
        yield from count("not completed", ~hit, outcome, "outcome missing")
    if table["passed"].notna().any():
        yield from count("failed check", ~table["passed"].fillna(True).to_numpy(bool))
    for outcome, hit in answered.items():
        yield from count("analysed", hit, outcome)
