"""Did the diagnosis predict the gain? Dilution, dose and response, predicted against observed gain.

Where nano's petition is the overall-best one anyway nothing can be gained, and an effect over everybody is
diluted. Both petitions of everybody were chosen before the treatment, so that respondents for whom they
differ (the divergent) can be compared between arms as they were randomised. Nano's arm shows its petitions;
for other arms the pipeline assigns them again (`Fielded`), and where that does not give what was fielded,
only the share of the divergent is known.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from nanotarget.calibrate import regression
from nanotarget.clean.groups import suppressed_groups
from nanotarget.diagnose.quantities import Quantity
from nanotarget.estimate.tables import PREDICTED, Table
from nanotarget.estimate.trial import Trial
from nanotarget.explore.pair import Fielded, Pair, hide, unknown

OTHER_SCALE = "measured on another scale than the prediction"
LINE = ["effect at no difference", "effect per attribute"]
SLOPE_SCALE = "in units of the outcome a unit of predicted gain"


@dataclass(frozen=True)
class Dividend:
    """What the calibration, honestly estimated, said nano would gain over overall-best.

    Attributes:
        estimate, std_error, low, high: of the row `dividend`, `nano - overall_best` that has a
            ceiling in diagnose/diagnostics.csv, in units of the calibration's outcome.
    """

    estimate: float
    std_error: float
    low: float
    high: float

    @classmethod
    def of(cls, diagnostics: pd.DataFrame, goal: str = "support") -> Dividend | None:
        """Find the row of a goal in diagnose/diagnostics.csv; None where there is none."""
        rows = diagnostics[
            (diagnostics["quantity"] == Quantity.GAIN)
            & diagnostics["ceiling"].notna()
            & (diagnostics["goal"] == goal)
            & (diagnostics["group"] == "all")
        ]
        if rows.empty:
            return None
        row = rows.iloc[0]
        return cls(*(float(row[c]) for c in ("estimate", "std_error", "conf_low", "conf_high")))


def validation(
    trial: Trial,
    fielded: Fielded,
    min_cell: int,
    comparable: Collection[str] = (),
    dividend: Dividend | None = None,
) -> pd.DataFrame:
    """Compare the effect of nano against overall-best with what was predicted.

    Args:
        trial: estimators that its registration does not know are exploratory.
        fielded: both petitions of everybody.
        min_cell: groups with fewer observed respondents in an arm are suppressed.
        comparable: outcomes measured on the scale of the calibration's outcome. Of others the gain cannot
            be compared with the predicted one, nor lambda with 1.
        dividend: of the calibration.

    Returns:
        The columns of `Table.VALIDATION`. Errors are HC2, CR2 where clusters were randomised. By outcome and
        estimator:

        dilution: `share divergent` (of those whose petitions are known); `effect` of all; `effect` of the
        divergent and of the others, for whom it is zero unless something else differed between the arms; and
        `effect / share divergent`, the first's effect if the others had none.
        dose: `effect` by the number of attributes that differ (numbers with few people go together), and
        `effect at no difference` and `effect per attribute` of Y = a + N (b + c dose) + d dose.
        Where other petitions were fielded than are assigned, neither has effects of parts of the people.
        validation: of Y = a + theta N + lambda N (g - mean g) + phi (g - mean g), g the predicted gain,
        `theta`, the gain at the mean prediction, beside the calibration's dividend (else the mean of g);
        `theta - mean predicted gain`, `theta - dividend` (the errors of both), `lambda` and `lambda - 1`.
        With blocks all regressions have a mean for either arm in every block.
    """
    parts = []
    for outcome in trial.outcome_names:
        pair = Pair.of(trial, fielded.nano, fielded.best, outcome)
        promise = fielded.promised(pair.table)
        known = promise["gain"].notna().to_numpy()
        pair, promise = pair.restricted(known), promise[known]
        gain, differing = (promise[name].to_numpy(np.float64) for name in ("gain", "differing"))
        lost = int((~known).sum())
        note = f"{lost} respondents without both petitions left out" if lost else ""
        few = _hidden_halves(pair, differing, min_cell)
        rows = pd.concat(
            [
                _dilution(pair, differing, min_cell, fielded.note),
                _dose(pair, differing, min_cell, fielded.note),
                _promise(pair, gain, outcome in comparable, dividend, few),
            ],
            ignore_index=True,
        )
        shown = ~rows["suppressed"]
        rows.loc[shown, "note"] = [_joined(own, note) for own in rows.loc[shown, "note"]]
        parts.append(rows.assign(outcome=outcome, contrast=pair.contrast))
    return trial.published(parts, Table.VALIDATION)


def _joined(*notes: str) -> str:
    return "; ".join(filter(None, notes))


def _assembled(rows: Sequence[pd.DataFrame], hidden: Sequence[bool], estimator: str) -> pd.DataFrame:
    table = pd.concat(rows, ignore_index=True).assign(estimator=estimator)
    table = table.reindex(columns=list(dict.fromkeys([*table.columns, *PREDICTED])))
    return hide(table, np.asarray(hidden), PREDICTED)


def _hidden_halves(pair: Pair, differing: np.ndarray, min_cell: int) -> bool:
    """Whether the divergent or the others are too few to be published; nobody is not too few."""
    counts = pair.counts(np.where(np.isnan(differing), -1, differing > 0), 2)
    if np.isnan(differing).any():
        counts = counts[:, 1:]  # of nano's arm alone
    return bool(suppressed_groups(counts[counts.sum(axis=1) > 0], min_cell).any())


def _dilution(pair: Pair, differing: np.ndarray, min_cell: int, obstacle: str) -> pd.DataFrame:
    """Rows of the dilution; `obstacle`: why effects of parts of the respondents cannot be estimated."""
    known = ~np.isnan(differing)
    apart, alpha, n = differing[known] > 0, pair.trial.alpha, int(known.sum())
    everybody = pair.effect().assign(quantity="effect", group="all")
    share = unknown(n, "nobody is compared")
    if n > 1:
        model = (pair.restricted(known) if obstacle else pair).regress(
            np.ones((n, 1)), apart.astype(np.float64)
        )
        share = regression.contrast(model, np.ones(1), alpha).assign(n=n, note="")
        if share["std_error"].isna().all():
            share["note"] = "the petitions differ for everybody" if apart.all() else "they differ for nobody"
    halves = [
        (unknown(int(rows.sum()), obstacle) if obstacle else pair.restricted(rows).effect()).assign(
            quantity="effect", group=group
        )
        for group, rows in (("divergent", differing > 0), ("others", differing == 0))
    ]
    ratio = _ratio(pair, differing, everybody)
    hidden = _hidden_halves(pair, differing, min_cell)
    rows = [
        share.assign(quantity="share divergent", group="all"),
        everybody,
        *halves,
        ratio.assign(quantity="effect / share divergent", group="divergent"),
    ]
    return _assembled(rows, [hidden, False, hidden, hidden, hidden], "dilution")


def _ratio(pair: Pair, differing: np.ndarray, everybody: pd.DataFrame) -> pd.DataFrame:
    """Effect over share of the divergent, error by the delta method from respondents' influence on both."""
    effect, treated = float(everybody["estimate"].iloc[0]), pair.treated
    weight, apart = pair.weight * ~np.isnan(differing), differing > 0
    n = len(apart)
    if np.isnan(effect):
        return unknown(n, str(everybody["note"].iloc[0]))
    share = float(weight @ apart / weight.sum())
    if share == 0:
        return unknown(n, "the petitions differ for nobody")
    part = weight / weight.sum()
    influence = -effect / share * part * (apart - share) / np.sqrt(1 - part)
    for arm, sign in ((True, 1), (False, -1)):
        rows = treated == arm
        own, block = pair.strata.standardised(rows), pair.strata.code[rows]
        within = own / pair.strata.size[block]
        residual = pair.y[rows] - np.bincount(block, within * pair.y[rows])[block]
        influence[rows] += sign * own * residual / np.sqrt(1 - within)  # HC2: a residual is too small by this
    by_unit = np.bincount(pair.units, weights=influence)
    clustered = len(by_unit) / (len(by_unit) - 1) if pair.trial.scheme.clusters is not None else 1.0
    error = np.array([np.sqrt(clustered * by_unit @ by_unit)]) / share
    df = everybody["df"].to_numpy(np.float64)
    return regression.tidy(np.array([effect / share]), error, df, pair.trial.alpha).assign(n=n, note="")


