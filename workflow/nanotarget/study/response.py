"""What a calibration outcome is: how answers compare petitions, on which scale they are predicted, its words.

A kind of outcome is one class in `RESPONSES`: its fields are its section of the config, its class attributes
and class methods are its rules. The base class is a number that a respondent gives to each petition: the
response to a petition is its utility plus a level of the respondent, which drops out where her answers are
compared with each other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol

import numpy as np
from pydantic import Field, create_model
from scipy import special

from nanotarget.study.fields import Column, Level, Range, Section

# A logit averaged over a normal utility of variance v is close to a logit with slope
# 1 / sqrt(1 + LOGIT_NORMAL v) (Zeger, Liang & Albert 1988).
LOGIT_NORMAL = (16 * np.sqrt(3) / (15 * np.pi)) ** 2


class Answered(Protocol):
    """Profiles shown and what was answered, sorted by respondent and task."""

    @property
    def outcome(self) -> np.ndarray:
        """(n_rows,) what was answered."""

    @property
    def respondent(self) -> np.ndarray:
        """(n_rows,) index of the respondent, non-decreasing."""

    @property
    def task(self) -> np.ndarray:
        """(n_rows,) number of the task."""

    @property
    def weight(self) -> np.ndarray:
        """(n_respondents,) survey weights."""

    def respondent_means(self, values: np.ndarray) -> np.ndarray:
        """Average values over each respondent's rows: (n_rows, ...) to (n_respondents, ...)."""


