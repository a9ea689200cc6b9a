"""Person-specific part-worths with learned shrinkage: the hierarchical model of conjoint analysis.

Utility of petition x for respondent i with covariate features z_i:
    eta_i(x) = d(x)' theta_i,   theta_i = b + T' z_i + e_i,
    e_ia ~ N(0, tau_a^2 C_a),   T_ja ~ N(0, gamma_a^2 C_a)   for every attribute a and feature j,
d(x) the centred level indicators and C_a the covariance of exchangeable levels after centring, scaled
to a mean variance of one level of 1. tau_a is the standard deviation between people that covariates
do not explain, gamma_a the scale of what they do; both are learned, and both can be exactly zero.
Ratings are y = u_i + eta_i(x) + noise with u_i free (a respondent's mean drops out); choices between
the two petitions of a task are a logit of the difference of utilities.

Only contrasts of levels can be learned, so all work is done on an orthonormal basis of contrasts, in
which both covariances are multiples of the identity. Integrating out e_i leaves, for each respondent,
    W_i = G_i - G_i P_i G_i,   P_i = (G_i + D^-1)^-1,   D = diag(tau_a^2) in that basis,
instead of her moments G_i in the normal equations of b and T (Lindley & Smith 1972); P_i is also the
covariance of e_i given her own answers. The variances maximise the restricted likelihood, in which b
and T are integrated out too (Patterson & Thompson 1971), by Fisher scoring.

Choices: expectation propagation (Minka 2001) replaces every task by a Gaussian with the moments that
the logit gives it, so that the same equations hold with G_i = sum l x x', c_i = sum n x of the sites
(l, n); at its fixed point the gradient of the approximate evidence is that of the Gaussian model.
Unlike a Laplace approximation it is accurate for few binary answers per person. theta_i is then on the
scale of one person's log-odds; `utilities` of people of whom only covariates are known are flattened
to the log-odds of the choice averaged over e_i (`Response.flattening`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import scipy.linalg

from nanotarget.calibrate.learners.base import (
    DRAWS,
    AdditiveModel,
    NotConverged,
    TrainingData,
    centre_utilities,
)
from nanotarget.calibrate.learners.ridge import (
    Moments,
    compared_moments,
    joint_moments,
    paired_differences,
    second_moments,
)
from nanotarget.petitions.design import Design
from nanotarget.petitions.encoding import CovariateEncoder, contrasts
from nanotarget.petitions.utilities import Tables, additive_layout
from nanotarget.study.problems import Problem
from nanotarget.study.seeds import child_rng

STEPS = 100
TOLERANCE = 1e-4  # largest change of a variance, relative to its own size or a share of the noise
START = 0.02  # first guess of each variance, relative to the noise of one answer
FLAT = 1e-3  # gain of -2 log likelihood in a step below which it is flat
FLOOR = 1e-9  # variances below are zero
CRITICAL_RATIO = 5.41  # 1% point of a likelihood ratio at the edge of the parameters (Self & Liang 1987)
CHOICE_TOLERANCE = 1e-2  # of the variances learned from choices: far below their sampling error
GAP = 3e-3  # largest change of a site at which expectation propagation stops
SWEEPS = 5  # and its largest number of rounds between two steps of the variances
HERMITE_NODES, HERMITE_WEIGHTS = np.polynomial.hermite_e.hermegauss(31)


def coordinates(design: Design) -> tuple[np.ndarray, np.ndarray]:
    """Describe the coordinates of `encoding.contrasts`, in which exchangeable levels are independent.

    Returns:
        attribute (K,) of each column of the basis; unit (n_attributes,): variance of a coordinate that
        gives centred levels a mean variance of 1 under the design.
    """
    attribute = np.repeat(np.arange(len(design.shape)), np.array(design.shape) - 1)
    squares = [np.sum(design.level_probabilities(a) ** 2) for a in range(len(design.shape))]
    return attribute, 1 / (1 - np.array(squares))


@dataclass(frozen=True)
class Evidence:
    """The Gaussian model at given variances.

    Attributes:
        coefficients: (1+q, K) posterior mean of b and T.
        covariance: ((1+q) K, (1+q) K) their posterior covariance, in units of the noise variance.
        noise: noise variance that maximises the likelihood (1 where it is fixed).
        objective: -2 log restricted likelihood, up to a constant.
        gradient: (2 n_attributes,) of the log-likelihood by the variances of e, then of T.
        information: their (2 n_attributes)^2 Fisher information.
        own: (n, K) posterior mean of e_i given a respondent's own answers.
        own_covariance: (n, K, K) posterior covariance of theta_i, in units of the noise variance.
    """

    coefficients: np.ndarray
    covariance: np.ndarray
    noise: float
    objective: float
    gradient: np.ndarray
    information: np.ndarray
    own: np.ndarray
    own_covariance: np.ndarray


@dataclass(frozen=True)
class VarianceProblem:
    """What the variances are learned from.

    Attributes:
        moments: of the answers on the basis of contrasts, in units of the noise of one answer.
        features: (n, q).
        weight: (n,) a respondent of weight 2 counts like two.
        attribute: (K,) attribute of each contrast.
        prior: (K,) prior precision of b: the information of a single average respondent, so that levels
            never shown do no harm.
        answers: degrees of freedom of the noise.
        noise_known: whether the variance of the noise is 1 (choices) rather than learned (ratings).
        rate: (n_attributes,) of the exponential prior of the variances of e; 0 is flat.
    """

    moments: Moments
    features: np.ndarray
    weight: np.ndarray
    attribute: np.ndarray
    prior: np.ndarray
    answers: float
    noise_known: bool
    rate: np.ndarray


def shrinkage(gram: np.ndarray, variance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return P = (G + D^-1)^-1 and log |I + G D| of every respondent; variances may be zero.

    Args:
        gram: (n, K, K).
        variance: (K,) diagonal of D.
    """
    root = np.sqrt(variance)
    matrix = gram * (root[:, None] * root)
    matrix[:, np.arange(len(root)), np.arange(len(root))] += 1
    factor = np.linalg.cholesky(matrix)
    log_determinant = 2 * np.log(np.diagonal(factor, axis1=1, axis2=2)).sum(axis=1)
    return np.linalg.inv(matrix) * (root[:, None] * root), log_determinant


