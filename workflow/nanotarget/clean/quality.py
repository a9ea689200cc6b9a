"""Quality of the cleaned data: what is missing, who clicked through, what was shown how often."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.special import chdtrc

from nanotarget.petitions.design import Design
from nanotarget.study.response import RESPONSES

QUALITY_COLUMNS = ["sample", "check", "item", "level", "n", "share", "expected", "statistic", "p_value"]
LEVELS = "level_frequency"  # the check that counts profiles shown, whoever saw them
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


class Tasks(NamedTuple):
    """Tasks shown in a conjoint survey, and for each kind of choice those that record some profiles only."""

    n_shown: int
    n_incomplete: Mapping[str, int]


def _quality(sample: str, rows: Sequence[Mapping[str, object]]) -> pd.DataFrame:
    """Make the quality table: `n` of something, its share, and what was expected of it.

    Checks: missing (share of rows), unanswered_tasks and incomplete_choices (share of tasks shown),
    same_profile and same_<outcome> (straight-lining respondents; expected is the share under random
    choice), level_frequency (profiles with each level against the design, chi-squared for the whole
    attribute in the row without level), speed (quantiles of a number that an exclusion compares,
    among people left at that step, in `statistic`), arm and opt_out (share of respondents).
    """
    table = pd.DataFrame([{"sample": sample, **row} for row in rows], columns=QUALITY_COLUMNS)
    return table.astype({"level": "str", "n": "int64"}).assign(level=lambda t: t["level"].fillna(""))


def _share(check: str, item: str, n: int, of: int, **more: object) -> dict[str, object]:
    return {"check": check, "item": item, "n": n, "share": n / of if of else np.nan, **more}


def _missing(table: pd.DataFrame, names: Iterable[str]) -> list[dict[str, object]]:
    return [_share("missing", name, int(table[name].isna().sum()), len(table)) for name in names]


def _speed(compared: Mapping[str, np.ndarray]) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for column, values in compared.items():
        known = values[~np.isnan(values)]
        if len(known):
            rows += [
                {"check": "speed", "item": column, "level": f"{q:.0%}", "n": len(known), "statistic": value}
                for q, value in zip(QUANTILES, np.quantile(known, QUANTILES), strict=True)
            ]
    return rows


def calibration_quality(
    profiles: pd.DataFrame,
    respondents: pd.DataFrame,
    design: Design,
    compared: Mapping[str, np.ndarray],
    tasks: Tasks,
) -> pd.DataFrame:
    """Describe the calibration: profiles and respondents as in `contracts`, the rest as in `_quality`."""
    outcomes = [name for name in RESPONSES if name in profiles]
    names = [name for name in respondents if name not in ("respondent_id", "weight")]
    rows = _missing(profiles, outcomes) + _missing(respondents, names)
    n_tasks = len(profiles[["respondent_id", "task"]].drop_duplicates())
    rows.append(_share("unanswered_tasks", "tasks", tasks.n_shown - n_tasks, tasks.n_shown))
    for name in outcomes:
        if name in tasks.n_incomplete:
            rows.append(_share("incomplete_choices", "tasks", tasks.n_incomplete[name], tasks.n_shown))
        rows.append(_same_profile(profiles, name) if RESPONSES[name].paired else _same_answer(profiles, name))
    rows += [*_speed(compared), *_level_frequencies(profiles, design)]
    return _quality("calibration", rows)


def _same_profile(profiles: pd.DataFrame, outcome: str) -> dict[str, object]:
    """Count who always chose the profile in the same place, of those who chose more than once."""
    chosen = profiles[profiles[outcome] == 1].groupby("respondent_id")["profile"].agg(["size", "nunique"])
    several = chosen[chosen["size"] > 1]
    chance = (float(profiles["profile"].max()) ** (1.0 - several["size"])).mean()
    same = int((several["nunique"] == 1).sum())
    return _share("same_profile", outcome, same, len(several), expected=chance)


def _same_answer(profiles: pd.DataFrame, outcome: str) -> dict[str, object]:
    """Count who always gave the same answer, of those who gave more than one."""
    answers = profiles.groupby("respondent_id")[outcome].agg(["count", "nunique"])
    several = answers[answers["count"] > 1]
    return _share(f"same_{outcome}", outcome, int((several["nunique"] == 1).sum()), len(several))


def _level_frequencies(profiles: pd.DataFrame, design: Design) -> list[dict[str, object]]:
    """Compare how often each level was shown with the design (Pearson's chi-squared)."""
    rows: list[dict[str, object]] = []
    for i, attribute in enumerate(design.attributes):
        count = profiles[attribute.name].value_counts(sort=False).to_numpy()
        expected = design.level_probabilities(i)
        statistic = float((((count - len(profiles) * expected) ** 2) / (len(profiles) * expected)).sum())
        p_value = float(chdtrc(len(count) - 1, statistic))
        rows.append(
            _share(
                LEVELS,
                attribute.name,
                len(profiles),
                len(profiles),
                statistic=statistic,
                p_value=p_value,
            )
        )
        rows += [
            _share(LEVELS, attribute.name, int(n), len(profiles), level=level, expected=float(e))
            for level, n, e in zip(attribute.levels, count, expected, strict=True)
        ]
    return rows


def experiment_quality(
    respondents: pd.DataFrame, names: Sequence[str], compared: Mapping[str, np.ndarray]
) -> pd.DataFrame:
    n = len(respondents)
    rows = [
        _share("arm", "arm", int(count), n, level=str(arm))
        for arm, count in respondents["arm"].value_counts(sort=False).items()
    ]
    return _quality("experiment", rows + _told(Tallies.of(respondents, names), compared))


def roster_quality(tallies: Tallies, compared: Mapping[str, np.ndarray]) -> pd.DataFrame:
    return _quality("roster", _told(tallies, compared))


class Tallies(NamedTuple):
    """How many people a sample has, how many refused personalisation or lack a covariate."""

    people: int
    refused: int
    missing: Mapping[str, int]

    @classmethod
    def of(cls, respondents: pd.DataFrame, names: Sequence[str]) -> Tallies:
        """Count a table of people."""
        missing = {name: int(respondents[name].isna().sum()) for name in names}
        return cls(len(respondents), int(respondents["opt_out"].sum()), missing)

    def with_(self, more: Tallies) -> Tallies:
        """Return the counts of these people and of others."""
        missing = {name: n + more.missing[name] for name, n in self.missing.items()}
        return Tallies(self.people + more.people, self.refused + more.refused, missing)


def _told(tallies: Tallies, compared: Mapping[str, np.ndarray]) -> list[dict[str, object]]:
    n = tallies.people
    refused = _share("opt_out", "opt_out", tallies.refused, n)
    missing = [_share("missing", name, count, n) for name, count in tallies.missing.items()]
    return [refused, *missing, *_speed(compared)]