class Response(Section):
    """A number given to each petition: identity link, compared within the respondent.

    Attributes:
        name: of the outcome in the config and of its column in the cleaned tables.
        unit: of a difference in the outcome, for axes.
        paired: whether an answer compares the petitions of a task; otherwise every petition has one.
        answers: rows that stand for an answer each.
        losses_of: rows that stand for a loss each.
        own_level: whether a respondent's answers have a level of her own, which the other tasks tell.
        profiles: petitions between which a choice is made.
        none: whether choosing none of them is an answer, too.
        opposed: whether the outcome is the opposite of what was answered.
        mirror: the opposite outcome of y is mirror - y.
        centre: what a comparison without preferences would be answered on average.
        binary: whether it is 0 or 1, so that its mean is a share.
        placeholders: of the pattern of its columns in the wide layout.
    """

    name: ClassVar[str]
    unit: ClassVar[str]
    paired: ClassVar[bool] = False
    answers: ClassVar[slice] = slice(None)
    losses_of: ClassVar[slice] = slice(None)
    own_level: ClassVar[bool] = True
    profiles: ClassVar[int] = 1
    none: ClassVar[bool] = False
    opposed: ClassVar[bool] = False
    mirror: ClassVar[float] = 0.0
    centre: ClassVar[float] = 0.0
    binary: ClassVar[bool] = False
    placeholders: ClassVar[tuple[str, ...]] = ("task", "profile")

    column: Column | list[Column] = Field(
        description="Long layout - a column; wide layout - a pattern with {task} and {profile}, or a list "
        "with the column of every profile of every task, in their order."
    )

    @property
    def label(self) -> str:
        """Name for people."""
        return type(self).name

    @property
    def limits(self) -> Sequence[float] | None:
        """Smallest and largest possible answer; None without."""
        return None

    @property
    def names_of_profiles(self) -> list[Level] | list[list[Level]] | None:
        """Wide layout: what a cell holds when the first, second, ... profile was chosen; None without."""
        return None

    def of_task(self, task: int) -> Response:
        """Return the same outcome as it was recorded for one task."""
        return self

    @property
    def none_values(self) -> Sequence[Level]:
        """Answers that choose none of the profiles; long layout: what a row for none has as levels."""
        return ()

    @property
    def none_is_answer(self) -> bool:
        """Whether choosing none of the profiles is an answer."""
        return False

    @classmethod
    def of_tasks(cls, profiles: int, none: bool) -> type[Response]:
        """Return the kind of outcome of tasks with so many petitions, of which none may have been chosen."""
        return cls

    @classmethod
    def task_settings(cls) -> Mapping[str, int | bool]:
        """Return the arguments of `of_tasks`, where they are not those of the kind itself."""
        return {}

    @classmethod
    def reversed(cls) -> type[Response]:
        """Return the kind of the opposite outcome, of utilities with the opposite sign."""
        return cls

    @classmethod
    def unit_in_text(cls) -> str:
        """Return the unit as it follows a number in a sentence."""
        return f"in the {cls.unit}" if cls.binary else cls.unit

    @classmethod
    def mean_without_preferences(cls, profiles: int) -> float | None:
        """Return the marginal mean of every level if nobody had preferences; None if it may be any.

        Args:
            profiles: number of petitions in a task; 0 if none of them may be chosen.
        """
        return None

    @classmethod
    def opposite(cls, outcome: np.ndarray) -> np.ndarray:
        """Return the opposite outcome, by which the worst petition is the best."""
        return cls.mirror - outcome

    @classmethod
    def sides(cls, values: np.ndarray) -> tuple[np.ndarray, ...]:
        """Split (n_rows, ...) values into those of each petition that an answer is about."""
        return (values,)

    @classmethod
    def compare(cls, values: np.ndarray, data: Answered) -> np.ndarray:
        """Return what answers compare: (n_rows, ...) values less their respondent's mean."""
        return values - data.respondent_means(values)[data.respondent]

    @classmethod
    def of_comparisons(cls, values: np.ndarray) -> np.ndarray:
        """Return of (n_rows,) values that a task has in common those of what `compare` returns."""
        return values[cls.answers]

    @classmethod
    def less_level(cls, answers: np.ndarray, data: Answered) -> np.ndarray:
        """Return (n_answers,) answers without the level of their respondent."""
        return answers - data.respondent_means(answers)[data.respondent]

    @classmethod
    def neighbours(cls, data: Answered) -> np.ndarray:
        """Return the rows whose answer can be compared with the next row's.

        Of one task; of neighbouring tasks where a task has one petition.
        """
        first = np.flatnonzero(data.respondent[:-1] == data.respondent[1:])
        same = data.task[first] == data.task[first + 1]
        return first[same] if same.any() else first

    @classmethod
    def intercept(cls, data: Answered) -> float:
        """Return the mean response to a random petition, which utilities are added to."""
        return float(np.average(data.outcome, weights=data.weight[data.respondent]))

    @classmethod
    def level_of_utility(cls, data: Answered, eta: np.ndarray) -> float:
        """Return the utility of the average petition beside choosing none; 0 where only differences show.

        Args:
            eta: (n_rows,) utilities of the petitions shown, up to this level.
        """
        return 0.0

    @classmethod
    def expected(cls, eta: np.ndarray) -> np.ndarray:
        """Return the (n_answers,) expected answers, in outcome units, given the (n_rows,) utilities shown."""
        return eta

    @classmethod
    def slope(cls, eta: np.ndarray) -> np.ndarray:
        """Return the (n_answers,) change of the expected answer with the utility of its own petition."""
        return np.ones_like(eta)

    @classmethod
    def residual(cls, outcome: np.ndarray, intercept: np.ndarray, eta: np.ndarray) -> np.ndarray:
        """Return the (n_rows,) outcome of each petition less what is expected given all that was shown."""
        return outcome - intercept - eta

    @classmethod
    def variance_shown(cls, outcome: np.ndarray) -> float:
        """Return the variance of expected answers over tasks, in units of that over the own petition."""
        return 1.0

    @classmethod
    def flattening(cls, variance: np.ndarray | float) -> np.ndarray:
        """Return the factor from a person's utilities to those of the average answer of people like her.

        Args:
            variance: of the utility of a random petition between these people.
        """
        return np.ones_like(variance, dtype=float)

    @classmethod
    def mean_of_levels(
        cls, means: np.ndarray, others: np.ndarray, variance: np.ndarray, level: np.ndarray
    ) -> np.ndarray:
        """Return the expected response given each level of an attribute.

        Args:
            means: (n, levels) mean utility given the level, less that of all petitions.
            others: (n,) variance of utility that lies in the other attributes.
            variance: (n,) variance of utility over petitions.
            level: (n,) mean utility of all petitions, see `level_of_utility`.
        """
        return means

    @classmethod
    def single(cls, data: Answered) -> tuple[np.ndarray, np.ndarray]:
        """Return what a model of single profiles learns, and which rows it can be learned from.

        The difference from the mean of the respondent's other answers: its expectation given petition and
        covariates is the response to the petition up to its mean over all petitions.

        Returns:
            (n_rows,) numbers, and (n_rows,) booleans: a lone answer cannot be compared.
        """
        counts = np.bincount(data.respondent)[data.respondent]
        difference = data.outcome - data.respondent_means(data.outcome)[data.respondent]
        return difference * counts / np.maximum(counts - 1, 1), counts > 1

    @classmethod
    def working(cls, outcome: np.ndarray, eta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return response and weight of the quadratic approximation of the log-likelihood.

        Args:
            outcome: (n_rows,).
            eta: (n_comparisons,) compared utilities at which it is taken.

        Returns:
            (n_comparisons,) each.
        """
        return outcome, np.ones_like(eta)

    @classmethod
    def losses(cls, outcome: np.ndarray, eta: np.ndarray) -> np.ndarray:
        """Return the loss of predicted utilities, one for each row of `losses_of`: squared error."""
        return (outcome - eta) ** 2

    @classmethod
    def gradient(
        cls, outcome: np.ndarray, eta: np.ndarray, weight: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return (n_rows,) gradient and curvature of the weighted loss by the utilities, up to a factor."""
        return weight * (eta - outcome), weight

    @classmethod
    def held_out_losses(cls, outcome: np.ndarray, eta: np.ndarray, unit: np.ndarray) -> np.ndarray:
        """Return the (n_rows,) losses of utilities predicted without these answers.

        The level of a respondent's answers is hers: errors are taken within units.

        Args:
            unit: (n_rows,) index of the respondent as one model sees her.
        """
        error = outcome - eta
        error -= (np.bincount(unit, weights=error) / np.bincount(unit))[unit]
        return error**2

    @classmethod
    def redraw(cls, common: np.ndarray, data: Answered, rng: np.random.Generator) -> np.ndarray:
        """Draw the (n_rows,) outcome as if all respondents had the same preferences.

        The common response plus the residuals of all answers, randomly permuted; the respondent's level
        drops out.

        Args:
            common: (n_rows,) utilities common to all.
        """
        residual = data.outcome - common
        residual -= data.respondent_means(residual)[data.respondent]
        return common + rng.permutation(residual)


class Rating(Response):
    """A number given to each profile."""

    name = "rating"
    unit = "rating points"

    range: Range = Field(description="Smallest and largest possible rating.")

    @property
    def label(self) -> str:
        """Name for people."""
        return f"Rating of a petition ({self.range[0]:g} to {self.range[1]:g})"

    @property
    def limits(self) -> Sequence[float]:
        """Smallest and largest possible rating."""
        return self.range


class WouldSign(Response):
    """Whether the respondent would sign, asked of each profile (no or yes)."""

    # Learned and predicted as a probability, by a linear model as of ratings.
    name = "would_sign"
    unit = "probability to sign"
    binary = True

    @property
    def label(self) -> str:
        """Name for people."""
        return "Would sign a petition (share)"


class Choice(Response):
    """Which profile of a task was chosen."""

    # A logit of the difference of the two petitions' utilities; of other tasks see `ChoiceAmong`.
    name = "choice"
    unit = "probability to be chosen"
    paired = True
    answers = slice(None, None, 2)
    losses_of = slice(None, None, 2)
    own_level = False
    profiles = 2
    mirror = 1.0
    centre = 0.5
    binary = True
    placeholders = ("task",)

    column: Column | list[Column] = Field(
        description="Long layout - a 0/1 column; task layout - a column, wide layout - a pattern with "
        "{task}, or a list with the column of every task, whose cell names the chosen profile."
    )
    chosen_values: list[Level] | list[list[Level]] | None = Field(
        None,
        description="Wide and task layout - what the cell holds when the first, second, ... profile was "
        "chosen (default 1, 2, ...); a list of such lists, one per task, where that depends on the task.",
    )
    none_of_them: list[Level] = Field(
        [],
        description="Wide and task layout - answers that choose none of the profiles, such as 'Neither'; "
        "without `none_option` such a task counts as not answered. Long layout with `none_option` - what "
        "stands in place of levels in a row for none, such as 0 (empty cells need not be named).",
    )
    none_option: bool = Field(
        False,
        description="Whether respondents could choose none of the profiles and that is an answer. Long "
        "layout - a task without a chosen profile, or with a row without levels that is chosen (not counted "
        "in `profiles`); wide and task layout - an answer in `none_of_them`.",
    )

    @property
    def label(self) -> str:
        """Name for people."""
        return "Choice of a petition (share)"

    @property
    def names_of_profiles(self) -> list[Level] | list[list[Level]] | None:
        """Wide layout: what a cell holds when the first, second, ... profile was chosen."""
        return self.chosen_values

    def of_task(self, task: int) -> Response:
        """Return the same outcome with the names that profiles have in one task."""
        own = [values for values in self.chosen_values or [] if isinstance(values, list)]
        return self.model_copy(update={"chosen_values": own[task - 1]}) if own else self

    @property
    def none_values(self) -> Sequence[Level]:
        """Answers that choose none of the profiles; long layout: what a row for none has as levels."""
        return self.none_of_them

    @property
    def none_is_answer(self) -> bool:
        """Whether choosing none of the profiles is an answer."""
        return self.none_option

    @classmethod
    def of_tasks(cls, profiles: int, none: bool) -> type[Response]:
        """Return the kind of choice among so many petitions, of which none may have been chosen."""
        return cls if profiles <= 2 and not none else _choice_among(profiles, none)

    @classmethod
    def mean_without_preferences(cls, profiles: int) -> float | None:
        """Return the share of each petition of a task if all are alike; None if none may be chosen."""
        return 1 / profiles if profiles else None

    @classmethod
    def sides(cls, values: np.ndarray) -> tuple[np.ndarray, ...]:
        """Split values into those of the first and of the second petition of each task."""
        return values[::2], values[1::2]

    @classmethod
    def compare(cls, values: np.ndarray, data: Answered) -> np.ndarray:
        """Return the (n_tasks, ...) values of the first petition less those of the second.

        Raises:
            ValueError: if a task does not have exactly two profiles (cleaned forced choices have).
        """
        shown = [cls.sides(rows) for rows in (data.respondent, data.task)]
        if not all(np.array_equal(first, second) for first, second in shown):
            raise ValueError("the paired-difference logit needs exactly two profiles in every task")
        first, second = cls.sides(values)
        return first - second

    @classmethod
    def less_level(cls, answers: np.ndarray, data: Answered) -> np.ndarray:
        """Return the answers: choices between two petitions have no level."""
        return answers

    @classmethod
    def neighbours(cls, data: Answered) -> np.ndarray:
        """Return the first row of each task."""
        return np.arange(0, len(data.outcome), 2)

    @classmethod
    def intercept(cls, data: Answered) -> float:
        """Return zero: only differences of utilities show."""
        return 0.0

    @classmethod
    def expected(cls, eta: np.ndarray) -> np.ndarray:
        """Return the (n_tasks,) probabilities that the first petition is chosen."""
        first, second = cls.sides(eta)
        return 1 / (1 + np.exp(-(first - second)))

    @classmethod
    def slope(cls, eta: np.ndarray) -> np.ndarray:
        """Return the (n_tasks,) slopes of the logistic curve."""
        chance = cls.expected(eta)
        return chance * (1 - chance)

    @classmethod
    def residual(cls, outcome: np.ndarray, intercept: np.ndarray, eta: np.ndarray) -> np.ndarray:
        """Return whether each petition was chosen less its probability given the opponent shown."""
        opponent = eta.reshape(-1, 2)[:, ::-1].ravel()
        return outcome - 1 / (1 + np.exp(-(eta - opponent)))

    @classmethod
    def variance_shown(cls, outcome: np.ndarray) -> float:
        """Return 2: both petitions add their variance."""
        return 2.0

    @classmethod
    def flattening(cls, variance: np.ndarray | float) -> np.ndarray:
        """Return the factor from a person's log-odds to those of the average choice of people like her.

        Two petitions differ by twice the variance of one (Zeger, Liang & Albert 1988).
        """
        return 1 / np.sqrt(1 + LOGIT_NORMAL * 2 * np.asarray(variance))

    @classmethod
    def mean_of_levels(
        cls, means: np.ndarray, others: np.ndarray, variance: np.ndarray, level: np.ndarray
    ) -> np.ndarray:
        """Return the probability to be chosen over an opponent drawn from the design.

        Their difference in utility is taken as normal (Zeger, Liang & Albert 1988).
        """
        return 1 / (1 + np.exp(-means / np.sqrt(1 + LOGIT_NORMAL * (variance + others))[:, None]))

    @classmethod
    def single(cls, data: Answered) -> tuple[np.ndarray, np.ndarray]:
        """Return whether each profile was chosen; all rows tell."""
        return data.outcome, np.ones(len(data.outcome), dtype=bool)

    @classmethod
    def working(cls, outcome: np.ndarray, eta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return response and weight of the quadratic approximation of the logit log-likelihood."""
        probability = 1 / (1 + np.exp(-eta))
        weight = probability * (1 - probability)
        return eta + (outcome[::2] - probability) / np.maximum(weight, 1e-10), weight

    @classmethod
    def losses(cls, outcome: np.ndarray, eta: np.ndarray) -> np.ndarray:
        """Return the (n_tasks,) negative log-likelihood of the choice (nats)."""
        first, second = cls.sides(eta)
        return np.logaddexp(0, (1 - 2 * outcome[::2]) * (first - second))

    @classmethod
    def gradient(
        cls, outcome: np.ndarray, eta: np.ndarray, weight: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return gradient and curvature of the negative log-likelihood by the utilities."""
        opponent = eta.reshape(-1, 2)[:, ::-1].ravel()
        probability = 1 / (1 + np.exp(opponent - eta))
        return weight * (probability - outcome), weight * probability * (1 - probability)

    @classmethod
    def held_out_losses(cls, outcome: np.ndarray, eta: np.ndarray, unit: np.ndarray) -> np.ndarray:
        """Return the negative log-likelihood of each choice, the same in both of its rows."""
        return np.repeat(cls.losses(outcome, eta), 2)

    @classmethod
    def redraw(cls, common: np.ndarray, data: Answered, rng: np.random.Generator) -> np.ndarray:
        """Draw choices from the common preferences."""
        chance = cls.expected(common)
        chosen = rng.random(len(chance)) < chance
        return np.column_stack([chosen, ~chosen]).ravel().astype(float)


class ChoiceAmong(Choice):
    """A choice among `profiles` petitions, or of none of them: a conditional logit (McFadden 1974).

        P(k) = exp(eta_k) / (sum of exp(eta_j) over the task + 1 if there is none),

    the utility of none being zero. With two petitions and without none this is `Choice`.

    A learner compares the petitions of a task pair by pair, as its likelihood given that one of them was
    chosen does: sum_k p_k (x_k - mean x)^2 = sum_{j<k} p_j p_k (x_j - x_k)^2. What makes a respondent choose
    none more often than others drops out; `level_of_utility` is what all have in common of it.

    A diagnosis takes every petition shown for an answer of 0 or 1: its expectation, the other petitions
    of the task being drawn from the design, is the response to it, and tasks of a respondent are independent.
    """

    answers = slice(None)

    @classmethod
    def task_settings(cls) -> Mapping[str, int | bool]:
        """Return the arguments of `of_tasks`."""
        return {"profiles": cls.profiles, "none": cls.none}

    @classmethod
    def reversed(cls) -> type[Response]:
        """Return the kind of not being chosen, whose utilities have the opposite sign."""
        return _choice_among(cls.profiles, cls.none, not cls.opposed)

    @classmethod
    def by_task(cls, values: np.ndarray) -> np.ndarray:
        """Return (n_rows, ...) values as (n_tasks, profiles, ...)."""
        return values.reshape(-1, cls.profiles, *values.shape[1:])

    @classmethod
    def sides(cls, values: np.ndarray) -> tuple[np.ndarray, ...]:
        """Return the values: every petition shown has an answer."""
        return (values,)

    @classmethod
    def compare(cls, values: np.ndarray, data: Answered) -> np.ndarray:
        """Return the values of a petition less another's, for every pair of a task, task after task.

        Raises:
            ValueError: if a task has another number of profiles.
        """
        whole = len(values) % cls.profiles == 0 and all(
            (cls.by_task(rows) == cls.by_task(rows)[:, :1]).all() for rows in (data.respondent, data.task)
        )
        if not whole:
            raise ValueError(f"the conditional logit needs exactly {cls.profiles} profiles in every task")
        first, second = np.triu_indices(cls.profiles, 1)
        shown = cls.by_task(values)
        return (shown[:, first] - shown[:, second]).reshape(-1, *values.shape[1:])

    @classmethod
    def of_comparisons(cls, values: np.ndarray) -> np.ndarray:
        """Return the values of the tasks, repeated for every pair."""
        return np.repeat(values[:: cls.profiles], cls.profiles * (cls.profiles - 1) // 2)

    @classmethod
    def less_level(cls, answers: np.ndarray, data: Answered) -> np.ndarray:
        """Return the answers, less their respondent's mean where some choose none more often than others."""
        return answers - data.respondent_means(answers)[data.respondent] if cls.none else answers

    @classmethod
    def neighbours(cls, data: Answered) -> np.ndarray:
        """Return the rows that another row of the same task follows."""
        return np.flatnonzero(np.arange(1, len(data.outcome) + 1) % cls.profiles)

    @classmethod
    def level_of_utility(cls, data: Answered, eta: np.ndarray) -> float:
        """Return the utility of the average petition beside none, by maximum likelihood; 0 without none.

        Half a task in which none was chosen, and half a task in which one was, keep it finite.
        """
        if not cls.none:
            return 0.0
        inclusive = special.logsumexp(cls.by_task(eta), axis=1)
        some = cls.by_task(data.outcome).sum(axis=1)
        weight = data.weight[data.respondent[:: cls.profiles]]

        def score(level: float) -> float:
            likelihood = weight @ (some - special.expit(level + inclusive))
            return float(likelihood + 0.5 - special.expit(level + np.log(cls.profiles)))

        from scipy import optimize  # costs a third of a second, and every job imports this module

        return float(optimize.brentq(score, -50, 50))

    @classmethod
    def log_chances(cls, eta: np.ndarray) -> np.ndarray:
        """Return the (n_tasks, profiles) logarithms of the probabilities to be chosen, by the likelihood."""
        shown = cls.by_task(eta)
        options = np.pad(shown, ((0, 0), (0, 1))) if cls.none else shown
        return shown - special.logsumexp(options, axis=1, keepdims=True)

    @classmethod
    def expected(cls, eta: np.ndarray) -> np.ndarray:
        """Return the (n_rows,) probability that each petition of a task is chosen; or is not, if opposed."""
        chance = np.exp(cls.log_chances(-eta if cls.opposed else eta)).ravel()
        return 1 - chance if cls.opposed else chance

    @classmethod
    def residual(cls, outcome: np.ndarray, intercept: np.ndarray, eta: np.ndarray) -> np.ndarray:
        """Return whether each petition was chosen less its probability given the others shown."""
        return outcome - cls.expected(eta)

    @classmethod
    def variance_shown(cls, outcome: np.ndarray) -> float:
        """Return 1 + the sum of squares of how much the other petitions move the chance, in units of the own.

        The chance p of a petition moves by p (1 - p) with its own utility, by p p' with another's; taken at
        the mean chance.
        """
        chance = 1 - outcome.mean() if cls.opposed else outcome.mean()
        return float(1 + (cls.profiles - 1) * (chance / (1 - chance)) ** 2)

    @classmethod
    def mean_of_levels(
        cls, means: np.ndarray, others: np.ndarray, variance: np.ndarray, level: np.ndarray
    ) -> np.ndarray:
        """Return the probability to be chosen among petitions drawn from the design, and none.

        The logarithm of the sum of the others' exp(utility) is taken as normal with the moments of the
        sum (Fenton 1960), and so is the difference from it (Zeger, Liang & Albert 1988).
        """
        rivals = cls.profiles - 1
        mean = rivals * np.exp(variance / 2) + (np.exp(-level) if cls.none else 0)
        spread = np.log1p(rivals * np.exp(variance) * np.expm1(variance) / mean**2)
        ahead = means - (np.log(mean) - spread / 2)[:, None]
        return special.expit(ahead / np.sqrt(1 + LOGIT_NORMAL * (spread + others))[:, None])

    @classmethod
    def working(cls, outcome: np.ndarray, eta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return response and weight of every pair, given that one of the petitions was chosen.

        With weight p_j p_k and response eta_j - eta_k + y_j / p_j - y_k / p_k the pairs of a task have the
        curvature and the gradient of its log-likelihood. A task without a choice weighs nothing.
        """
        first, second = np.triu_indices(cls.profiles, 1)
        chosen = cls.by_task(outcome)
        behind = eta.reshape(len(chosen), -1)[:, : cls.profiles - 1]  # the first petition less each other one
        chance = special.softmax(np.pad(-behind, ((0, 0), (1, 0))), axis=1)
        one, other = chance[:, first], chance[:, second]
        change = chosen[:, first] * other - chosen[:, second] * one
        response = eta + (change / np.maximum(one * other, 1e-10)).ravel()
        return response, (one * other * chosen.sum(axis=1, keepdims=True)).ravel()

    @classmethod
    def losses(cls, outcome: np.ndarray, eta: np.ndarray) -> np.ndarray:
        """Return the (n_tasks,) negative log-likelihood of what was chosen, none included (nats)."""
        chosen, log_chance = cls.by_task(outcome), cls.log_chances(eta)
        given = (chosen * log_chance).sum(axis=1)
        if not cls.none:
            return -given
        nothing = -special.logsumexp(np.pad(cls.by_task(eta), ((0, 0), (0, 1))), axis=1)
        return -np.where(chosen.any(axis=1), given, nothing)

    @classmethod
    def gradient(
        cls, outcome: np.ndarray, eta: np.ndarray, weight: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return gradient and curvature of the negative log-likelihood by the utilities."""
        chance = np.exp(cls.log_chances(eta)).ravel()
        return weight * (chance - outcome), weight * chance * (1 - chance)

    @classmethod
    def held_out_losses(cls, outcome: np.ndarray, eta: np.ndarray, unit: np.ndarray) -> np.ndarray:
        """Return the negative log-likelihood of each choice, the same in all of its rows."""
        return np.repeat(cls.losses(outcome, eta), cls.profiles)

    @classmethod
    def redraw(cls, common: np.ndarray, data: Answered, rng: np.random.Generator) -> np.ndarray:
        """Draw choices from the common preferences."""
        reached = np.exp(cls.log_chances(common)).cumsum(axis=1)
        if not cls.none:
            reached[:, -1] = 1.0
        drawn = rng.random((len(reached), 1))
        return (
            ((drawn < reached) & (drawn >= np.pad(reached[:, :-1], ((0, 0), (1, 0))))).ravel().astype(float)
        )


@cache
def _choice_among(profiles: int, none: bool, opposed: bool = False) -> type[Response]:
    """Return the kind of choice in tasks of this form."""
    share, tasks = 1 / profiles, slice(None, None, profiles)
    form = {"profiles": profiles, "none": none, "opposed": opposed, "losses_of": tasks, "own_level": none}
    form["centre"] = 1 - share if opposed else share
    return type(f"ChoiceAmong{profiles}", (ChoiceAmong,), {"__module__": __name__, **form})


# By name, in the order of the columns of cleaned tables.
RESPONSES: dict[str, type[Response]] = {kind.name: kind for kind in (Choice, Rating, WouldSign)}


class Measured(Section):
    """What was measured on each profile: one or several of these."""

    @property
    def measured(self) -> list[Response]:
        """The outcomes that there are."""
        return [outcome for name in type(self).model_fields if (outcome := getattr(self, name))]


def _absent(outcome: Response | None) -> bool:
    return outcome is None


if TYPE_CHECKING:
    CalibrationOutcomes = Measured
    Kind = str
else:  # a key for every kind of outcome
    CalibrationOutcomes = create_model(
        "CalibrationOutcomes",
        __base__=Measured,
        __doc__=Measured.__doc__,
        **{
            name: (kind | None, Field(None, exclude_if=_absent, description=kind.__doc__))
            for name, kind in RESPONSES.items()
        },
    )
    Kind = Literal[tuple(RESPONSES)]