def evidence(problem: VarianceProblem, variances: np.ndarray) -> Evidence:
    """Evaluate the restricted likelihood, its derivatives and the posterior.

    Args:
        variances: (2, n_attributes) variances of a coordinate of e and T relative to the noise; those of T
            are positive.
    """
    gram, cross, square = problem.moments.gram, problem.moments.cross, problem.moments.square
    weight, attribute = problem.weight, problem.attribute
    n, size = cross.shape
    between, specific = variances[0][attribute], variances[1][attribute]
    shrunk, log_determinant = shrinkage(gram, between)
    reduced = gram @ shrunk
    information = gram - reduced @ gram
    score = cross - np.einsum("ijk,ik->ij", reduced, cross)
    z = np.column_stack([np.ones(n), problem.features])
    q = z.shape[1]
    joint, right = joint_moments(Moments(information, score, square), problem.features, weight)
    precision = np.concatenate([problem.prior, np.tile(1 / specific, q - 1)])
    joint[np.diag_indices(len(joint))] += precision
    factor = scipy.linalg.cho_factor(joint, lower=True, check_finite=False)
    solution = scipy.linalg.cho_solve(factor, right, check_finite=False)
    covariance = scipy.linalg.lapack.dpotri(factor[0], lower=1)[0]
    covariance = np.tril(covariance) + np.tril(covariance, -1).T

    squares = weight @ (square - np.einsum("ij,ijk,ik->i", cross, shrunk, cross)) - right @ solution
    noise = 1.0 if problem.noise_known else squares / problem.answers
    objective = weight @ log_determinant + 2 * np.log(np.diag(factor[0])).sum() - np.log(precision).sum()
    objective += 2 * problem.rate @ variances[0]
    objective += squares if problem.noise_known else problem.answers * np.log(noise)

    coefficients = solution.reshape(q, size)
    fitted = z @ coefficients
    residual = score - np.einsum("ijk,ik->ij", information, fitted)
    # Covariance of z_i' A a respondent: what is unknown about the mean of people like her.
    arranged = covariance.reshape(q, size, q, size).transpose(0, 2, 1, 3).reshape(q * q, size * size)
    mean_covariance = ((z[:, :, None] * z[:, None, :]).reshape(n, q * q) @ arranged).reshape(n, size, size)
    kept = np.eye(size) - reduced.transpose(0, 2, 1)
    own_covariance = shrunk + kept @ mean_covariance @ kept.transpose(0, 2, 1)

    count = variances.shape[1]
    member = np.eye(count)[attribute]
    slack = np.einsum("ijk,ikj->ij", information @ mean_covariance, information)
    trace = weight @ (np.diagonal(information, axis1=1, axis2=2) - slack) @ member
    explained = weight @ residual**2 @ member
    fisher = member.T @ np.einsum("i,ijk->jk", weight, information**2) @ member
    # The same for T, whose "answers" are its coefficients: R = prior - prior covariance prior.
    scaled = precision[size:, None] * covariance[size:, size:] * precision[size:]
    rest = np.diag(precision[size:]) - scaled
    features_member = np.tile(member, (q - 1, 1))
    trace = np.append(trace, np.diag(rest) @ features_member)
    explained = np.append(explained, (precision[size:] * solution[size:]) ** 2 @ features_member)
    fisher = scipy.linalg.block_diag(fisher, features_member.T @ rest**2 @ features_member)
    if not problem.noise_known:  # less what is lost because the noise variance is learned, too
        fisher -= np.outer(trace, trace) / problem.answers
    return Evidence(
        coefficients=coefficients,
        covariance=covariance,
        noise=float(noise),
        objective=float(objective),
        gradient=(explained / noise - trace) / 2 - np.append(problem.rate, np.zeros(count)),
        information=fisher / 2,
        own=np.einsum("ijk,ik->ij", shrunk, cross - np.einsum("ijk,ik->ij", gram, fitted)),
        own_covariance=own_covariance,
    )


