"""Worlds in which the answer to "can nano-targeting pay?" is known, and samples drawn from them.

Units: one noise standard deviation of a rating. Common part-worths vary by 0.2 a level, a variance of `MAINS`
over the petitions of the design. All data are synthetic.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd
from scipy import linalg, special

from nanotarget.calibrate.learners.base import TrainingData
from nanotarget.petitions.design import Design
from nanotarget.petitions.utilities import Layout, Tables, additive_layout, part_worths
from nanotarget.study.seeds import child_rng
from scales import NOISE, Scale
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
CHOICE = 0.01  # smallest gain in choices: the best petitions win nearly always, so gains are small
LINEAR = 0.3  # slope of what `xor_linear` adds to its products of signs
BEYOND = 0.3  # threshold on both covariates of `corner`
SPLIT = 0.24  # what half the people lose on one attribute in `split`
WEAK = 0.015  # standard deviation of a cell of a pair of attributes that hardly interacts


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


def strong_tastes(design, rng):
    """The same, and differences are three times as large, so that people's own answers tell much of them."""
    return common_only(design, rng, idiosyncratic=3 * HETEROGENEITY)


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


def by_sign(sign, variance=HETEROGENEITY):
    """Return a world in which a function of the numeric covariates decides who wants what.

    Args:
        sign: from respondents to (n,) factors of the part-worths that are not common.
        variance: of these part-worths.
    """

    def world(design, rng):
        common = draw_tables(design, rng, MAINS)
        wants = draw_tables(design, rng, variance)
        return World(
            additive_layout(design), common, lambda people: np.asarray(sign(people))[:, None] * wants
        )

    return world


def product_of_signs(people):
    """Return 1 for those above the mean on both of two covariates or on none, and -1 for the others."""
    return np.sign(people["z0"] * people["z1"])


xor = by_sign(product_of_signs)
weak_xor = by_sign(product_of_signs, 0.06)
xor_linear = by_sign(lambda people: 0.9 * product_of_signs(people) + LINEAR * people["z0"])
corner = by_sign(lambda people: 2 * ((people["z0"] > BEYOND) & (people["z1"] > BEYOND)) - 0.5)
wedge = by_sign(lambda people: np.where(people["z0"].abs() > people["z1"].abs(), 1, -1))


@dataclass(frozen=True)
class Divided(World):
    """Half the people prefer the first level of the first attribute, half the second; no covariate tells."""

    def utilities(self, respondents, rng):
        """Utilities of these people."""
        cells = self.predictable(respondents).cells
        side = rng.choice([-1, 1], len(respondents))
        cells[:, 0] += SPLIT * side
        cells[:, 1] -= SPLIT * side
        return Tables(self.layout, cells)


def two_favourites(design, rng):
    """Return common part-worths in which two levels of the first attribute tie for the best."""
    common = draw_tables(design, rng, MAINS)
    size = design.shape[0]
    common[:size] = np.where(np.arange(size) < 2, 1 - 2 / size, -2 / size) * LEAD
    return common


def split(design, rng):
    """People are divided over the two best levels of an attribute."""
    common = two_favourites(design, rng)
    return Divided(additive_layout(design), common, nobody_differs(common))


def split_told(design, rng):
    """The same, and the sign of a covariate tells who prefers which."""
    common = two_favourites(design, rng)
    sides = np.zeros_like(common)
    sides[:2] = SPLIT, -SPLIT
    return World(
        additive_layout(design), common, lambda people: np.sign(people["z0"]).to_numpy()[:, None] * sides
    )


def just_pays(design, rng):
    """A rule that is learned gains about as much as matters."""
    return linear(design, rng, variance=0.075)


