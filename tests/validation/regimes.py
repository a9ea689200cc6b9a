"""Worlds R0 to R14 in which the answer to "can nano-targeting pay?" is known, and samples drawn from them.

Units: one noise standard deviation of a rating. Common part-worths vary by 0.2 a level, a variance of `MAINS`
over the petitions of the design. All data are synthetic.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd

from nanotarget.calibrate.learners.base import TrainingData
from nanotarget.petitions.design import Design
from nanotarget.petitions.utilities import Tables, additive_layout, part_worths
from nanotarget.study.seeds import child_rng
from truths import Preferences
from worlds import (
    REFERENCE,
    World,
    answer,
    as_respondents,
    draw_part_worths,
    draw_people,
    factorial,
    linear_in,
)
from worlds import interactions as interacting

TASKS = 6
BASELINE = 0.8  # standard deviation of respondents' mean ratings
MAINS = 0.28  # variances over the petitions of the design: of what is common to all,
HETEROGENEITY = 0.28  # of what persons add where they differ much,
PREDICTABLE = 0.6  # and the share of it that covariates predict
SESOI = {"rating": 0.1, "choice": 0.01}  # the best petitions win nearly always, so gains of choices are small


def scale_of(design, variance):
    """Return the standard deviation a level at which centred part-worths have this variance."""
    return np.sqrt(variance / sum(1 - 1 / size for size in design.shape))


def draw_tables(design, rng, variance, *size):
    """Draw (*size, total levels) part-worths of an expected variance over petitions."""
    return draw_part_worths(design, rng, scale_of(design, variance), *size)


def nobody_differs(common):
    """Return a `World.specific` that adds nothing."""
    return lambda people: np.zeros((len(people), len(common)))


def common_only(design, rng, mains=MAINS, idiosyncratic=0.0):
    """Covariates predict nothing."""
    common = draw_tables(design, rng, mains)
    return World(additive_layout(design), common, nobody_differs(common), scale_of(design, idiosyncratic))


def linear(design, rng, variance=HETEROGENEITY, predictable=PREDICTABLE):
    """What people want is linear in six covariates, and partly their own."""
    common = draw_tables(design, rng, MAINS)
    slopes = draw_tables(design, rng, predictable * variance / 6, 6)
    own = scale_of(design, (1 - predictable) * variance)
    return World(additive_layout(design), common, lambda people: linear_in(people, slopes), own)


def nothing(design, rng):
    """No petition is better than another, for anybody."""
    return common_only(design, rng, mains=0.0)


def own_tastes(design, rng):
    """People differ very much, and covariates tell nothing about it."""
    return common_only(design, rng, idiosyncratic=HETEROGENEITY)


def intensity(design, rng):
    """Covariates tell how much people care, from hardly to twice the average; all rank petitions alike."""
    common = draw_tables(design, rng, MAINS)
    direction = rng.normal(size=6)
    direction /= np.linalg.norm(direction)
    layout = additive_layout(design)
    return World(layout, common, lambda people: np.tanh(linear_in(people, direction))[:, None] * common)


def parties(design, rng):
    """Four parties, which the covariates name, want different things."""
    common = draw_tables(design, rng, MAINS)
    wants = draw_tables(design, rng, HETEROGENEITY * 4 / 3, 4)
    wants -= wants.mean(axis=0)
    return World(additive_layout(design), common, lambda people: wants[people["party"].cat.codes])


def abstract_like(design, rng):
    """Heterogeneity that can be detected and predicted, but is small beside what is common."""
    return linear(design, rng, variance=0.045, predictable=0.2)


def only_in_base(design, rng):
    """As `linear`, and all of it predictable; the covariates are zero for all but the base."""
    return linear(design, rng, variance=BASE_HETEROGENEITY, predictable=1.0)


def common_best(design, rng):
    """The first level of every attribute is best by far for everybody; covariates tell which is worst."""
    first = np.concatenate([np.arange(size) == 0 for size in design.shape])
    common = np.concatenate([np.where(np.arange(n) == 0, 1 - 1 / n, -1 / n) for n in design.shape]) * LEAD
    slopes = draw_tables(design, rng, PREDICTABLE * HETEROGENEITY / 6, 6)
    slopes[:, first] = 0
    start = 0
    for size in design.shape:  # centred among the levels that differ
        lower = slice(start + 1, start + size)
        slopes[:, lower] -= slopes[:, lower].mean(axis=1, keepdims=True)
        start += size
    return World(additive_layout(design), common, lambda people: linear_in(people, slopes))


def interactions(design, rng):
    """As `linear`, and five pairs of attributes interact strongly, for all alike."""
    pairs = interacting(design, rng)
    people, singles = linear(design, rng), sum(design.shape)
    common = np.append(people.common, pairs.common[singles:])

    def specific(respondents):
        own = people.specific(respondents)
        return np.hstack([own, np.zeros((len(own), pairs.layout.n_cells - singles))])

    return World(pairs.layout, common, specific, people.idiosyncratic)


BASE_HETEROGENEITY = 0.1
BASE_SHARE = 1 / 3
LEAD = 0.9  # of the first level over the average other, where all agree on the best


@dataclass(frozen=True)
class Regime:
    """A world and how it is asked.

    Attributes:
        world: from a design and a generator to the preferences of a population.
        expected: verdicts on the four stages as far as they are known: P, F, I.
        n: respondents.
        baseline: standard deviation of their mean ratings.
        clicks: share of answers that are given at random.
        fades: correlation of a person's own tastes between successive tasks, of variance `HETEROGENEITY`.
        rotated: whether another draw of the world, with the same common part, awaits at deployment.
        base: whether covariates exist for a part of the people only, and are zero for the others.
    """

    world: Callable[[Design, np.random.Generator], World]
    expected: str
    n: int = 1_500
    outcome: str = "rating"
    baseline: float = BASELINE
    clicks: float = 0.0
    fades: float | None = None
    rotated: bool = False
    base: bool = False


REGIMES = {
    "R0": Regime(nothing, "FFFF"),
    "R1": Regime(common_only, "FFFF"),
    "R2": Regime(common_only, "FFFF", baseline=3.0),
    "R3": Regime(own_tastes, "PFFF"),
    "R4": Regime(intensity, "PPFF"),
    "R5": Regime(parties, "PPPP"),
    "R6": Regime(linear, "PPPP"),
    "R7": Regime(abstract_like, "????"),
    "R8": Regime(linear, "IIII", n=150),
    "R9": Regime(linear, "PP??", clicks=0.4),
    "R9b": Regime(common_only, "FFFF", clicks=0.4),
    "R10": Regime(linear, "PPPP", rotated=True),
    "R11": Regime(common_best, "FFFF"),
    "R12": Regime(only_in_base, "????", base=True),
    "R13": Regime(interactions, "PPPP"),
    "R14": Regime(common_only, "????", fades=0.5),
    "R1-choice": Regime(common_only, "FFFF", outcome="choice"),
    "R3-choice": Regime(own_tastes, "PFFF", outcome="choice"),
    "R6-choice": Regime(linear, "PPPP", outcome="choice"),
}


@dataclass(frozen=True)
class Sample:
    """Respondents whose preferences are known, and what they answered.

    Attributes:
        data: the calibration.
        world: the population.
        baseline: standard deviation of respondents' mean ratings, as far as random clicks let them show.
        utilities: what each respondent's answers tell of on average: random clicks shrink it, tastes that
            fade are averaged over her tasks.
        predictable: the same of all people with her covariates.
        deployed: what she wants at deployment, where that is something else.
        fading: (n, tasks, n_cells) what the tastes of a task add to `world`, where they fade.
    """

    data: TrainingData
    world: World
    baseline: float
    utilities: Tables
    predictable: Tables
    deployed: Tables | None = None
    fading: np.ndarray | None = None

    @cached_property
    def preferences(self):
        """What her answers tell of, as responses."""
        return Preferences(self.utilities, self.data.response.name)

    @cached_property
    def groups(self):
        """Label -> (n,) who is in it: everybody, and the base and the others where there is one."""
        groups = {"all": np.ones(self.data.n_respondents, dtype=bool)}
        if "base" in self.data.respondents:
            inside = (self.data.respondents["base"] == "yes").to_numpy()
            groups |= {"base: yes": inside, "base: no": ~inside}
        return groups


def draw_sample(regime, seed, name, n=None, shape=REFERENCE):
    """Draw a world, its people and their answers, all from the seed.

    Args:
        name: of the regime, for the random streams.
        n: respondents, if not those of the regime.
    """
    design = factorial(shape)
    rng = child_rng(seed, f"validation/{name}")
    world = regime.world(design, rng)
    respondents, covariates = draw_covariates(n or regime.n, regime.base, rng)
    wanted = world.utilities(respondents, rng)
    settings = {"baseline": regime.baseline, "outcome": regime.outcome}
    data = answer(wanted, respondents, covariates, TASKS, rng, **settings)
    fading = None
    if regime.fades is not None:
        fading = draw_fading(design, regime.fades, len(respondents), rng)
        own = part_worths(fading.reshape(-1, fading.shape[2]), design)
        added = own.utility_of_rows(data.levels, data.respondent * TASKS + data.task)
        data = replace(data, outcome=data.outcome + added)
        wanted = replace(wanted, cells=wanted.cells + fading.mean(axis=1))
    predictable = world.predictable(respondents)
    deployed = None
    if regime.rotated:
        changed = regime.world(design, rng).specific(respondents) - world.specific(respondents)
        deployed = replace(wanted, cells=wanted.cells + changed)
    if regime.clicks:
        clicked = rng.random(len(data.outcome)) < regime.clicks
        data = replace(data, outcome=np.where(clicked, rng.permutation(data.outcome), data.outcome))
    heard = 1 - regime.clicks
    return Sample(
        data,
        world,
        heard * regime.baseline,
        replace(wanted, cells=heard * wanted.cells),
        replace(predictable, cells=heard * predictable.cells),
        deployed,
        fading,
    )


def draw_covariates(n, base, rng):
    """Draw respondents with six numbers and a party; also return their config."""
    table = draw_people(n, rng)[0].drop(columns=["respondent_id", "weight", "region"])
    if base:
        inside = rng.random(n) < BASE_SHARE
        table.loc[~inside, [f"z{j}" for j in range(6)]] = 0.0
        table["base"] = pd.Categorical(np.where(inside, "yes", "no"), categories=["no", "yes"])
    return as_respondents(table)


def draw_fading(design, persistence, n, rng):
    """Draw (n, TASKS, total levels) part-worths that follow a stationary AR(1) over tasks."""
    tastes = draw_tables(design, rng, HETEROGENEITY, n, TASKS)
    for t in range(1, TASKS):
        tastes[:, t] = persistence * tastes[:, t - 1] + np.sqrt(1 - persistence**2) * tastes[:, t]
    return tastes