def fisher_step(model: Evidence, variances: np.ndarray) -> np.ndarray:
    """Return the variances after one step of Fisher scoring, none below `FLOOR`."""
    flat = variances.ravel()
    free = ((flat > FLOOR) | (model.gradient > 0)) & (np.diag(model.information) > 0)
    step = np.zeros(len(flat))
    step[free] = np.linalg.lstsq(model.information[np.ix_(free, free)], model.gradient[free])[0]
    new = np.where(free, flat + step, FLOOR)
    # Far from the optimum the quadratic approximation may leap; ten-fold steps are enough.
    return np.clip(new, FLOOR, 10 * np.maximum(flat, START)).reshape(variances.shape)


def settled(new: np.ndarray, old: np.ndarray) -> bool:
    """Whether variances have stopped moving."""
    return bool(np.all(np.abs(new - old) <= TOLERANCE * (old + START)))


def drop_weak(
    problem: VarianceProblem, variances: np.ndarray, model: Evidence
) -> tuple[np.ndarray, Evidence]:
    """Set to zero the variances of T that the data do not ask for.

    Without predictable differences half of all estimates are above zero by chance, and every one of them
    would give people different petitions. One stays if without it -2 log likelihood rises by
    `CRITICAL_RATIO`.
    """
    kept = variances.copy()
    for a in np.flatnonzero(variances[1] > FLOOR):
        without = variances.copy()
        without[1, a] = FLOOR
        if evidence(problem, without).objective - model.objective < CRITICAL_RATIO:
            kept[1, a] = FLOOR
    return kept, model if np.array_equal(kept, variances) else evidence(problem, kept)


def learn_linear(problem: VarianceProblem, count: int) -> tuple[np.ndarray, Evidence]:
    """Maximise the restricted likelihood of answers of one petition each.

    Args:
        count: number of attributes.

    Returns:
        (2, n_attributes) variances relative to the noise, and the model at them.
    """
    variances = np.full((2, count), START)
    model = evidence(problem, variances)
    for _ in range(STEPS):
        target = fisher_step(model, variances)
        tried = evidence(problem, target)
        while tried.objective > model.objective + 1e-6 and not settled(target, variances):
            target = (target + variances) / 2
            tried = evidence(problem, target)
        done, gained = settled(target, variances), model.objective - tried.objective
        variances, model = target, tried
        if done:
            return variances, model
    # Few answers leave a likelihood so flat that steps along it go on for ever and gain nothing.
    if gained < FLAT:
        return variances, model
    raise _no_convergence()