def weak_interactions(design, rng):
    """As `linear`, and all pairs of attributes interact a little, for all alike."""
    people, sizes = linear(design, rng), design.shape
    pairs = list(itertools.combinations(range(len(sizes)), 2))
    layout = Layout(design, (*additive_layout(design).subsets, *pairs))
    tables = [rng.normal(size=(sizes[a], sizes[b])) * WEAK for a, b in pairs]
    tables = [(t - t.mean(axis=0) - t.mean(axis=1, keepdims=True) + t.mean()).ravel() for t in tables]
    common = np.concatenate([people.common, *tables])

    def specific(respondents):
        own = people.specific(respondents)
        return np.hstack([own, np.zeros((len(own), len(common) - own.shape[1]))])

    return World(layout, common, specific, people.idiosyncratic)


BASE_HETEROGENEITY = 0.1
BASE_SHARE = 1 / 3
STAYING = 1.5  # log-odds to go on after a task that is liked as all are on average
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
        sesoi: the smallest gain that matters, in units of the outcome.
        scale: on which a latent rating is answered; None for ratings without ends.
        noise: distribution of the noise of a rating, a key of `scales.NOISE`.
        shape: levels of the attributes.
        limited: whether a pair of levels is prohibited and levels are not equally likely.
        weighted: log of a respondent's weight per unit of her first covariate.
        clickers: share of people who answer at random throughout.
        dropout: how much likelier somebody goes on for each unit by which she liked the last task more.
        left: what the first petition of a task adds to its rating before a choice.
        panel: whether the same people come back, so that rules know their own answers, too.
        goals: that are diagnosed.
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
    sesoi: float = 0.1
    scale: Scale | None = None
    noise: str = "normal"
    shape: tuple[int, ...] = REFERENCE
    limited: bool = False
    weighted: float = 0.0
    clickers: float = 0.0
    dropout: float | None = None
    left: float = 0.0
    panel: bool = False
    goals: tuple[str, ...] = ("support",)

    @property
    def plain(self):
        """Whether answers are choices, or ratings with normal noise and without ends."""
        return self.scale is None and self.noise == "normal"

    def design(self, shape):
        """Return the design of attributes of some shape."""
        if not self.limited:
            return factorial(shape)
        chance = np.arange(shape[0], 0, -1)
        return factorial(
            shape,
            prohibited=[{"a0": ["l0"], "a1": ["l1"]}, {"a1": ["l2"], "a2": ["l0", "l1"]}],
            probabilities={"a0": list(chance / chance.sum())},
        )


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
    "R11": Regime(common_best, "FFFF", goals=("support", "dissuade")),
    "R12": Regime(only_in_base, "????", base=True),
    "R13": Regime(interactions, "PPPP"),
    "R14": Regime(common_only, "????", fades=0.5),
    "R1-choice": Regime(common_only, "FFFF", outcome="choice", sesoi=CHOICE),
    "R3-choice": Regime(own_tastes, "PFFF", outcome="choice", sesoi=CHOICE),
    "R6-choice": Regime(linear, "PPPP", outcome="choice", sesoi=CHOICE),
    "bounded-5": Regime(linear, "PPPP", scale=Scale(centre=5, step=2), sesoi=0.2),
    "bounded-6": Regime(linear, "PPPP", scale=Scale(centre=6, step=2), sesoi=0.2),
    "bounded-7": Regime(linear, "????", scale=Scale(centre=7, step=2), sesoi=0.5),
    "bounded-R0": Regime(nothing, "FFFF", scale=Scale(centre=7, step=2), sesoi=0.2),
    "bounded-R1": Regime(common_only, "FFFF", scale=Scale(centre=7, step=2), sesoi=0.2),
    "bounded-R4": Regime(intensity, "PPFF", scale=Scale(centre=7, step=2), sesoi=0.2),
    "stars": Regime(linear, "PPPP", scale=Scale(1, 5, 3.1), sesoi=0.03),
    "top": Regime(linear, "????", scale=Scale(1, 5, 5.5), sesoi=0.03),
    "seven": Regime(linear, "PPPP", scale=Scale(1, 7, 4.6, 1.3)),
    "slider": Regime(linear, "PPPP", scale=Scale(0, 100, 64, 20), sesoi=2),
    "sign": Regime(linear, "PPPP", outcome="would_sign", scale=Scale(0, 1, 0.2), sesoi=0.03),
    "skewed": Regime(linear, "PPPP", noise="skewed"),
    "t3": Regime(linear, "PPPP", noise="t3"),
    "bounded-skewed": Regime(linear, "PPPP", scale=Scale(centre=7, step=2), noise="skewed", sesoi=0.2),
    "bounded-t3": Regime(linear, "PPPP", scale=Scale(centre=7, step=2), noise="t3", sesoi=0.2),
    "xor": Regime(xor, "PP??"),
    "xor-weak": Regime(weak_xor, "????"),
    "xor-linear": Regime(xor_linear, "PP??"),
    "corner": Regime(corner, "PP??"),
    "wedge": Regime(wedge, "PP??"),
    "split": Regime(split, "PFFF"),
    "split-told": Regime(split_told, "PPPP"),
    "boundary": Regime(just_pays, "????", n=600),
    "weights": Regime(linear, "PPPP", weighted=0.8),
    "weak-interactions": Regime(weak_interactions, "PPPP"),
    "few-attributes": Regime(linear, "PPPP", shape=(2, 3, 4)),
    "many-attributes": Regime(linear, "PPPP", shape=(3,) * 10),
    "prohibited": Regime(linear, "PPPP", limited=True),
    "dropout": Regime(linear, "PPPP", dropout=1.0),
    "clickers": Regime(linear, "PP??", clickers=0.2),
    "left-choice": Regime(linear, "PPPP", outcome="choice", sesoi=CHOICE, left=0.4),
    "R1-panel": Regime(common_only, "FFFF", panel=True),
    "R3-panel": Regime(strong_tastes, "PPPP", panel=True),
    "R6-panel": Regime(linear, "PPPP", panel=True),
}


