"""Do attributes interact on average? Pairs of levels beyond the sum of their effects, and joint tests."""

from __future__ import annotations

import itertools
from dataclasses import astuple

import numpy as np
import pandas as pd

from nanotarget.calibrate import conjoint, regression
from nanotarget.calibrate.conjoint import Analysis
from nanotarget.calibrate.multiplicity import CORRECTED, adjusted
from nanotarget.calibrate.regression import Wald
from nanotarget.clean.contracts import ESTIMATE_COLUMNS
from nanotarget.petitions.design import Design

KEYS = ("outcome", "quantity", "attribute", "level", "other_attribute", "other_level")
CELL_COLUMNS = (*KEYS, *ESTIMATE_COLUMNS, "n_clusters", *CORRECTED)
PAIR_COLUMNS = (
    *("outcome", "attribute", "other_attribute", "statistic", "df1", "df2", "p_value", *CORRECTED),
    *("largest", "n", "note"),
)
AMIE, ACIE = "amie", "acie"
TIED = "the design ties them together: what they do together is not told from what each does"


def interactions(
    profiles: pd.DataFrame, design: Design, analysis: Analysis
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Estimate the interaction of any two attributes from the mean answers to each pair of their levels.

    `amie` is the mean of a pair of levels less what both levels add on average (Egami & Imai 2019): it does
    not depend on reference levels, and averages zero over the levels of either attribute under the design's
    probabilities. `acie` is the effect of a level against the first one in petitions with the other level,
    less the same in petitions with the first level of the other attribute (Hainmueller, Hopkins & Yamamoto
    2014).

    Args:
        profiles: `contracts.calibration_profiles`; rows without the outcome, or that hide one of the two
            attributes, are left out.
        design: the study's design.
        analysis: how the outcome is analysed.

    Returns:
        `CELL_COLUMNS`, p values adjusted over all pairs of levels; and `PAIR_COLUMNS`, a row a pair of
        attributes: the F test that all their interactions are zero (`regression.hotelling`), adjusted over
        the pairs, and the `largest` of their `amie` in size.
    """
    used = profiles[profiles[analysis.outcome].notna()]
    design = conjoint.own_design(used, design)
    together = {pair for block in design.blocks for pair in itertools.combinations(block.attributes, 2)}
    codes = design.codes(used)
    cells, tests = [], []
    for pair in itertools.combinations(range(len(design.shape)), 2):
        names = {"attribute": design.names[pair[0]], "other_attribute": design.names[pair[1]]}
        visible = [len(design.attributes[a].visible) for a in pair]
        rows = np.all([codes[:, a] < size for a, size in zip(pair, visible, strict=True)], axis=0)
        test, note, largest = Wald(np.nan, 0, np.nan, np.nan), TIED, np.nan
        if pair not in together:
            found, test = _pair(used[rows], codes[rows][:, list(pair)], design, pair, analysis)
            cells.append(found.assign(**names))
            own, note = found[found["quantity"] == AMIE], ""
            largest = float(own["estimate"].abs().max())
        statistic = dict(zip(("statistic", "df1", "df2", "p_value"), astuple(test), strict=True))
        tests.append(names | statistic | {"largest": largest, "n": int(rows.sum()), "note": note})
    return _with_corrections(cells, ["quantity"], CELL_COLUMNS, analysis), _with_corrections(
        [pd.DataFrame(tests)], [], PAIR_COLUMNS, analysis
    )


def _with_corrections(
    parts: list[pd.DataFrame], family: list[str], columns: tuple[str, ...], analysis: Analysis
) -> pd.DataFrame:
    if not parts:
        return pd.DataFrame(columns=list(columns))
    table = pd.concat(parts, ignore_index=True)
    keys = [table[name] for name in family]
    for column, method in CORRECTED.items():
        table[column] = adjusted(table["p_value"], *keys, method=method)
    return table.assign(outcome=analysis.outcome)[list(columns)]


def _pair(
    rows: pd.DataFrame, codes: np.ndarray, design: Design, pair: tuple[int, int], analysis: Analysis
) -> tuple[pd.DataFrame, Wald]:
    """Return the interactions of two attributes, and the test that there are none."""
    levels = [design.attributes[a].visible for a in pair]
    shape = [len(own) for own in levels]
    cell = codes[:, 0] * shape[1] + codes[:, 1]
    model = conjoint.fit((cell[:, None] == np.arange(shape[0] * shape[1])).astype(np.float64), rows, analysis)
    shares = [design.level_probabilities(a)[:size] for a, size in zip(pair, shape, strict=True)]
    centred = [np.eye(len(share)) - share / share.sum() for share in shares]
    against_first = [(np.eye(size) - np.eye(size)[0])[1:] for size in shape]
    parts = []
    for quantity, (one, other), first in ((AMIE, centred, 0), (ACIE, against_first, 1)):
        found = regression.contrast(model, np.kron(one, other), analysis.alpha)
        names = list(itertools.product(levels[0][first:], levels[1][first:]))
        parts.append(
            found.assign(
                quantity=quantity,
                level=[level for level, _ in names],
                other_level=[level for _, level in names],
                n=model.n,
                n_clusters=pd.array([model.n_clusters] * len(found), dtype="Int64"),
            )
        )
    test = regression.hotelling(regression.wald(model, np.kron(*against_first)))
    return pd.concat(parts, ignore_index=True), test