@dataclass(frozen=True)
class Sites:
    """The Gaussian that stands for each choice: precision and precision times mean, (n_tasks,)."""

    precision: np.ndarray
    shift: np.ndarray

    def moments(self, difference: np.ndarray, starts: np.ndarray) -> Moments:
        """Moments of the choices, as if their utility differences had been measured."""
        return second_moments(difference, self.shift / self.precision, self.precision, starts)


def propagate(sites: Sites, sign: np.ndarray, mean: np.ndarray, variance: np.ndarray) -> Sites:
    """Match every site to the moments of its logit under the posterior without that site.

    Args:
        sign: (n_tasks,) 1 if the first petition was chosen, else -1.
        mean: (n_tasks,) posterior mean of the difference of utilities.
        variance: (n_tasks,) its posterior variance.
    """
    variance = np.maximum(variance, 1e-6)  # zero in a task that shows the same petition twice
    cavity = 1 / variance - sites.precision
    cavity_mean = (mean / variance - sites.shift) / cavity
    nodes = cavity_mean[:, None] + HERMITE_NODES / np.sqrt(cavity)[:, None]
    mass = HERMITE_WEIGHTS / (1 + np.exp(-sign[:, None] * nodes))
    mass /= mass.sum(axis=1, keepdims=True)
    matched = np.sum(mass * nodes, axis=1)
    spread = np.sum(mass * (nodes - matched[:, None]) ** 2, axis=1)
    precision = np.maximum(1 / spread - cavity, 1e-8)
    return Sites(precision, matched / spread - cavity_mean * cavity)


def learn_logit(
    difference: np.ndarray, chosen: np.ndarray, starts: np.ndarray, problem: VarianceProblem, count: int
) -> tuple[np.ndarray, Evidence, Moments]:
    """Maximise the approximate likelihood of choices; sites and variances move in turn.

    Args:
        difference: (n_tasks, K) difference of the petitions' contrasts, sorted by respondent.
        chosen: (n_tasks,) whether the first was chosen.
        starts: (n,) first task of each respondent.
        problem: with moments of the first guess.
        count: number of attributes.

    Returns:
        (2, n_attributes) variances, the model at them, and the moments of the final sites.
    """
    sign = 2 * chosen - 1
    who = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(chosen))))
    z = np.column_stack([np.ones(len(starts)), problem.features])
    size = np.bincount(problem.attribute) * np.array([[1], [problem.features.shape[1]]])
    variances = np.full((2, count), START)
    sites = first_sites(chosen)
    pace, last = 1.0, np.inf
    before: tuple[float, float] | None = None
    curvature: float | None = None
    for _ in range(STEPS):
        for _ in range(SWEEPS):
            moments = sites.moments(difference, starts)
            model = evidence(replace(problem, moments=moments), variances)
            part_worths = z @ model.coefficients + model.own
            mean = np.einsum("ij,ij->i", difference, part_worths[who])
            spread = difference[:, None, :] @ model.own_covariance[who]
            old, sites = sites, propagate(sites, sign, mean, np.einsum("ijk,ik->i", spread, difference))
            moved = np.abs(sites.precision - old.precision) + np.abs(sites.shift - old.shift)
            if moved.max() < GAP:
                break
        new = fisher_step(model, variances)
        # Choices hardly tell the scale of all variances together, the sites move with it, and scoring
        # crawls in that direction: take a secant step there, in log scale, whenever two steps gave one.
        scale, slope = np.log(np.sum(size * variances)), float(model.gradient @ variances.ravel())
        if before is not None and abs(scale - before[0]) > 1e-3:
            bend = (before[1] - slope) / (scale - before[0])
            curvature = bend if bend > 0 else curvature
        before = (scale, slope)
        if curvature is not None:
            wanted = np.clip(slope / curvature, -1, 1)
            new = np.maximum(new * np.exp(scale + wanted - np.log(np.sum(size * new))), FLOOR)
        change = float(np.max(np.abs(new - variances) / (variances + START)))
        if change < CHOICE_TOLERANCE:
            return variances, model, moments
        pace = max(pace / 2, 0.25) if change > 0.9 * last else min(1.0, 1.25 * pace)
        last = change
        variances = variances + pace * (new - variances)
    raise _no_convergence()