@dataclass(frozen=True)
class Sample:
    """Respondents whose preferences are known, and what they answered.

    Attributes:
        data: the calibration.
        world: the population.
        regime: how it was asked.
        level: (n,) respondents' own mean ratings, where the truth depends on them.
        utilities: what each respondent's answers tell of on average: random clicks shrink it, tastes that
            fade are averaged over her tasks.
        predictable: the same of all people with her covariates.
        deployed: what she wants at deployment, where that is something else.
        fading: (n, tasks, n_cells) what the tastes of a task add to `world`, where they fade.
    """

    data: TrainingData
    world: World
    regime: Regime
    level: np.ndarray
    utilities: Tables
    predictable: Tables
    deployed: Tables | None = None
    fading: np.ndarray | None = None

    def responses(self, utilities):
        """Return what people of these utilities would answer."""
        return Preferences(utilities, self.regime, self.level)

    @cached_property
    def preferences(self):
        """What her answers tell of, as responses."""
        return self.responses(self.utilities)

    @property
    def baseline(self):
        """Standard deviation of respondents' mean ratings, as far as random clicks let them show."""
        return (1 - self.regime.clicks) * self.regime.baseline

    @property
    def additive(self):
        """Whether variances over petitions are known: answers have no ends, attributes are independent."""
        return self.regime.scale is None and not self.regime.limited

    @cached_property
    def knowable(self):
        """What is known of everybody at best: from her covariates and, in a panel, her own answers."""
        return after_answers(self) if self.regime.panel else self.predictable

    @cached_property
    def groups(self):
        """Label -> (n,) who is in it: everybody, and the base and the others where there is one."""
        groups = {"all": np.ones(self.data.n_respondents, dtype=bool)}
        if "base" in self.data.respondents:
            inside = (self.data.respondents["base"] == "yes").to_numpy()
            groups |= {"base: yes": inside, "base: no": ~inside}
        return groups


