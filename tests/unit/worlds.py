"""Small simulated calibrations with known truth, for the tests of learners and policy values."""

import numpy as np
import pandas as pd

from nanotarget.config import AttributeConfig, CovariateConfig, DesignConfig
from nanotarget.design import Design
from nanotarget.learners.base import TrainingData, centre_utilities
from nanotarget.learners.crossfit import Crossfit
from nanotarget.score import best_petitions
from nanotarget.utilities import part_worths


def factorial(shape, prohibited=(), randomisation="rejection"):
    attributes = [AttributeConfig(f"a{i}", [f"l{j}" for j in range(size)]) for i, size in enumerate(shape)]
    return Design.from_config(DesignConfig(attributes, list(prohibited), randomisation))


def utility_of(values, petitions, design):
    """The (n,) utility of one petition a row from (n, total levels) part-worths."""
    return part_worths(values, design).utility_of(petitions)


def utilities_of_all(values, petitions, design):
    """The (n, n_petitions) utilities from (n, total levels) part-worths."""
    return part_worths(values, design).utilities_of_all(petitions)


class Known(Crossfit):
    """A cross-fit whose part-worths are given, not learned; everybody is one unit."""

    def __init__(self, data, values, common):
        super().__init__(data, np.zeros(len(data.task), dtype=int), [None])
        self.__dict__["utilities"] = part_worths(values, data.design)
        self.__dict__["overall_best"] = best_petitions(part_worths(common, data.design))

    @property
    def intercept(self):
        return np.zeros(self.data.n_respondents)


def simulate(
    design,
    n,
    tasks,
    rng,
    *,
    features=4,
    common=0.25,
    specific=0.0,
    idiosyncratic=0.0,
    baseline=0.8,
    noise=1.0,
    outcome="rating",
):
    """Return training data and the (n, total levels) true part-worths.

    The response is the sum of part-worths (common, predictable from standard normal covariates,
    idiosyncratic), a respondent's baseline and noise; a choice goes to the higher response.
    """
    total = sum(design.shape)

    def drawn(scale, *size):
        return centre_utilities(rng.normal(size=(*size, total)), design) * scale

    z = rng.normal(size=(n, features))
    truth = drawn(common) + z @ drawn(specific / np.sqrt(features), features)
    truth = truth + drawn(idiosyncratic, n)
    who = np.repeat(np.arange(n), tasks * 2)
    levels = design.draw(len(who), rng)
    response = utility_of(truth[who], levels, design) + baseline * rng.normal(size=n)[who]
    response += noise * rng.normal(size=len(who))
    if outcome == "choice":
        first = response[::2] > response[1::2]
        response = np.column_stack([first, ~first]).ravel().astype(float)
    respondents = pd.DataFrame(z, columns=[f"z{j}" for j in range(features)])
    respondents.insert(0, "respondent_id", [f"p{i:05d}" for i in range(n)])
    respondents["weight"] = 1.0
    covariates = tuple(CovariateConfig(f"z{j}", "numeric") for j in range(features))
    task = np.tile(np.repeat(np.arange(tasks), 2), n)
    return TrainingData(design, outcome, levels, response, who, task, respondents, covariates), truth
