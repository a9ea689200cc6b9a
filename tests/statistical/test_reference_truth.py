"""The committed data of the simulated studies agree with their truth up to sampling error."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2

from nanotarget.clean.samples import read_samples
from nanotarget.petitions.design import Design
from nanotarget.simulate.field import simulate
from nanotarget.simulate.simulate import OUTCOMES, Parameters
from nanotarget.simulate.truth import describe
from simulated_studies import REFERENCE, STUDIES, level_codes

pytestmark = pytest.mark.statistical


@pytest.fixture(scope="module", params=STUDIES, ids=str)
def simulated(request):
    return request.param


@pytest.fixture(scope="module")
def truth(simulated):
    return simulated.truth()


@pytest.fixture(scope="module")
def design(simulated):
    return Design.from_config(simulated.config().design)


@pytest.fixture(scope="module")
def profiles(simulated):
    return simulated.profiles()


def true_amces(truth, outcome, design):
    amce = truth["calibration"][outcome]["amce"]
    return np.array([amce[a.name][level] for a in design.attributes for level in a.levels[1:]])


def amces(levels, outcome, shape):
    """Least squares on level dummies: coefficients and their covariance, clustered by respondent (CR0)."""
    n = len(levels)
    dummies = [levels[..., [a]] == np.arange(1, size) for a, size in enumerate(shape)]
    x = np.concatenate([np.ones((*levels.shape[:3], 1)), *dummies], axis=-1).reshape(
        n, -1, 1 + sum(shape) - len(shape)
    )
    y = outcome.reshape(n, -1)
    seen = ~np.isnan(y)
    x, y = x * seen[..., None], np.where(seen, y, 0)
    bread = np.linalg.inv(np.einsum("ijk,ijl->kl", x, x))
    beta = bread @ np.einsum("ijk,ij->k", x, y)
    scores = np.einsum("ijk,ij->ik", x, y - x @ beta)
    covariance = bread @ (scores.T @ scores) @ bread
    return beta[1:], covariance[1:, 1:]


@pytest.mark.parametrize("outcome", ["rating", "choice"])
def test_amces_are_within_sampling_error(truth, design, profiles, outcome):
    levels, choice, rating = profiles
    assert len(levels) == truth["calibration"]["n"]
    beta, covariance = amces(levels, {"rating": rating, "choice": choice}[outcome], design.shape)
    error = beta - true_amces(truth, outcome, design)
    assert np.abs(error / np.sqrt(np.diag(covariance))).max() < 3.5
    assert chi2.sf(error @ np.linalg.solve(covariance, error), len(error)) > 0.001


def test_levels_are_uniform_and_independent(design, profiles):
    levels = profiles[0].reshape(-1, len(design.shape))
    for a, size in enumerate(design.shape):
        for b in range(a):
            table = np.zeros((size, design.shape[b]))
            np.add.at(table, (levels[:, a], levels[:, b]), 1)
            expected = table.sum() / table.size
            assert chi2.sf(((table - expected) ** 2 / expected).sum(), table.size - 1) > 1e-4


def test_baseline_variance_is_within_sampling_error(truth, design, profiles):
    """Products of residuals of different tasks hold no answering noise; interactions add zero on average."""
    levels, _, rating = profiles
    beta, _ = amces(levels, rating, design.shape)
    starts = np.r_[0, np.cumsum(np.array(design.shape) - 1)]
    effects = [np.r_[0, beta[i:j]] for i, j in pairwise(starts)]
    residual = rating - sum(effect[levels[..., a]] for a, effect in enumerate(effects))
    seen = ~np.isnan(residual)
    answered = seen.any(axis=2)
    centred = np.where(seen, residual - residual[seen].mean(), 0)
    task = centred.sum(axis=2) / np.maximum(seen.sum(axis=2), 1)
    pairs = answered.sum(axis=1) * (answered.sum(axis=1) - 1)
    product = (task.sum(axis=1) ** 2 - (task**2).sum(axis=1)) / pairs
    error = np.std(product) / np.sqrt(len(product))
    assert abs(product.mean() - truth["calibration"]["variance"]["baseline"]) < 3.5 * error


def test_experiment_is_within_sampling_error(simulated, truth):
    kept, _ = simulated.analysed("experiment")
    names = {"control": "Control", "best": "Overall best", "nano": "Nano"}
    scores = []
    for outcome in OUTCOMES:
        values = pd.to_numeric(kept[outcome])
        for contrast, effect in truth["experiment"]["effects"][outcome].items():
            later, earlier = (values[kept.arm == names[arm]].dropna() for arm in contrast.split(" - "))
            error = np.sqrt(later.var() / len(later) + earlier.var() / len(earlier))
            scores.append((later.mean() - earlier.mean() - effect) / error)
    assert np.abs(scores).max() < 3.3


def test_standardised_errors_are_standard_over_replications():
    """In small studies with other seeds the errors of AMCEs and arm contrasts have mean 0 and variance 1."""
    config = REFERENCE.config()
    design = Design.from_config(config.design)
    parameters = Parameters.model_validate(REFERENCE.parameters())
    n, faultless = 300, dict.fromkeys(REFERENCE.parameters()["untidiness"], 0.0)
    samples = [
        s.model_copy(update={"respondents": n, "excluded": dict.fromkeys(s.excluded, 0)})
        for s in (parameters.samples.calibration, parameters.samples.experiment)
    ]
    parts = {
        "samples": parameters.samples.model_copy(
            update=dict(zip(("calibration", "experiment"), samples, strict=True))
        ),
        "untidiness": parameters.untidiness.model_copy(update=faultless),
    }
    parameters = parameters.model_copy(update=parts)
    amce_scores, arm_scores = [], []
    for seed in range(12):
        study = simulate(config, parameters.model_copy(update={"seed": seed}))
        truth = describe(study, [])
        table = study.calibration.iloc[1:]
        levels = np.empty((n, 6, 2, len(design.shape)), dtype=int)
        rating = np.empty((n, 6, 2))
        for t, p in np.ndindex(6, 2):
            for a, attribute in enumerate(design.attributes):
                column = table[f"task{t + 1}_profile{p + 1}_{attribute.column}"]
                levels[:, t, p, a] = level_codes(column, attribute)
            rating[:, t, p] = pd.to_numeric(table[f"task{t + 1}_profile{p + 1}_rating"])
        beta, covariance = amces(levels, rating, design.shape)
        amce_scores.append((beta - true_amces(truth, "rating", design)) / np.sqrt(np.diag(covariance)))
        support = pd.to_numeric(study.experiment["support"].iloc[1:]).to_numpy(dtype=float)
        best, control = support[study.arms == "best"], support[study.arms == "control"]
        error = np.sqrt(best.var(ddof=1) / len(best) + control.var(ddof=1) / len(control))
        effect = truth["experiment"]["effects"]["support"]["best - control"]
        arm_scores.append((best.mean() - control.mean() - effect) / error)
    amce_scores = np.concatenate(amce_scores)
    assert abs(amce_scores.mean()) < 0.3
    assert 0.75 < (amce_scores**2).mean() < 1.3
    assert abs(np.mean(arm_scores)) < 3.3 / np.sqrt(len(arm_scores))


def test_the_pipeline_cleans_to_the_same_answers(simulated, design, profiles):
    """`clean` against a few plain lines: same people, petitions and answers."""
    config = simulated.config()
    sections = {
        name: getattr(config, name).model_copy(update={"file": str(simulated.data / f"{name}.csv")})
        for name in ("calibration", "experiment")
    }
    cleaned = read_samples(config.model_copy(update=sections), design)
    levels, choice, rating = profiles
    plain = pd.DataFrame(levels.reshape(-1, levels.shape[3]), columns=design.names)
    plain = plain.assign(choice=choice.ravel(), rating=rating.ravel())
    plain["id"] = np.repeat(simulated.usable().ResponseId.to_numpy(), levels.shape[1] * levels.shape[2])
    plain["place"] = np.tile(np.arange(levels.shape[1] * levels.shape[2]), len(levels))
    plain = plain.dropna(subset=["choice", "rating"]).sort_values(["id", "place"])
    table = cleaned.calibration.profiles.dropna(subset=["choice", "rating"])
    assert (table["respondent_id"].to_numpy() == plain["id"].to_numpy()).all()
    assert (design.codes(table) == plain[design.names].to_numpy()).all()
    assert (table[["choice", "rating"]].to_numpy() == plain[["choice", "rating"]].to_numpy()).all()
    kept, _ = simulated.analysed("experiment")
    kept = kept.sort_values("ResponseId")
    people = cleaned.experiment.respondents
    assert (people["respondent_id"].to_numpy() == kept["ResponseId"].to_numpy()).all()
    for outcome in OUTCOMES:
        np.testing.assert_array_equal(people[outcome], pd.to_numeric(kept[outcome]).to_numpy(dtype=float))