def draw_sample(regime, seed, name, n=None, shape=None):
    """Draw a world, its people and their answers, all from the seed.

    Args:
        name: of the regime, for the random streams.
        n, shape: respondents and levels of the attributes, if not those of the regime.
    """
    design = regime.design(shape or regime.shape)
    rng = child_rng(seed, f"validation/{name}")
    world = regime.world(design, rng)
    respondents, covariates = draw_covariates(n or regime.n, regime.base, rng)
    if regime.weighted:
        respondents["weight"] = np.exp(regime.weighted * respondents["z0"])
    wanted, predictable = world.utilities(respondents, rng), world.predictable(respondents)
    if regime.clickers:
        clicks = rng.random(len(respondents)) < regime.clickers
        wanted = replace(wanted, cells=np.where(clicks[:, None], 0, wanted.cells))
        predictable = replace(predictable, cells=(1 - regime.clickers) * predictable.cells)
    settings = {"outcome": regime.outcome, "left": regime.left}
    if regime.plain:
        data = answer(wanted, respondents, covariates, TASKS, rng, baseline=regime.baseline, **settings)
        level = np.zeros(len(respondents))
    else:
        data = answer(wanted, respondents, covariates, TASKS, rng, baseline=0, noise=0, **settings)
        level = regime.baseline * rng.normal(size=len(respondents))
        latent = data.outcome + level[data.respondent] + NOISE[regime.noise].draw(rng, len(data.outcome))
        data = replace(data, outcome=regime.scale.answers(latent) if regime.scale else latent)
    fading = None
    if regime.fades is not None:
        fading = draw_fading(design, regime.fades, len(respondents), rng)
        own = part_worths(fading.reshape(-1, fading.shape[2]), design)
        added = own.utility_of_rows(data.levels, data.respondent * TASKS + data.task)
        data = replace(data, outcome=data.outcome + added)
        wanted = replace(wanted, cells=wanted.cells + fading.mean(axis=1))
    deployed = None
    if regime.rotated:
        changed = regime.world(design, rng).specific(respondents) - world.specific(respondents)
        deployed = replace(wanted, cells=wanted.cells + changed)
    if regime.clicks:
        clicked = rng.random(len(data.outcome)) < regime.clicks
        data = replace(data, outcome=np.where(clicked, rng.permutation(data.outcome), data.outcome))
    if regime.dropout is not None:
        data = data.subset(still_there(data, regime.dropout, rng))
    heard = 1 - regime.clicks
    return Sample(
        data,
        world,
        regime,
        level,
        replace(wanted, cells=heard * wanted.cells),
        replace(predictable, cells=heard * predictable.cells),
        deployed,
        fading,
    )


def after_answers(sample):
    """Return the mean of everybody's part-worths given her covariates and all that she has answered.

    Bayes' rule with the true parameters: tastes, mean ratings and noise are normal.
    """
    data, design, n = sample.data, sample.data.design, sample.data.n_respondents
    centred = linalg.block_diag(*(np.eye(size) - 1 / size for size in design.shape))
    covariance = sample.world.idiosyncratic**2 * centred @ centred.T
    cells = additive_layout(design).cells_of(data.levels)
    shown = np.zeros((len(cells), len(covariance)))
    np.put_along_axis(shown, cells, 1.0, axis=1)
    shown = shown.reshape(n, -1, len(covariance))  # everybody answers as many tasks
    expected = sample.predictable.utility_of_rows(data.levels, data.respondent)
    surprise = (data.outcome - expected).reshape(n, -1, 1)
    noise = np.eye(shown.shape[1]) + sample.regime.baseline**2
    told = covariance @ np.swapaxes(shown, 1, 2)
    learned = told @ np.linalg.solve(shown @ told + noise, surprise)
    return replace(sample.predictable, cells=sample.predictable.cells + learned[:, :, 0])


def still_there(data, liking, rng):
    """Return which rows are answered by people who may leave after every task from the second on.

    Args:
        liking: log-odds to go on per rating point of the last task.
    """
    rating = data.outcome.reshape(data.n_respondents, TASKS, 2).mean(axis=2)
    goes_on = rng.random(rating.shape) < special.expit(STAYING + liking * rating)
    goes_on[:, 0] = True
    there = np.hstack([np.ones((len(rating), 1), dtype=bool), np.cumprod(goes_on, axis=1)[:, :-1] > 0])
    return np.repeat(there.ravel(), 2)


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
