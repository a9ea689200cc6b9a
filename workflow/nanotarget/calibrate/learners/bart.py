"""Bayesian additive regression trees, sampled by stochtree (Chipman, George & McCulloch 2010).

Ratings are Gaussian, choices a probit of whether a profile was chosen, with the settings of cjbart (Robinson
& Duch 2024) as defaults. Chains are independent, so that they may run side by side; their draws are pooled.

The probit of one profile is averaged over its opponents. With utilities u of variance v over petitions and
P(A over B) = Phi(u_A - u_B), it is Phi(eta) with eta = u / sqrt(1 + v), whose variance is v / (1 + v). So
u = eta / sqrt(1 - var(eta)), and 1.6 u are close to the log-odds that all learners of choices speak in
(Amemiya 1981: the logistic and the normal distribution then agree where choices are not nearly certain).
Among more petitions, or none, what is best of the others varies by r v instead (`Response.variance_shown`
less 1), so that u = eta / sqrt(1 - r var(eta)).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.special import log_ndtr

from nanotarget.calibrate.learners.base import TrainingData
from nanotarget.calibrate.learners.trees import EnsembleModel, tree_rows
from nanotarget.petitions.encoding import CovariateEncoder
from nanotarget.petitions.ensemble import Ensemble, EnsembleUtilities, from_stochtree, pool
from nanotarget.study.config import BartConfig
from nanotarget.study.seeds import child_rng

LOG = logging.getLogger(__name__)
PETITIONS = 500  # sampled to measure the variance of utilities
LOGIT_OF_PROBIT = 4 / np.sqrt(2 * np.pi)  # ratio of the densities at zero
MAX_VARIANCE = 0.9  # of eta: beyond it log-odds would run away
# Beyond these, chains do not agree or draws are too few. Vehtari et al. (2021) ask for 1.01 and 400 for
# estimates of tails; posterior means of predictions, which are all that decides here, bear more.
POOR_RHAT, POOR_ESS = 1.1, 50


@dataclass(frozen=True)
class Chain:
    """One chain of the sampler.

    Attributes:
        ensemble: its draws.
        trace: (n_draws,) mean loss of each draw on data that the chain has not seen; empty without such.
    """

    ensemble: Ensemble
    trace: np.ndarray

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return the chain as flat arrays."""
        return {**self.ensemble.to_arrays(), "trace": self.trace}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Chain:
        """Rebuild a chain from `to_arrays`."""
        return cls(Ensemble.from_arrays(arrays), arrays["trace"])


def _probit_prior(trees: int) -> dict[str, Any]:
    """Fix the variance of a leaf so that latent values lie within 3 (Chipman et al. 2010, k = 2; cjbart).

    For ratings the same rule would start from their range, most of which is noise; there the sampler
    learns the variance.
    """
    return {"sample_sigma2_leaf": False, "sigma2_leaf_init": (3 / 2) ** 2 / trees}


def sample_chain(
    data: TrainingData, settings: BartConfig, seed: int, name: str, held_out: TrainingData | None = None
) -> Chain:
    """Sample one chain.

    Args:
        settings: trees, draws and chains; a chain keeps its share of the draws.
        seed, name: root seed and name of the chain's stream.
        held_out: data whose loss is traced.
    """
    import stochtree  # heavy, and needed nowhere else

    rows = tree_rows(data)
    probit = data.response.paired  # whether a profile was chosen; other outcomes are Gaussian
    kept = settings.draws // settings.chains
    # The sampler tells nothing before it is through.
    LOG.info(
        "sampling %d draws of %d trees on %d rows", settings.burn_in + kept, settings.trees, len(rows.outcome)
    )
    model = stochtree.BARTModel()
    model.sample(
        X_train=rows.matrix,
        y_train=rows.outcome,
        # Equal weights are left out: the sampler is faster without.
        observation_weights=None if np.ptp(rows.weight) == 0 else rows.weight,
        num_gfr=0,
        num_burnin=settings.burn_in,
        num_mcmc=kept,
        general_params={
            "random_seed": int(child_rng(seed, f"bart/{name}").integers(2**31)),
            "num_threads": 1,
            "outcome_model": stochtree.OutcomeModel(
                outcome="binary" if probit else "continuous", link="probit" if probit else "identity"
            ),
        },
        mean_forest_params={"num_trees": settings.trees, **(_probit_prior(settings.trees) if probit else {})},
    )
    LOG.info("reading the trees of %d draws", kept)
    ensemble = from_stochtree(model, rows.inputs, data.design.shape, len(rows.encoder.features))
    trace = np.zeros(0)
    if held_out is not None:
        LOG.info("predicting %d rows that the chain has not seen", len(held_out.outcome))
        new = tree_rows(held_out, rows.encoder)
        if probit:
            latent = model.predict(new.matrix, terms="y_hat", scale="linear")
            loss = -log_ndtr((2 * new.outcome - 1)[:, None] * latent)
        else:
            loss = (new.outcome[:, None] - model.predict(new.matrix, terms="y_hat")) ** 2
        trace = np.average(loss, axis=0, weights=new.weight)
    return Chain(ensemble, trace)