def _no_convergence() -> NotConverged:
    return NotConverged(
        [
            Problem(
                "calibration",
                "learner 'hierarchical'",
                "its variances did not converge: the answers hardly tell how much people differ",
                "more answers per respondent, or more respondents",
                "choose another learner in key calibrate.learner",
            )
        ]
    )


def first_sites(chosen: np.ndarray) -> Sites:
    """Sites that expand the logit at a difference of zero."""
    return Sites(np.full(len(chosen), 0.25), chosen - 0.5)


@dataclass(frozen=True)
class OwnAnswers:
    """What the training respondents' own answers say about them, on contrasts, noise divided out.

    Attributes:
        respondent_id: (n,) who.
        gram: (n, K, K) information of the answers.
        cross: (n, K) the same times what the answers say.
    """

    respondent_id: np.ndarray
    gram: np.ndarray
    cross: np.ndarray

    @classmethod
    def of(cls, data: TrainingData, moments: Moments, noise: float) -> OwnAnswers:
        """Take the answers from their moments on contrasts and the variance of one."""
        return cls(
            respondent_id=data.respondents["respondent_id"].to_numpy(dtype="U"),
            # Symmetric to the last bit, so that the half that is stored says all.
            gram=(moments.gram + moments.gram.transpose(0, 2, 1)) / (2 * noise),
            cross=moments.cross / noise,
        )

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return the answers as arrays, of the symmetric matrices one half."""
        j, k = np.triu_indices(self.gram.shape[1])
        return {**vars(self), "gram": self.gram[:, j, k]}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> OwnAnswers:
        """Rebuild the answers from `to_arrays`."""
        cross = arrays["cross"]
        gram = np.empty((len(cross), cross.shape[1], cross.shape[1]))
        j, k = np.triu_indices(cross.shape[1])
        gram[:, j, k] = gram[:, k, j] = arrays["gram"]
        return cls(arrays["respondent_id"], gram, cross)

    def rows_of(self, respondent_id: pd.Series) -> np.ndarray:
        """Return the (m,) row of each person; -1 for who has no own answers."""
        return pd.Index(self.respondent_id).get_indexer(respondent_id)


@dataclass(frozen=True)
class HierarchicalModel(AdditiveModel):
    """An additive model that also knows how much people differ and, in a panel, what each has answered.

    Utilities of people known by covariates are those of `AdditiveModel`. They and own utilities are
    flattened (`Response.flattening`). Draws are on the scale of a person's own log-odds and include the part
    e_i that covariates do not show; the learned variances are taken as known. The same person has the same
    draws on whatever roster.

    Attributes:
        between: (K,) variance of a contrast of e_i.
        scale: factor by which the coefficients are flattened; 1 for ratings.
        own: answers of the training respondents that a policy may use; None without a panel.
        seed: of the draws of e_i.
    """

    between: np.ndarray
    scale: float
    own: OwnAnswers | None
    seed: int

    def utilities(self, respondents: pd.DataFrame) -> Tables:
        """Return utilities given covariates and, for people of the panel, their own answers."""
        tables = super().utilities(respondents)
        if self.own is None:
            return tables
        rows = self.own.rows_of(respondents["respondent_id"])
        known = rows >= 0
        prior = self._contrasts(tables.cells[known]) / self.scale
        shrunk, _ = shrinkage(self.own.gram[rows[known]], self.between)
        utilities = _posterior_mean(self.own, rows[known], prior, shrunk) @ self._part_worths
        variance = np.einsum("kl,ikm,ml->il", self._part_worths, shrunk, self._part_worths)
        shares = [self.design.level_probabilities(a) for a in range(len(self.design.shape))]
        utilities *= self.response.flattening(variance @ np.concatenate(shares))[:, None]
        cells = tables.cells.copy()
        cells[known] = utilities
        return Tables(tables.layout, cells)

    def draw_tables(self, respondents: pd.DataFrame) -> Iterator[Tables]:
        """Yield part-worths of respondents in each posterior draw."""
        features = self.features(respondents)
        root = np.broadcast_to(
            np.diag(np.sqrt(self.between)), (len(features), *[len(self.between)] * 2)
        ).copy()
        rows = np.full(len(features), -1)
        if self.own is not None:
            rows = self.own.rows_of(respondents["respondent_id"])
            shrunk, _ = shrinkage(self.own.gram[rows[rows >= 0]], self.between)
            root[rows >= 0] = _root(shrunk)
        noise = np.stack(
            [
                child_rng(self.seed, f"hierarchical/draws of {name}").normal(size=(DRAWS, len(self.between)))
                for name in respondents["respondent_id"]
            ],
            axis=1,
        )
        for coefficients, standard in zip(self.draws, noise, strict=True):
            drawn = self._contrasts(features @ coefficients)
            if self.own is not None:
                drawn[rows >= 0] = _posterior_mean(self.own, rows[rows >= 0], drawn[rows >= 0], shrunk)
            drawn += np.einsum("ijk,ik->ij", root, standard)
            yield Tables(self.layout, drawn @ self._part_worths)

    def _contrasts(self, cells: np.ndarray) -> np.ndarray:
        """Return the (n, K) contrasts of (n, total levels) part-worths, whatever their means."""
        return cells @ contrasts(self.design)

    @property
    def _part_worths(self) -> np.ndarray:
        """(K, total levels) from contrasts to centred part-worths."""
        return centre_utilities(contrasts(self.design).T, self.design)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return what the model has learned; people's own answers are among it in a panel only."""
        arrays = {**super().arrays(), "between": self.between}
        if self.own is not None:
            arrays |= {f"own_{name}": value for name, value in self.own.to_arrays().items()}
        return arrays

    def settings(self) -> dict[str, Any]:
        """Return what the arrays mean, for JSON."""
        return {**super().settings(), "format": "hierarchical", "scale": self.scale, "seed": self.seed}

    @classmethod
    def from_data(
        cls, settings: Mapping[str, Any], arrays: Mapping[str, np.ndarray], design: Design
    ) -> HierarchicalModel:
        """Rebuild a model from `settings` and `arrays`; nothing is executed.

        Raises:
            ValueError: if the model was fitted to another design.
        """
        own = {name.removeprefix("own_"): value for name, value in arrays.items() if name.startswith("own_")}
        return cls(
            **vars(AdditiveModel.from_data(settings, arrays, design)),
            between=arrays["between"],
            scale=settings["scale"],
            own=OwnAnswers.from_arrays(own) if own else None,
            seed=settings["seed"],
        )


