"""What people's own answers tell of what they want, beside their covariates, whatever the learner.

Answers to M petitions estimate each coordinate of what a respondent adds with a noise of variance V / M, V
the variance of an answer that is not common to all. Known of a block of variance t and noise s is then
t^2 / (t + s), as of any measurement. But V contains what she adds to *all* attributes: what answers tell of
one no longer stands in the way of the others. With E the variance known of all together the noise is that of
V - E, so that both follow from each other (fixed point of linear estimates with random designs; Tse & Hanly
1999). With six or more tasks of the reference design it is up to 4% below Bayes' rule with the true
parameters, with three 10% (`tests/diagnose/test_own_answers.py`); one attribute at a time is 4 to 20% below.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nanotarget.diagnose.covariance import Covariance
from nanotarget.diagnose.heterogeneity import Heterogeneity, Variances

SETTLED = 1e-9  # change of what is known, as a share of the variance of an answer, at which it is found
MOST_ROUNDS = 10_000


@dataclass(frozen=True)
class OwnAnswers:
    """Answers of a respondent as measurements of what she adds; variances are over petitions.

    Attributes:
        covariance: of what respondents add, in samples of them.
        noise: (n_blocks,) noise variance of the estimates of a respondent's coordinates.
        spread: variance of an answer that is neither common to all nor the respondent's level.
    """

    covariance: Covariance
    noise: np.ndarray
    spread: float

    @classmethod
    def of(cls, heterogeneity: Heterogeneity, weight: np.ndarray, variances: Variances) -> OwnAnswers:
        """Take what the answers of some respondents show.

        Args:
            weight: (n_respondents,).
            variances: of them.
        """
        noise = heterogeneity.noise_of_respondents(weight, variances)
        within = (variances.total[0] - variances.baseline[0]) / heterogeneity.answers.n_sides
        return cls(variances.covariance, noise, float(within - variances.common[0]))

    def with_covariates(self, told: Covariance, times: float | np.ndarray = 1.0) -> Covariance:
        """Return the covariance of what is known of respondents, in as many samples.

        Args:
            told: by covariates, a part of what respondents add.
            times: how many times as many tasks there are as were answered; a number, or one a sample.
        """
        known = np.maximum(told.by_block, 0)
        rest = np.maximum(self.covariance.by_block - known, 0)
        everything = known.sum(axis=1) + rest.sum(axis=1)
        spread = np.maximum(self.spread, everything)[:, None]
        noise, learned = self.noise / np.reshape(times, (-1, 1)), np.zeros_like(rest)
        for _ in range(MOST_ROUNDS):  # from below, so that it rises to the fixed point
            left = spread - (known + learned).sum(axis=1, keepdims=True)
            share = np.divide(rest, rest + noise * left / spread, out=np.zeros_like(rest), where=rest > 0)
            more = share * rest - learned
            learned = share * rest
            if (more <= SETTLED * spread).all():
                break
        return told + (self.covariance - told).times_by_block(share)
