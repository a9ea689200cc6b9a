"""Individual marginal component effects: what a level does to the response of one respondent.

The effect of level l of attribute a against the reference level, averaged over the other attributes of the
design (Robinson & Duch 2024, who average over the profiles a respondent saw). Where every petition has an
answer of its own this is exact,

    IMCE_i(l) = E[u_i(x) | x_a = l] - E[u_i(x) | x_a = reference].

A choice is against an opponent drawn from the design (of more than one, or none, see
`ChoiceAmong.mean_of_levels`). With m(l) the mean utility given the level, v the
variance of utility over petitions and v' what of it lies in the other attributes,

    P(chosen | l) ~ L(m(l) / sqrt(1 + k (v + v'))),    k = LOGIT_NORMAL

(Zeger, Liang & Albert 1988): the sum of many attributes is nearly normal. The error is a few percent of
most effects, and about a tenth of the largest ones where attributes are few. Intervals are quantiles over
posterior draws. Effects are predictions: that they differ between people does not show that people differ.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from nanotarget.calibrate.learners.base import Model
from nanotarget.petitions.design import Design
from nanotarget.petitions.encoding import CovariateEncoder, level_offsets
from nanotarget.study.config import CovariateConfig
from nanotarget.study.disclosure import small
from nanotarget.study.progress import steps
from nanotarget.study.response import Response
from nanotarget.study.seeds import child_rng

PETITIONS = 500  # sampled to measure the variance of a respondent's utilities
DRAWS = 1000  # posterior draws used at most
NUMBERS = 50_000_000  # drawn effects that are in memory at once
QUANTILES = {"q05": 0.05, "q25": 0.25, "q50": 0.5, "q75": 0.75, "q95": 0.95}
DISTRIBUTION_COLUMNS = (
    "attribute",
    "level",
    "n",
    "mean",
    "std_dev",
    *QUANTILES,
    "std_error",
    "share_positive",
    "share_above",
    "share_below",
)
TREES, REPEATS = 100, 5  # of the forest that explains effects, and its permutations


def effects(
    means: np.ndarray,
    design: Design,
    response: type[Response],
    variance: np.ndarray,
    level: np.ndarray,
) -> np.ndarray:
    """Turn mean utilities given each level into effects against the reference level.

    Args:
        means: (n, total levels) from `Utilities.level_means`.
        variance: (n,) variance of the utilities of each respondent, where answers compare petitions.
        level: (n,) mean of the utilities of each respondent.

    Returns:
        (n, total levels) effects in outcome units; zero at reference levels.
    """
    out = np.empty(means.shape, dtype=means.dtype)
    offsets = level_offsets(design)
    for a in range(len(design.shape)):
        own = means[:, offsets[a] : offsets[a + 1]]
        share = design.level_probabilities(a).astype(means.dtype)
        others = np.maximum(variance - (own**2 @ share - (own @ share) ** 2), 0)
        own = response.mean_of_levels(own, others, variance, level)
        out[:, offsets[a] : offsets[a + 1]] = own - own[:, :1]
    return out


def imce(model: Model, respondents: pd.DataFrame, confidence: float, seed: int) -> pd.DataFrame:
    """Estimate the effect of every level for every respondent.

    Args:
        respondents: respondent_id and covariates; results are joined by id.
        confidence: level of the intervals.
        seed: root seed of the petitions that measure variances.

    Returns:
        Rows respondent_id, attribute, level (none for the reference), estimate, std_error (posterior SD),
        conf_low, conf_high; in the unit of the outcome (choice: probability to be chosen).
    """
    size = min(model.n_draws, DRAWS) * sum(model.design.shape)
    step = max(1, NUMBERS // size)
    parts = [
        _imce_of(model, respondents.iloc[start : start + step], confidence, seed)
        for start in range(0, len(respondents), step)
    ]
    return pd.concat(parts, ignore_index=True)


def _imce_of(model: Model, respondents: pd.DataFrame, confidence: float, seed: int) -> pd.DataFrame:
    """Estimate the effects for few enough respondents to hold all draws in memory."""
    design, response = model.design, model.response
    utilities = model.utilities(respondents)
    variance, level = np.zeros((2, utilities.n))
    if response.paired:
        petitions = design.draw(PETITIONS, child_rng(seed, "imce/petitions"))
        variance, level = utilities.utilities_of_all(petitions).var(axis=1), utilities.means()
    offsets = level_offsets(design)
    # Neither reference levels, nor hiding where no policy may hide.
    reported = np.concatenate(
        [start + np.arange(1, len(a.fielded)) for start, a in zip(offsets, design.attributes, strict=False)]
    )
    estimate = effects(utilities.level_means(), design, response, variance, level)[:, reported]
    drawn = np.empty((min(model.n_draws, DRAWS), *estimate.shape), dtype=np.float32)
    kept = np.unique(np.linspace(0, model.n_draws - 1, len(drawn)).astype(int))
    place = dict(zip(kept.tolist(), range(len(kept)), strict=True))
    narrow = variance.astype(np.float32), level.astype(np.float32)
    for d, means in enumerate(model.draws_of_level_means(respondents)):
        if d in place:
            drawn[place[d]] = effects(means.astype(np.float32), design, response, *narrow)[:, reported]
    # In place and one level at a time: quantiles would copy all draws otherwise.
    tail = (1 - confidence) / 2
    low, high, error = np.empty((3, *estimate.shape))
    for j in range(estimate.shape[1]):
        column = np.ascontiguousarray(drawn[:, :, j])
        error[:, j] = column.std(axis=0, ddof=1) if len(column) > 1 else np.nan
        low[:, j], high[:, j] = np.quantile(column, [tail, 1 - tail], axis=0)
    labels = [(a.name, level) for a in design.attributes for level in a.fielded[1:]]
    n, size = estimate.shape
    return pd.DataFrame(
        {
            "respondent_id": np.repeat(respondents["respondent_id"].to_numpy(), size),
            "attribute": np.tile(np.array([a for a, _ in labels], dtype=object), n),
            "level": np.tile(np.array([level for _, level in labels], dtype=object), n),
            "estimate": estimate.ravel(),
            "std_error": error.ravel(),
            "conf_low": low.ravel(),
            "conf_high": high.ravel(),
        }
    ).astype({"respondent_id": "str", "attribute": "str", "level": "str"})


def distribution(table: pd.DataFrame) -> pd.DataFrame:
    """Summarise how the effects of each level are spread over respondents.

    The most extreme effects are left out: they would be those of single people.

    Args:
        table: from `imce`.

    Returns:
        `DISTRIBUTION_COLUMNS`, one row per level in config order: mean and standard deviation over
        respondents, `QUANTILES`, the median `std_error` of a respondent's own effect, and the shares of
        respondents whose effect is positive, and whose interval lies above or below zero.
    """
    rows = []
    for (attribute, level), own in table.groupby(["attribute", "level"], sort=False):
        effect = own["estimate"]
        rows.append(
            {
                "attribute": attribute,
                "level": level,
                "n": len(own),
                "mean": effect.mean(),
                "std_dev": effect.std(),
                **{name: effect.quantile(q) for name, q in QUANTILES.items()},
                "std_error": own["std_error"].median(),
                "share_positive": (effect > 0).mean(),
                "share_above": (own["conf_low"] > 0).mean(),
                "share_below": (own["conf_high"] < 0).mean(),
            }
        )
    return pd.DataFrame(rows, columns=list(DISTRIBUTION_COLUMNS))


def published_distribution(table: pd.DataFrame, min_cell: int) -> pd.DataFrame:
    """Take from a table of `distribution` the shares of few people, or of all but few (`min_cell`)."""
    table = table.copy()
    for share in ("share_positive", "share_above", "share_below"):
        count = (table[share] * table["n"]).to_numpy()
        table.loc[small(count, min_cell) | small(table["n"] - count, min_cell), share] = np.nan
    return table


def importance(
    table: pd.DataFrame, respondents: pd.DataFrame, covariates: Sequence[CovariateConfig], seed: int
) -> pd.DataFrame:
    """Say which covariates the effects of a level depend on.

    A random forest learns the effects of all levels from the covariates in one half of the respondents; in
    the other half one covariate after the other is randomly permuted. The importance is the squared error
    that this adds, relative to the variance of the effect (Breiman 2001), averaged over both halves. It
    explains the learner's predictions, not people's answers.

    Args:
        table: from `imce`.
        respondents: covariates of the same people.

    Returns:
        Rows attribute, level, covariate, importance, n, for effects that differ between respondents.
    """
    from sklearn.ensemble import RandomForestRegressor  # heavy, and needed nowhere else

    encoder = CovariateEncoder.fit(respondents, covariates)
    features = encoder.encode(respondents)
    labels = table[["attribute", "level"]].drop_duplicates(ignore_index=True)
    values = table["estimate"].to_numpy().reshape(-1, len(labels))
    n = len(respondents)
    first = child_rng(seed, "imce/halves").permutation(n) < n // 2
    varies = (values[first].std(axis=0) > 1e-9) & (values[~first].std(axis=0) > 1e-9)
    if not varies.any() or not encoder.features:
        return pd.DataFrame(columns=["attribute", "level", "covariate", "importance", "n"])
    values, labels = values[:, varies], labels[varies]
    names = list(dict.fromkeys(feature.covariate for feature in encoder.features))
    importances = np.zeros((len(names), values.shape[1]))
    rng = child_rng(seed, "imce/permutations")
    for inside in (first, ~first):
        forest = RandomForestRegressor(
            TREES, min_samples_leaf=5, max_features=1 / 3, n_jobs=1, random_state=int(rng.integers(2**31))
        )
        # One column of targets would be returned without its axis.
        forest.fit(features[inside], values[inside])
        truth = values[~inside]
        baseline = np.mean((forest.predict(features[~inside]).reshape(truth.shape) - truth) ** 2, axis=0)
        for j, name in enumerate(steps(names, "permuted covariates")):
            own = [k for k, feature in enumerate(encoder.features) if feature.covariate == name]
            for _ in range(REPEATS):
                permuted = features[~inside].copy()
                permuted[:, own] = permuted[rng.permutation(len(permuted))][:, own]
                error = np.mean((forest.predict(permuted).reshape(truth.shape) - truth) ** 2, axis=0)
                importances[j] += (error - baseline) / truth.var(axis=0) / (2 * REPEATS)
    return pd.DataFrame(
        {
            "attribute": np.repeat(labels["attribute"].to_numpy(), len(names)),
            "level": np.repeat(labels["level"].to_numpy(), len(names)),
            "covariate": np.tile(np.array(names, dtype=object), len(labels)),
            "importance": importances.T.ravel(),
            "n": n,
        }
    ).astype({"attribute": "str", "level": "str", "covariate": "str"})