def combine(data: TrainingData, chains: Sequence[Chain], seed: int) -> EnsembleModel:
    """Pool the draws of chains sampled from `data` into one model."""
    encoder = CovariateEncoder.fit(data.respondents, data.covariates)
    ensemble = pool([chain.ensemble for chain in chains])
    if data.response.paired:
        utilities = EnsembleUtilities(ensemble, data.design, encoder.encode(data.respondents))
        petitions = data.design.draw(PETITIONS, child_rng(seed, "bart/petitions"))
        variance = float(data.weight @ utilities.utilities_of_all(petitions).var(axis=1) / data.weight.sum())
        variance *= data.response.variance_shown(data.outcome) - 1
        ensemble = ensemble.scaled(LOGIT_OF_PROBIT / np.sqrt(1 - min(variance, MAX_VARIANCE)))
    if data.response.none:
        utilities = EnsembleUtilities(ensemble, data.design, encoder.encode(data.respondents))
        own = utilities.utility_of_rows(data.levels, data.respondent)
        level = data.response.level_of_utility(data, own)
        ensemble = replace(ensemble, offset=ensemble.offset + level)
    return EnsembleModel(
        design=data.design,
        response=data.response,
        encoder=encoder,
        intercept=data.response.intercept(data),
        fit={"chains": len(chains), "leaves_a_draw": len(ensemble.draw) / ensemble.n_draws},
        ensemble=ensemble,
    )


def fit_bart(data: TrainingData, seed: int, settings: BartConfig) -> EnsembleModel:
    """Sample all chains one after the other and pool them.

    Args:
        data: training data.
        seed: root seed of the chains.
    """
    names = [f"chain {c + 1}" for c in range(settings.chains)]
    return combine(data, [sample_chain(data, settings, seed, name) for name in names], seed)


def convergence(traces: Sequence[np.ndarray]) -> dict[str, float]:
    """Judge chains by the loss of their draws on held-out data.

    Args:
        traces: (n_draws,) losses of each chain.

    Returns:
        rhat: rank-normalised split R-hat; ess: bulk effective sample size of all draws (Vehtari, Gelman,
        Simpson, Carpenter & Bürkner 2021). NaN where draws are too few to tell.
    """
    from arviz_stats.base import array_stats

    table = np.array(traces)
    if len(table) == 1:  # halves of a chain must agree, too
        table = table[:, : table.shape[1] // 2 * 2].reshape(2, -1)
    if table.shape[1] < 4 or np.ptp(table) == 0:
        return {"rhat": float("nan"), "ess": float("nan")}
    return {
        "rhat": float(array_stats.rhat(table, chain_axis=0, draw_axis=1)),
        "ess": float(array_stats.ess(table, chain_axis=0, draw_axis=1)),
    }


def chains_by_part(named: Mapping[str, Mapping[str, np.ndarray]]) -> dict[str, list[Chain]]:
    """Return the chains of each part of the calibration, in their order.

    Args:
        named: arrays of each chain by "part_number", e.g. "fold_1_2" for the second chain of "fold_1".
    """
    parts: dict[str, dict[int, Chain]] = {}
    for name, arrays in named.items():
        part, _, number = name.rpartition("_")
        parts.setdefault(part, {})[int(number)] = Chain.from_arrays(arrays)
    return {part: [chains[c] for c in sorted(chains)] for part, chains in parts.items()}


def worst_convergence(folds: Sequence[Sequence[np.ndarray]]) -> tuple[dict[str, float], str]:
    """Return the highest R-hat and the smallest ESS over folds, and a warning if they are poor, else "".

    Args:
        folds: traces of the chains of each fold.
    """
    judged = [convergence(traces) for traces in folds]
    rhat, ess = max(fold["rhat"] for fold in judged), min(fold["ess"] for fold in judged)
    warning = ""
    if not (rhat <= POOR_RHAT and ess >= POOR_ESS):
        warning = (
            f"the chains have not converged (R-hat {rhat:.2f}, {ess:.0f} effective draws): "
            "ask for more draws or a longer burn-in"
        )
    return {"rhat": rhat, "ess": ess}, warning
