"""What is true in a simulated study: effects, heterogeneity and values of policies, computed, not estimated.

Everything is the expectation over answering noise and the design for the people who were actually
drawn, in the units in which they answered; only randomisation and noise are left for an estimate to err by.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from nanotarget.petitions.design import Design
from nanotarget.petitions.encoding import split_levels
from nanotarget.petitions.score import best_petitions
from nanotarget.petitions.utilities import part_worths
from nanotarget.simulate.simulate import (
    ARMS,
    OUTCOMES,
    SCALE_TOP,
    People,
    Study,
    expected_outcomes,
    latent_by_arm,
    rated,
    rating_reaches,
    response,
)
from nanotarget.study.config import GroupConfig, SubgroupConfig

STEP = 1e-3  # grid of latent responses on which expected ratings are tabulated, in points
CHUNK = 100  # people whose whole grid of petitions is held at once
DECIMALS = 6  # of what is written: far below any sampling error, far above rounding differences of machines


@dataclass(frozen=True)
class Landscape:
    """Expected ratings of every petition of the grid by n people.

    Attributes:
        value: (n_petitions,) mean over people, by petition id.
        person: (n,) mean over petitions.
        level: (n, sum of levels) mean over the petitions that have the level, minus `person`.
        within: mean over people of the variance over petitions.
        noise: mean variance of a rating around its expectation.
    """

    value: np.ndarray
    person: np.ndarray
    level: np.ndarray
    within: float
    noise: float


def landscape(people: People, design: Design, noise_sd: float) -> Landscape:
    """Evaluate every person on every petition of a full factorial design with uniform levels."""
    parts = split_levels(people.partworths, design)
    low = float((people.baseline + sum(part.min(axis=1) for part in parts)).min())
    high = float((people.baseline + sum(part.max(axis=1) for part in parts)).max())
    axis = np.arange(low, high + 2 * STEP, STEP)
    expectation = rated(axis, noise_sd)
    levels = design.petition_levels(np.arange(design.n_feasible))
    has = np.hstack([levels[:, [a]] == np.arange(size) for a, size in enumerate(design.shape)]).astype(float)

    value = np.zeros(len(levels))
    person, level, within = np.empty(len(people)), np.empty(people.partworths.shape), 0.0
    counts = np.zeros(len(axis))
    for start in range(0, len(people), CHUNK):
        rows = slice(start, start + CHUNK)
        latent = people.baseline[rows, None]
        for part in parts:
            latent = (latent[:, :, None] + part[rows, None, :]).reshape(len(latent), -1)
        place = ((latent - low) / STEP + 0.5).astype(np.int32)
        ratings = expectation[place]
        counts += np.bincount(place.ravel(), minlength=len(axis))
        value += ratings.sum(axis=0)
        person[rows] = ratings.mean(axis=1)
        level[rows] = ratings @ (has / has.sum(axis=0)) - person[rows, None]
        within += float(ratings.var(axis=1).sum())
    noise = float(counts @ _rating_variance(axis, noise_sd) / counts.sum())
    return Landscape(value / len(people), person, level, within / len(people), noise)


def _rating_variance(latent: np.ndarray, noise_sd: float) -> np.ndarray:
    """Variance of a rating: E[Y^2] = sum over k of (2k - 1) P(Y >= k), with `rated` as E[Y]."""
    reaches = rating_reaches(latent, noise_sd)
    return np.tensordot(2 * np.arange(1, SCALE_TOP + 1) - 1, reaches, axes=1) - reaches.sum(axis=0) ** 2


def choice_means(people: People, design: Design, noise_sd: float) -> np.ndarray:
    """Return (n, sum of levels) probabilities to choose a petition with the level over another one.

    Both petitions are otherwise drawn from the uniform design; the choice follows the difference D of
    latent responses plus normal noise, so that P = E[Phi(D / noise_sd)]. With part-worths that add up, the
    characteristic function of D is a product over attributes, and
    P = 1/2 + 1/pi times the integral over t > 0 of Im(phi_D(t)) exp(-(noise_sd t)^2 / 2) / t
    (Gil-Pelaez 1951).

    Args:
        noise_sd: of the difference.
    """
    nodes, weights = np.polynomial.legendre.leggauss(96)
    t = (nodes + 1) * 4.5 / noise_sd  # the normal factor is below 1e-17 at the end
    weights = weights * 4.5 / noise_sd * np.exp(-((noise_sd * t) ** 2) / 2) / t / np.pi
    waves = [np.exp(1j * part[:, :, None] * t) for part in split_levels(people.partworths, design)]
    means = [wave.mean(axis=1) for wave in waves]
    both = np.prod([np.abs(mean) ** 2 for mean in means], axis=0)
    return 0.5 + np.hstack(
        [
            (wave * (mean.conj() * both / np.abs(mean) ** 2)[:, None, :]).imag @ weights
            for wave, mean in zip(waves, means, strict=True)
        ]
    )


def describe(study: Study, subgroups: Sequence[SubgroupConfig]) -> dict[str, Any]:
    """Return the whole truth of a study as plain data, numbers rounded to six decimals."""
    design, parameters = study.design, study.parameters
    calibration, experiment = study.calibration_people, study.experiment_people
    answered = landscape(calibration, design, parameters.noise_sd)
    deployed = landscape(experiment, design, parameters.noise_sd)
    choice_noise = np.sqrt(2 * parameters.noise_sd**2 + parameters.choice_noise_sd**2)
    truth = {
        "note": "The data of this folder are simulated; this is what is true in them. See data/README.md",
        "calibration": {
            "n": len(calibration),
            "rating": _effects(answered.level.mean(axis=0), float(answered.value.mean()), design),
            "choice": _effects(
                choice_means(calibration, design, choice_noise).mean(axis=0) - 0.5, 0.5, design
            ),
            "variance": _variances(answered, design),
            "latent": _latent(calibration, design),
            "policies": _policies(calibration, answered, design, parameters.noise_sd),
        },
        "experiment": {
            "n": len(experiment),
            "policies": _policies(experiment, deployed, design, parameters.noise_sd),
            "fielded": _fielded(study),
            **_arms(study, np.ones(len(experiment), dtype=bool)),
        },
        "subgroups": {
            subgroup.name: {
                group.name: _group(study, answered, deployed, subgroup.covariate, group)
                for group in subgroup.groups
            }
            for subgroup in subgroups
        },
    }
    return _rounded(truth)


def respondents(study: Study) -> pd.DataFrame:
    """Return one row per person of the experiment: arm, nano petition, every expected potential outcome."""
    latent = latent_by_arm(study.experiment_people, study.policies, study.design, study.parameters)
    expected = {arm: expected_outcomes(latent[arm], study.parameters) for arm in ARMS}
    table = pd.DataFrame(
        {
            "respondent_id": study.respondent_ids,
            "arm": study.arms,
            "opt_out": study.opt_out,
            "nano_petition_id": study.design.petition_ids(study.policies.nano),
            **{
                f"{outcome}_{arm}": expected[arm][outcome].round(DECIMALS)
                for outcome in OUTCOMES
                for arm in ARMS
            },
        }
    )
    return table.sort_values("respondent_id", ignore_index=True)


def _named(values: np.ndarray, design: Design) -> dict[str, dict[str, float]]:
    """Return values of all levels as {attribute: {level: value}}."""
    return {
        a.name: dict(zip(a.levels, part.tolist(), strict=True))
        for a, part in zip(design.attributes, split_levels(values, design), strict=True)
    }


def _effects(deviations: np.ndarray, mean: float, design: Design) -> dict[str, Any]:
    amce = np.concatenate([part - part[0] for part in split_levels(deviations, design)])
    return {
        "mean": mean,
        "marginal_means": _named(mean + deviations, design),
        "amce": _named(amce, design),
    }


def _variances(evaluated: Landscape, design: Design) -> dict[str, Any]:
    """Split the variance of ratings: between people, common to all, person x message, noise.

    By attribute: variance over its levels of the common effect and of a person's deviation from it.
    """
    message = float(evaluated.value.var())
    deviation = evaluated.within - message
    common = evaluated.level.mean(axis=0)
    return {
        "baseline": float(evaluated.person.var()),
        "message": message,
        "person_by_message": deviation,
        "noise": evaluated.noise,
        "interaction_share": deviation / (message + deviation),
        "by_attribute": {
            a.name: {"message": float(main.var()), "person_by_message": float(((own - main) ** 2).mean())}
            for a, main, own in zip(
                design.attributes,
                split_levels(common, design),
                split_levels(evaluated.level, design),
                strict=True,
            )
        },
    }


def _latent(people: People, design: Design) -> dict[str, Any]:
    """Describe part-worths before rounding and clipping; how much of their spread do covariates predict?"""
    common = people.partworths.mean(axis=0)
    own = ((people.partworths - common) ** 2).mean(axis=0)
    predictable = ((people.predictable - people.predictable.mean(axis=0)) ** 2).mean(axis=0)
    total = [sum(float(part.mean()) for part in split_levels(v, design)) for v in (own, predictable)]
    return {
        "main_effects": _named(common, design),
        "deviation_sd": _named(np.sqrt(own), design),
        "predictable_sd": _named(np.sqrt(predictable), design),
        "predictable_share": total[1] / total[0],
    }


def _petition(levels: np.ndarray, design: Design) -> dict[str, Any]:
    texts = {a.name: a.levels[code] for a, code in zip(design.attributes, levels, strict=True)}
    return {"petition_id": int(design.petition_ids(levels[None])[0]), "levels": texts}


def _extremes(evaluated: Landscape, design: Design) -> tuple[np.ndarray, np.ndarray]:
    """Return the levels of the petitions of highest and lowest mean rating."""
    best, worst = design.petition_levels(np.array([evaluated.value.argmax(), evaluated.value.argmin()]))
    return best, worst


def _policies(people: People, evaluated: Landscape, design: Design, noise_sd: float) -> dict[str, Any]:
    """Describe the policies that nobody can beat, with their mean expected rating."""
    best, worst = _extremes(evaluated, design)
    return {
        "random": {"value": float(evaluated.value.mean())},
        "overall_best": _petition(best, design) | {"value": float(evaluated.value.max())},
        "overall_worst": _petition(worst, design) | {"value": float(evaluated.value.min())},
        **_gains(people, best, worst, design, noise_sd),
    }


def _gains(
    people: People, best: np.ndarray, worst: np.ndarray, design: Design, noise_sd: float
) -> dict[str, dict[str, float]]:
    """Return what oracles add to the overall-best (subtract from the overall-worst) petition.

    The oracle `mind_reader` knows every part-worth; the covariate oracle knows all that covariates tell; in a
    panel the answers oracle adds to that what people's own answers tell, by the true variances.
    """
    oracles = {"mind_reader": people.partworths, "covariate_oracle": people.predictable}
    if people.informed is not None:
        oracles["answers_oracle"] = people.informed
    gains: dict[str, dict[str, float]] = {}
    for oracle, utilities in oracles.items():
        for direction, sign, common in (("gain", 1, best), ("dissuasion_gain", -1, worst)):
            chosen = best_petitions(part_worths(sign * utilities, design))
            reference = np.tile(common, (len(people), 1))
            difference = rated(response(people, chosen, design), noise_sd) - rated(
                response(people, reference, design), noise_sd
            )
            gains.setdefault(oracle, {})[direction] = sign * float(difference.mean())
            gains[oracle][f"{direction}_share_divergent"] = float((chosen != reference).any(axis=1).mean())
    return gains


def _fielded(study: Study) -> dict[str, Any]:
    """Describe the petitions that the experiment showed, and would have shown under nano."""
    design, nano = study.design, study.policies.nano
    shown = design.petition_ids(nano[study.arms == "nano"])
    return {
        "best": _petition(study.policies.best, design),
        "nano_distinct_in_arm": len(np.unique(shown)),
        "nano_distinct_if_all": len(np.unique(design.petition_ids(nano))),
        "nano_share_divergent": float((nano != study.policies.best).any(axis=1).mean()),
        "nano_share_divergent_by_attribute": dict(
            zip(design.names, (nano != study.policies.best).mean(axis=0).tolist(), strict=True)
        ),
    }


def _arms(study: Study, among: np.ndarray) -> dict[str, Any]:
    """Return mean potential outcomes and average effects of the arms among some people of the experiment."""
    latent = latent_by_arm(study.experiment_people, study.policies, study.design, study.parameters)
    means = {
        arm: {
            name: float(value[among].mean())
            for name, value in expected_outcomes(latent[arm], study.parameters).items()
        }
        for arm in ARMS
    }
    return {
        "means": {outcome: {arm: means[arm][outcome] for arm in ARMS} for outcome in OUTCOMES},
        "effects": {
            outcome: {f"{b} - {a}": means[b][outcome] - means[a][outcome] for a, b in combinations(ARMS, 2)}
            for outcome in OUTCOMES
        },
    }


def _group(
    study: Study, answered: Landscape, deployed: Landscape, covariate: str, group: GroupConfig
) -> dict[str, Any]:
    """Describe one group of each sample; oracles are compared with the petitions best and worst for all."""
    design, noise_sd = study.design, study.parameters.noise_sd
    result: dict[str, Any] = {}
    for sample, people, evaluated in (
        ("calibration", study.calibration_people, answered),
        ("experiment", study.experiment_people, deployed),
    ):
        values = people.covariates[covariate].to_numpy()
        low, high = (
            (-np.inf if group.min is None else group.min),
            (np.inf if group.max is None else group.max),
        )
        among = (values >= low) & (values <= high)
        members = people.take(np.flatnonzero(among))
        result[sample] = {
            "n": len(members),
            **_gains(members, *_extremes(evaluated, design), design, noise_sd),
        }
        if sample == "experiment":
            result[sample] |= _arms(study, among)
    return result


def _rounded(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _rounded(entry) for key, entry in value.items()}
    return round(value, DECIMALS) + 0.0 if isinstance(value, float) else value