def _posterior_mean(own: OwnAnswers, rows: np.ndarray, prior: np.ndarray, shrunk: np.ndarray) -> np.ndarray:
    """Return the (n, K) mean of theta_i given own answers and the (n, K) mean of people like her."""
    surprise = own.cross[rows] - np.einsum("ijk,ik->ij", own.gram[rows], prior)
    return prior + np.einsum("ijk,ik->ij", shrunk, surprise)


def _root(covariance: np.ndarray) -> np.ndarray:
    """Symmetric root of positive semi-definite matrices (variances may be exactly zero)."""
    values, vectors = np.linalg.eigh(covariance)
    return (vectors * np.sqrt(np.maximum(values, 0))[..., None, :]) @ np.swapaxes(vectors, -1, -2)


def fit_hierarchical(data: TrainingData, seed: int, own_answers: bool = False) -> HierarchicalModel:
    """Fit person-specific part-worths; all variances are learned from the data.

    Args:
        data: training data; a choice needs exactly two profiles in every task.
        seed: root seed of the posterior draws; the fit itself is deterministic.
        own_answers: whether policies may use what the training respondents answered (a panel).
    """
    encoder = CovariateEncoder.fit(data.respondents, data.covariates)
    problem, variances, model = (_from_choices if data.response.paired else _from_numbers)(
        data, encoder.encode(data.respondents)
    )
    if encoder.features:
        variances, model = drop_weak(problem, variances, model)
    learned = np.where(variances > FLOOR, variances, 0.0)
    attribute, unit = coordinates(data.design)
    tau, gamma = np.sqrt(learned * model.noise / unit)
    gamma *= len(encoder.features) > 0
    scale = float(data.response.flattening(np.sum(tau**2)))
    coefficients, drawn = _with_draws(
        model, learned[1][attribute] == 0, child_rng(seed, "hierarchical/draws")
    )
    centring = centre_utilities(contrasts(data.design).T, data.design)
    names = data.design.names
    return HierarchicalModel(
        design=data.design,
        response=data.response,
        encoder=encoder,
        intercept=data.response.intercept(data),
        fit={
            "noise": float(np.sqrt(model.noise)),
            "scale": scale,
            **{f"tau: {name}": float(value) for name, value in zip(names, tau, strict=True)},
            **{f"gamma: {name}": float(value) for name, value in zip(names, gamma, strict=True)},
        },
        layout=additive_layout(data.design),
        coefficients=coefficients @ centring * scale,
        draws=drawn @ centring,
        between=(learned[0] * model.noise)[attribute],
        scale=scale,
        own=OwnAnswers.of(data, problem.moments, model.noise) if own_answers else None,
        seed=seed,
    )


