"""What a diagnosis is made from, and what of it serves all goals and groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np

from nanotarget.calibrate.learners.crossfit import Crossfit
from nanotarget.diagnose.dividend import SIZES
from nanotarget.diagnose.divisions import Divisions
from nanotarget.diagnose.evidence import Answers
from nanotarget.diagnose.heterogeneity import Heterogeneity, Interactions
from nanotarget.diagnose.permutation import Permutations
from nanotarget.diagnose.predictability import Predictability
from nanotarget.diagnose.refits import Refit, Refits
from nanotarget.diagnose.rows import Sample
from nanotarget.petitions.design import Pairs
from nanotarget.study.config import FAST_LEARNERS, DiagnoseConfig
from nanotarget.study.seeds import child_rng

INTERACTION_ALPHA = 0.01  # p-value below which interactions of attributes are taken for certain


class Group(NamedTuple):
    """A subgroup of respondents: "<grouping>: <group>" and (n_respondents,) who is in it."""

    name: str
    members: np.ndarray


@dataclass(frozen=True)
class Inputs:
    """What a diagnosis is made from.

    Attributes:
        fitted: the cross-fitted learner.
        halves: models fitted to disjoint halves.
        settings: of the stage.
        seed: root seed.
        learner: name of the learner.
        improvement: of its held-out loss over the null, and the standard error (learners.csv).
        warning: of the learner, that it has not converged; empty if there is none (learners.csv).
        own_answers: whether policies use respondents' own answers.
        refitted: cross-fits by variant (`DiagnoseConfig.variants`), scored for the study's goal; all or none.
        divisions: what many divisions say, by goal; the study's own division stands for them without any.
        permutations: refits to permuted covariates.
        sizes: numbers of petitions on the frontier.
    """

    fitted: Crossfit
    halves: Crossfit
    settings: DiagnoseConfig
    seed: int
    learner: str = "ridge"
    improvement: tuple[float, float] = (np.nan, np.nan)
    warning: str = ""
    own_answers: bool = False
    refitted: Mapping[str, Refit] = field(default_factory=dict)
    divisions: Mapping[str, Divisions] = field(default_factory=dict)
    permutations: Permutations = field(default_factory=lambda: Permutations.of([]))
    sizes: Sequence[int] = SIZES

    @property
    def refits(self) -> Refits:
        """The cross-fits to variants."""
        return Refits(self.refitted, self.learner not in FAST_LEARNERS)

    @property
    def n_covariates(self) -> int:
        """Number of covariates that a policy may use."""
        return sum(covariate.target for covariate in self.fitted.data.covariates)

    @property
    def has_information(self) -> bool:
        """Whether a policy has anything to use."""
        return self.n_covariates > 0 or self.own_answers

    @cached_property
    def heterogeneity(self) -> Heterogeneity:
        """The answers."""
        return Heterogeneity(Answers.from_crossfit(self.fitted))

    @cached_property
    def predictability(self) -> Predictability:
        """The predictions."""
        return Predictability(self.fitted, self.heterogeneity, self.own_answers)

    @cached_property
    def interactions(self) -> Interactions | None:
        """Interactions of attributes that are common to all; None where there is one block of attributes."""
        if len(self.fitted.data.design.blocks) < 2:
            return None
        return self.heterogeneity.interactions(self.fitted.data.weight, self.seed)

    @cached_property
    def allowed(self) -> tuple[int, Pairs]:
        """Order of the weights that the dividend is based on, and the pairs allowed to interact."""
        return allowed_interactions(self.interactions)

    @cached_property
    def counts(self) -> np.ndarray:
        """(1 + bootstraps, n_respondents) how often a respondent is in a sample; the first is the data."""
        n = self.fitted.data.n_respondents
        rng = child_rng(self.seed, "diagnose/bootstrap")
        counts = np.ones((1 + self.settings.bootstraps, n), dtype=np.int16)
        for own in counts[1:]:
            own[:] = rng.multinomial(n, np.full(n, 1 / n))
        return counts

    def sample(self, members: np.ndarray | float = 1.0, seed: int | None = None) -> Sample:
        """Return (n_respondents,) members of a group, everybody by default, and bootstrap samples of them."""
        weight = self.fitted.data.weight * members
        return Sample(self.counts * weight, self.settings.confidence, seed)

    @cached_property
    def everybody(self) -> Sample:
        """All respondents, with permutation tests."""
        return self.sample(seed=self.seed)


def allowed_interactions(common: Interactions | None) -> tuple[int, Pairs]:
    """Return the order of the weights that a value should be based on, and the pairs allowed to interact.

    First-order weights know of no interactions of attributes. Where they are clearly there, the weights allow
    for the pairs that stand out. Where none does, second-order weights, with all their noise, are the honest
    ones.

    Args:
        common: `Heterogeneity.interactions`; None where there is nothing to interact.
    """
    if common is None or common.p_value >= INTERACTION_ALPHA:
        return 1, ()
    return (1 if common.pairs else 2), common.pairs