def _dose(pair: Pair, differing: np.ndarray, min_cell: int, obstacle: str) -> pd.DataFrame:
    if obstacle:
        rows = [
            unknown(int((~np.isnan(differing)).sum()), obstacle).assign(quantity=quantity, group="all")
            for quantity in LINE
        ]
        return _assembled(rows, [False, False], "dose")
    names, codes = dose_groups(pair, differing, min_cell)
    hidden = suppressed_groups(pair.counts(codes, len(names)), min_cell)
    # The others are those without a difference: what is hidden of one table must not stand in another.
    few = _hidden_halves(pair, differing, min_cell)
    hidden |= few
    rows = [
        pair.restricted(codes == i).effect().assign(quantity="effect", group=name)
        for i, name in enumerate(names)
    ]
    treated = pair.treated.astype(np.float64)
    x = np.column_stack([np.ones(len(treated)), treated, differing, treated * differing])
    line = regressed(pair, x, np.eye(4)[[1, 3]], "nobody's petitions differ more than another's")
    line["quantity"] = LINE
    return _assembled([*rows, line.assign(group="all")], [*hidden, few, few], "dose")


def dose_groups(pair: Pair, differing: np.ndarray, min_cell: int) -> tuple[list[str], np.ndarray]:
    """Group people by the number of attributes that differ, numbers with few people together.

    From the largest number down, numbers join until there are `min_cell` people in either arm; those for
    whom nothing differs stay alone.

    Returns:
        Names ("0", "1", "2 to 3", "4 or more") and the (n,) group of each.
    """
    doses = np.unique(differing[differing > 0]).astype(int)
    counts = pair.counts(np.searchsorted(doses, differing, side="left") - (differing == 0), len(doses))
    parts: list[list[int]] = []
    open_part, inside = list[int](), np.zeros(2, dtype=np.int64)
    for dose, cells in zip(doses[::-1], counts[::-1], strict=True):
        open_part, inside = [int(dose), *open_part], inside + cells
        if (inside >= min_cell).all():
            parts, open_part, inside = [open_part, *parts], [], np.zeros(2, dtype=np.int64)
    if open_part:  # the smallest numbers are few: they go with the next ones
        parts = [[*open_part, *(parts[0] if parts else [])], *parts[1:]]
    if (differing == 0).any():
        parts = [[0], *parts]
    codes = np.full(len(differing), -1)
    for i, part in enumerate(parts):
        codes[np.isin(differing, part)] = i
    last = len(parts) - 1
    names = [
        str(part[0]) if len(part) == 1 else f"{part[0]} or more" if i == last else f"{part[0]} to {part[-1]}"
        for i, part in enumerate(parts)
    ]
    return names, codes


