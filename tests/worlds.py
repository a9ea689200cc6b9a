"""Simulated calibrations with known truth, for the tests of learners and policy values."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from nanotarget.calibrate.learners.base import TrainingData, centre_utilities
from nanotarget.calibrate.learners.crossfit import Crossfit
from nanotarget.petitions.design import Design
from nanotarget.petitions.score import best_petitions
from nanotarget.petitions.utilities import Layout, Tables, additive_layout, part_worths
from nanotarget.study.config import AttributeConfig, CovariateConfig, DesignConfig
from nanotarget.study.response import RESPONSES

REFERENCE = (5, 5, 5, 5, 5, 3, 3)  # levels of the reference study: 28,125 petitions


def factorial(shape, prohibited=(), randomisation="rejection", probabilities=None):
    """Return a design of attributes a0, a1 ... with levels l0, l1 ...

    Args:
        probabilities: by attribute, of its levels; uniform where there are none.
    """
    chance = probabilities or {}
    attributes = [
        AttributeConfig(
            name=f"a{i}", levels=[f"l{j}" for j in range(size)], probabilities=chance.get(f"a{i}")
        )
        for i, size in enumerate(shape)
    ]
    return Design.from_config(
        DesignConfig(attributes=attributes, prohibited=list(prohibited), randomisation=randomisation)
    )


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
        self.__dict__["common"] = [self.utilities]
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
    z = rng.normal(size=(n, features))
    truth = draw_part_worths(design, rng, common)
    truth = truth + z @ draw_part_worths(design, rng, specific / np.sqrt(features), features)
    truth = truth + draw_part_worths(design, rng, idiosyncratic, n)
    respondents, covariates = as_respondents(pd.DataFrame(z, columns=[f"z{j}" for j in range(features)]))
    utilities = part_worths(truth, design)
    data = answer(
        utilities, respondents, covariates, tasks, rng, baseline=baseline, noise=noise, outcome=outcome
    )
    return data, truth


def as_respondents(table):
    """Add ids and weights to a table of covariates, numbers or categoricals; also return their config."""
    covariates = tuple(
        CovariateConfig(name=name, kind="categorical", levels=list(column.cat.categories))
        if isinstance(column.dtype, pd.CategoricalDtype)
        else CovariateConfig(name=name, kind="numeric")
        for name, column in table.items()
    )
    respondents = table.assign(weight=1.0)
    respondents.insert(0, "respondent_id", [f"p{i:05d}" for i in range(len(table))])
    return respondents, covariates


def answer(
    utilities, respondents, covariates, tasks, rng, *, baseline=0.8, noise=1.0, outcome="rating", left=0.0
):
    """Return what people of known utilities answer to two random petitions a task, as training data.

    A rating is utility, a respondent's baseline and noise; a choice goes to the higher rating, to which the
    first petition of a task adds `left`.
    """
    design = utilities.design
    who = np.repeat(np.arange(utilities.n), tasks * 2)
    levels = design.draw(len(who), rng)
    response = utilities.utility_of_rows(levels, who)
    response += baseline * rng.normal(size=utilities.n)[who]
    response += noise * rng.normal(size=len(who))
    if outcome == "choice":
        first = response[::2] + left > response[1::2]
        response = np.column_stack([first, ~first]).ravel().astype(float)
    task = np.tile(np.repeat(np.arange(tasks), 2), utilities.n)
    return TrainingData(design, RESPONSES[outcome], levels, response, who, task, respondents, covariates)


@dataclass(frozen=True)
class World:
    """Preferences of a population from which any number of people can be drawn.

    Attributes:
        layout: of the tables of utilities.
        common: (n_cells,) tables that all share.
        specific: from respondents to (n, n_cells) what covariates add to them.
        idiosyncratic: standard deviation of what a person adds to each part-worth, whatever her covariates.
    """

    layout: Layout
    common: np.ndarray
    specific: Callable[[pd.DataFrame], np.ndarray]
    idiosyncratic: float = 0.0

    def predictable(self, respondents):
        """Mean utilities of all people with the covariates of these."""
        return Tables(self.layout, self.common + self.specific(respondents))

    def utilities(self, respondents, rng):
        """Utilities of these people, what nobody can predict included."""
        cells = self.predictable(respondents).cells
        design = self.layout.design
        own = draw_part_worths(design, rng, self.idiosyncratic, len(respondents))
        cells[:, : own.shape[1]] += own
        return Tables(self.layout, cells)


def draw_part_worths(design, rng, scale, *size):
    """Draw (*size, total levels) normal part-worths, centred within attributes."""
    return centre_utilities(rng.normal(size=(*size, sum(design.shape))), design) * scale


def draw_people(n, rng):
    """Draw respondents with six standard normal and two categorical covariates; also return their config."""
    table = pd.DataFrame(rng.normal(size=(n, 6)), columns=[f"z{j}" for j in range(6)])
    table["party"] = pd.Categorical(rng.choice(list("abcd"), n), categories=list("abcd"))
    table["region"] = pd.Categorical(rng.choice(["north", "middle", "south"], n))
    return as_respondents(table)


def linear_in(respondents, coefficients):
    """Return (n, n_cells) from the (6, n_cells) coefficients of the numeric covariates."""
    return respondents[[f"z{j}" for j in range(6)]].to_numpy() @ coefficients


def world_of(design, common, specific, **more):
    """A world of additive part-worths."""
    return World(additive_layout(design), common, specific, **more)


def none(design, rng):
    """All people want the same."""
    common = draw_part_worths(design, rng, 0.2)
    return world_of(design, common, lambda people: np.zeros((len(people), len(common))))


def unpredictable(design, rng):
    """People differ very much, and covariates tell nothing about it."""
    common = draw_part_worths(design, rng, 0.2)
    return world_of(design, common, lambda people: np.zeros((len(people), len(common))), idiosyncratic=0.5)


def no_crossover(design, rng):
    """Covariates tell how much people care, from hardly to twice the average; all rank petitions alike."""
    common = draw_part_worths(design, rng, 0.2)
    direction = rng.normal(size=6)
    direction *= 2 / np.linalg.norm(direction)
    return world_of(
        design, common, lambda people: np.tanh(linear_in(people, direction) / 2)[:, None] * common
    )


def crossover(design, rng):
    """What people want is linear in six covariates and ranks petitions differently."""
    common = draw_part_worths(design, rng, 0.2)
    slopes = draw_part_worths(design, rng, 0.2 / np.sqrt(6), 6)
    return world_of(design, common, lambda people: linear_in(people, slopes))


def segments(design, rng):
    """Four groups want different things: one party or not, on either side of a threshold."""
    common = draw_part_worths(design, rng, 0.2)
    wants = draw_part_worths(design, rng, 0.25, 4)
    return world_of(design, common, lambda people: wants[2 * (people["z0"] > 0.5) + (people["party"] == "a")])


PAIRS = 5  # pairs of attributes that interact


def interactions(design, rng):
    """Pairs of attributes interact strongly, for all alike; covariates matter a little, as in `crossover`."""
    n_attributes, singles = len(design.shape), sum(design.shape)
    pairs = [(a, b) for a in range(n_attributes) for b in range(a + 1, n_attributes)]
    chosen = sorted(rng.choice(len(pairs), size=min(PAIRS, len(pairs)), replace=False))
    layout = Layout(design, (*additive_layout(design).subsets, *(pairs[k] for k in chosen)))
    tables = [draw_part_worths(design, rng, 0.2)]
    for a, b in (pairs[k] for k in chosen):
        table = rng.normal(size=(design.shape[a], design.shape[b])) * 0.2
        table -= table.mean(axis=0)
        tables.append((table - table.mean(axis=1, keepdims=True)).ravel())
    slopes = np.zeros((6, layout.n_cells))
    slopes[:, :singles] = draw_part_worths(design, rng, 0.12 / np.sqrt(6), 6)
    return World(layout, np.concatenate(tables), lambda people: linear_in(people, slopes))


WORLDS = {
    world.__name__: world for world in (none, unpredictable, no_crossover, crossover, segments, interactions)
}