def _with_draws(
    model: Evidence, untold: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return the (1+q, K) coefficients and (DRAWS, 1+q, K) draws of them.

    Args:
        untold: (K,) contrasts about which covariates tell nothing: there both are zero.
    """
    coefficients = model.coefficients.copy()
    coefficients[1:, untold] = 0.0
    root = scipy.linalg.cholesky(model.covariance * model.noise, lower=True)
    root[np.append(np.zeros(len(untold), dtype=bool), np.tile(untold, len(coefficients) - 1))] = 0.0
    standard = rng.normal(size=(DRAWS, len(root)))
    return coefficients, coefficients + (standard @ root.T).reshape(DRAWS, *coefficients.shape)


Learned = tuple[VarianceProblem, np.ndarray, Evidence]  # with its variances, and the model at them


def _from_numbers(data: TrainingData, features: np.ndarray) -> Learned:
    """Learn from one number per petition."""
    problem = prepare(data, compared_moments(data).projected(contrasts(data.design)), features)
    return problem, *learn_linear(problem, len(data.design.shape))


def _from_choices(data: TrainingData, features: np.ndarray) -> Learned:
    """Learn from choices between two petitions."""
    difference, chosen, respondent = paired_differences(data)
    difference = difference @ contrasts(data.design)
    starts = np.searchsorted(respondent, np.arange(data.n_respondents))
    problem = prepare(data, first_sites(chosen).moments(difference, starts), features)
    variances, model, moments = learn_logit(difference, chosen, starts, problem, len(data.design.shape))
    return replace(problem, moments=moments), variances, model


def prepare(data: TrainingData, moments: Moments, features: np.ndarray) -> VarianceProblem:
    """Add the priors of b and of the variances of e.

    Few choices per person hardly tell the scale of utilities: a mean variance of a level of 1 in log-odds, a
    large one, keeps it from running away and weighs nothing where data speak.

    Args:
        moments: of the answers on the basis of contrasts.
        features: (n, q).
    """
    attribute, unit = coordinates(data.design)
    paired = data.response.paired
    answers = np.bincount(data.respondent[data.response.answers])
    return VarianceProblem(
        moments=moments,
        features=features,
        weight=data.weight,
        attribute=attribute,
        prior=common_prior(moments, data.weight, attribute),
        answers=float(data.weight @ (answers if paired else answers - 1)),
        noise_known=paired,
        rate=1 / unit if paired else np.zeros(len(unit)),
    )


def common_prior(moments: Moments, weight: np.ndarray, attribute: np.ndarray) -> np.ndarray:
    """Return the (K,) prior precision of b: what an average respondent tells about an attribute."""
    information = np.average(np.diagonal(moments.gram, axis1=1, axis2=2), axis=0, weights=weight)
    mean = np.bincount(attribute, weights=information) / np.bincount(attribute)
    return np.maximum(mean, np.finfo(float).tiny)[attribute]