def regressed(pair: Pair, x: np.ndarray, rows: np.ndarray, aliased: str) -> pd.DataFrame:
    """Regress the outcome on (n, k) columns and estimate (m, k) contrasts, or say why not."""
    n = len(x)
    x = np.hstack([x, pair.block_columns])
    rows = np.pad(rows, ((0, 0), (0, x.shape[1] - rows.shape[1])))
    if pair.note or n <= x.shape[1]:
        note = pair.note or "fewer respondents than coefficients"
        return pd.concat([unknown(n, note)] * len(rows), ignore_index=True)
    estimates = regression.contrast(pair.regress(x, pair.y), rows, pair.trial.alpha).assign(n=n, note="")
    lost = estimates["std_error"].isna()
    estimates.loc[lost & estimates["estimate"].isna(), "note"] = aliased
    estimates.loc[lost & estimates["estimate"].notna(), "note"] = "its error cannot be estimated"
    return estimates


def _promise(
    pair: Pair, gain: np.ndarray, comparable: bool, dividend: Dividend | None, few: bool
) -> pd.DataFrame:
    """Rows of the promise; `few`: the divergent or the others are too few to be published."""
    weight, treated = pair.weight, pair.treated.astype(np.float64)
    mean = float(weight @ gain / weight.sum()) if len(gain) else np.nan
    centred = gain - mean if len(gain) and np.ptp(gain) > 0 else np.zeros(len(gain))
    x = np.column_stack([np.ones(len(gain)), treated, treated * centred, centred])
    lines = regressed(pair, x, np.eye(4)[[1, 2]], "nobody is promised more than anybody else")
    theta, slope = lines.iloc[[0]], lines.iloc[[1]]
    beside = (mean, np.nan, np.nan)
    if dividend is not None:
        beside = dividend.estimate, dividend.low, dividend.high
    prediction = dict(zip(PREDICTED, beside, strict=True))

    def noted(row: pd.DataFrame, scale: str) -> pd.DataFrame:
        return row if comparable else row.assign(note=[_joined(note, scale) for note in row["note"]])

    def less(row: pd.DataFrame, value: float, error: float = 0.0) -> pd.DataFrame:
        if not comparable:
            return unknown(int(row["n"].iloc[0]), OTHER_SCALE)
        return _less(row, value, error, pair.trial.alpha)

    rows = [
        noted(theta, OTHER_SCALE).assign(quantity="theta", **prediction),
        less(theta, mean).assign(quantity="theta - mean predicted gain", predicted=mean),
    ]
    if dividend is not None:
        against = less(theta, dividend.estimate, dividend.std_error)
        rows.append(against.assign(quantity="theta - dividend", **prediction))
    own = noted(slope, f"{SLOPE_SCALE}: {OTHER_SCALE}")
    rows.append(own.assign(quantity="lambda", predicted=1.0 if comparable else np.nan))
    rows.append(less(slope, 1.0).assign(quantity="lambda - 1"))
    # The slope depends on those with a predicted gain: it would disclose few of them.
    hidden = [few and "lambda" in str(row["quantity"].iloc[0]) for row in rows]
    return _assembled(rows, hidden, "validation").assign(group="all")


def _less(row: pd.DataFrame, value: float, error: float, alpha: float) -> pd.DataFrame:
    """Take a value with an independent error off an estimate."""
    difference = regression.tidy(
        row["estimate"].to_numpy() - value,
        np.hypot(row["std_error"].to_numpy(), error),
        row["df"].to_numpy(),
        alpha,
    )
    return difference.assign(n=row["n"].to_numpy(), note=row["note"].to_numpy())
