"""Two arms side by side: who is compared, by what errors, and what the learner predicted for them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd

from nanotarget.assign.assign import AGREED
from nanotarget.calibrate import regression
from nanotarget.clean.contracts import ESTIMATE_COLUMNS
from nanotarget.estimate.arms import arm_means, contrasts
from nanotarget.estimate.trial import Strata, Trial
from nanotarget.study.preregistration import contrast_name

# Columns of `contracts.assignments` that are no attribute.
NO_ATTRIBUTES = ("respondent_id", "policy", "petition_id", "predicted", "gain_over_best")


@dataclass(frozen=True, eq=False)
class Pair:
    """Respondents of two arms whose outcome was observed.

    Attributes:
        trial: the two arms alone, respondents sorted by respondent_id.
        later, earlier: the arms; a contrast is the first minus the second.
        outcome: its name.
    """

    trial: Trial
    later: str
    earlier: str
    outcome: str

    @classmethod
    def of(cls, trial: Trial, later: str, earlier: str, outcome: str) -> Pair:
        """Take the observed respondents of two arms out of a trial."""
        two = trial.of_arms(earlier, later).observed(outcome)
        rows = two.table.sort_values("respondent_id", ignore_index=True)
        return cls(replace(two, table=rows), later, earlier, outcome)

    @property
    def table(self) -> pd.DataFrame:
        """The respondents."""
        return self.trial.table

    @property
    def contrast(self) -> str:
        """Name of the contrast."""
        return contrast_name(self.later, self.earlier)

    @property
    def treated(self) -> np.ndarray:
        """(n,) whether a respondent is in the later arm."""
        return self.trial.members(self.later)

    @property
    def y(self) -> np.ndarray:
        """(n,) outcome."""
        return self.trial.y(self.outcome)

    @property
    def weight(self) -> np.ndarray:
        """(n,) survey weights."""
        return self.trial.weight

    @property
    def strata(self) -> Strata:
        """The blocks within which the arms are compared."""
        return self.trial.strata

    @property
    def block_columns(self) -> np.ndarray:
        """(n, 2 (blocks - 1)) columns that take the blocks out of a regression on the arm, in either arm."""
        columns = self.strata.columns
        return np.hstack([columns, self.treated[:, None] * columns])

    @property
    def units(self) -> np.ndarray:
        """(n,) codes of the people whose outcomes hang together."""
        return self.trial.scheme.unit

    @property
    def note(self) -> str:
        """Why the arms cannot be compared; empty if they can."""
        sizes = {self.earlier: int((~self.treated).sum()), self.later: int(self.treated.sum())}
        return "; ".join(
            f"fewer than two observed respondents in '{arm}'" for arm, size in sizes.items() if size < 2
        )

    def restricted(self, rows: np.ndarray) -> Pair:
        """Keep some rows, (n,) booleans."""
        return replace(self, trial=replace(self.trial, table=self.table[rows].reset_index(drop=True)))

    def counts(self, codes: np.ndarray, groups: int) -> np.ndarray:
        """Return the (groups, 2) respondents of each group in the earlier and the later arm.

        Args:
            codes: (n,) group of each respondent; negative ones are in none.
        """
        inside = codes >= 0
        cells = 2 * codes[inside] + self.treated[inside]
        return np.bincount(cells, minlength=2 * groups).reshape(groups, 2)

    def regress(self, x: np.ndarray, y: np.ndarray) -> regression.Fit:
        """Regress (n,) on (n, k) with survey weights; HC2 errors, CR2 where outcomes are clustered."""
        clusters = self.trial.scheme.clusters
        return regression.fit(x, y, "HC2" if clusters is None else "CR2", clusters, self.weight)

    def effect(self) -> pd.DataFrame:
        """Return the difference in means (within blocks) as one row of ESTIMATE_COLUMNS and a note."""
        note, rows = self.note, None
        if not note and "block" in self.trial.scheme.name:
            rows = contrasts(self.trial, arm_means(self.trial, self.outcome), welch=False)
            return rows[[*ESTIMATE_COLUMNS, "note"]].assign(n=len(self.table))
        if not note:
            model = self.regress(np.column_stack([np.ones(len(self.y)), self.treated]), self.y)
            rows = regression.contrast(model, np.array([0.0, 1.0]), self.trial.alpha)
            if rows["std_error"].isna().any():
                flat = all(np.ptp(self.y[self.treated == arm]) == 0 for arm in (False, True))
                note = "the outcome does not vary in either arm" if flat else "too few clusters for an error"
        if note or rows is None:
            return unknown(len(self.table), note)
        return rows.assign(n=len(self.table), note="")


def unknown(n: int, note: str) -> pd.DataFrame:
    """Return a row of ESTIMATE_COLUMNS without an estimate, and why."""
    blank = dict.fromkeys(ESTIMATE_COLUMNS, np.nan)
    return pd.DataFrame([{**blank, "n": n, "note": note}])


def hide(table: pd.DataFrame, hidden: np.ndarray, more: tuple[str, ...] = ()) -> pd.DataFrame:
    """Blank the numbers of suppressed rows and mark them.

    Args:
        table: with ESTIMATE_COLUMNS and note.
        hidden: (n_rows,) booleans.
        more: further columns of numbers to blank.
    """
    table = table.assign(suppressed=hidden, n=table["n"].astype("Int64"))
    table.loc[hidden, [c for c in (*ESTIMATE_COLUMNS, *more) if c != "n"]] = np.nan
    table.loc[hidden, "n"] = pd.NA
    table.loc[hidden, "note"] = ""
    return table


@dataclass(frozen=True, eq=False)
class Fielded:
    """Which petitions people of the experiment got, or would have got, under nano and overall-best.

    What an arm showed is taken from the experiment, where that is recorded. What people of other arms would
    have been shown is recorded nowhere; the pipeline assigns it again.

    Attributes:
        assignments: `contracts.assignments` with the policies nano and overall_best.
        nano, best: the arms of these policies.
        shown: `contracts.experiment`, with the petitions shown; None before fielding.
    """

    assignments: pd.DataFrame
    nano: str
    best: str
    shown: pd.DataFrame | None = None

    @property
    def attributes(self) -> list[str]:
        """Names of the attributes."""
        return [column for column in self.assignments.columns if column not in NO_ATTRIBUTES]

    def petitions(self, people: pd.DataFrame, policy: str) -> pd.DataFrame:
        """Return the petitions assigned by a policy in the order of the people, who have a respondent_id."""
        rows = self.assignments[self.assignments["policy"] == policy]
        return rows.set_index("respondent_id").reindex(people["respondent_id"])

    def recorded(self, arm: str) -> pd.DataFrame:
        """Return the petitions that an arm showed, by respondent_id, as far as they are recorded."""
        if self.shown is None or not set(self.attributes) <= set(self.shown.columns):
            return pd.DataFrame(columns=self.attributes)
        rows = self.shown[self.shown["arm"] == arm].set_index("respondent_id")[self.attributes]
        return rows.dropna().astype("object")

    @cached_property
    def agreement(self) -> float:
        """Share of petitions shown in nano's arm that are those assigned again; 1 where none is recorded."""
        shown = self.recorded(self.nano)
        if shown.empty:
            return 1.0
        again = self.petitions(shown.reset_index(), "nano")[self.attributes].astype("object")
        return float((shown.to_numpy() == again.to_numpy()).all(axis=1).mean())

    @property
    def note(self) -> str:
        """Why people of other arms have no petition of nano's; empty if they have."""
        if self.agreement >= AGREED:
            return ""
        return (
            f"only {100 * self.agreement:.0f}% of the petitions shown in '{self.nano}' are assigned again: "
            "which ones people of other arms would have got is not known"
        )

    def promised(self, people: pd.DataFrame) -> pd.DataFrame:
        """Return by how much every respondent's petition of nano's differs from the overall-best one.

        The overall-best petition is the one that its arm showed; nano's is the one that a respondent of its
        arm was shown, and that which is assigned to everybody else; where nothing is recorded, both are those
        assigned. All were chosen before the treatment.

        Args:
            people: with respondent_id.

        Returns:
            On the index of the people: gain (what the learner predicts of the petitions assigned, in units of
            the calibration's outcome) and differing (attributes whose levels differ); NaN without both
            petitions, differing also for people outside nano's arm if there is a `note`.
        """
        one, other = (self.petitions(people, policy) for policy in ("nano", "overall_best"))
        gain = one["gain_over_best"].to_numpy(np.float64)
        nano, best = (assigned[self.attributes].astype("object") for assigned in (one, other))
        shown, of_best = self.recorded(self.nano), self.recorded(self.best)
        own = nano.index.isin(shown.index)
        nano.loc[own] = shown.reindex(nano.index[own])
        if len(of_best):
            counts = of_best.value_counts()
            best.loc[best.notna().all(axis=1)] = min(counts.index[counts == counts.max()])
        known = (nano.notna() & best.notna()).all(axis=1).to_numpy() & (own | (not self.note))
        differing = (nano.to_numpy() != best.to_numpy()).sum(axis=1).astype(np.float64)
        return pd.DataFrame(
            {"gain": gain, "differing": np.where(known, differing, np.nan)}, index=people.index
        )
