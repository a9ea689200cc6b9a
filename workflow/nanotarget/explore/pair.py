"""Two arms side by side: who is compared, by what errors, and what the learner predicted for them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

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
        """(n,) codes of who was randomised as a whole."""
        return self.trial.scheme.cluster

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
        """Regress (n,) on (n, k) with survey weights; HC2 errors, CR2 where clusters were randomised."""
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
    """The petitions that the calibration chose for everybody, and the arms that fielded them.

    Attributes:
        assignments: `contracts.assignments` with the policies nano and overall_best.
        nano, best: the arms of these policies.
    """

    assignments: pd.DataFrame
    nano: str
    best: str

    @property
    def attributes(self) -> list[str]:
        """Names of the attributes."""
        return [column for column in self.assignments.columns if column not in NO_ATTRIBUTES]

    def petitions(self, people: pd.DataFrame, policy: str) -> pd.DataFrame:
        """Return the petitions of a policy in the order of the people, who have a respondent_id."""
        rows = self.assignments[self.assignments["policy"] == policy]
        return rows.set_index("respondent_id").reindex(people["respondent_id"])

    def promised(self, people: pd.DataFrame) -> pd.DataFrame:
        """Return what the learner predicted that every respondent gains from nano instead of overall-best.

        Both petitions are known for everybody, whatever arm she is in, and were chosen before the treatment.

        Args:
            people: with respondent_id.

        Returns:
            On the index of the people: gain (units of the calibration's outcome) and differing (attributes
            whose levels differ); NaN for respondents without both petitions.
        """
        one, other = (self.petitions(people, policy) for policy in ("nano", "overall_best"))
        known = (one["petition_id"].notna() & other["petition_id"].notna()).to_numpy()
        unequal = [(one[a].astype("object") != other[a].astype("object")).to_numpy() for a in self.attributes]
        differing = np.sum(unequal, axis=0, dtype=np.float64) if unequal else np.zeros(len(people))
        return pd.DataFrame(
            {
                "gain": one["predicted"].to_numpy(np.float64) - other["predicted"].to_numpy(np.float64),
                "differing": np.where(known, differing, np.nan),
            },
            index=people.index,
        )
