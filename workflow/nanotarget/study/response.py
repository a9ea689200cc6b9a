"""What a calibration outcome is: how answers compare petitions, on which scale they are predicted, its words.

A kind of outcome is one class in `RESPONSES`: its fields are its section of the config, its class attributes
and class methods are its rules. The base class is a number that a respondent gives to each petition: the
response to a petition is its utility plus a level of the respondent, which drops out where her answers are
compared with each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol

import numpy as np
from pydantic import Field, create_model

from nanotarget.study.fields import Level, Range, Section

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
        paired: whether an answer compares the two petitions of a task; otherwise every petition has one.
        answers: rows that stand for an answer each.
        mirror: the opposite outcome of y is mirror - y.
        binary: whether it is 0 or 1, so that its mean is a share.
        placeholders: of the pattern of its columns in the wide layout.
    """

    name: ClassVar[str]
    unit: ClassVar[str]
    paired: ClassVar[bool] = False
    answers: ClassVar[slice] = slice(None)
    mirror: ClassVar[float] = 0.0
    binary: ClassVar[bool] = False
    placeholders: ClassVar[tuple[str, ...]] = ("task", "profile")

    column: str | list[str] = Field(
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

    @property
    def none_values(self) -> Sequence[Level]:
        """Wide layout: answers that choose none of the profiles."""
        return ()

    @classmethod
    def unit_in_text(cls) -> str:
        """Return the unit as it follows a number in a sentence."""
        return f"in the {cls.unit}" if cls.binary else cls.unit

    @classmethod
    def mean_without_preferences(cls, profiles: int) -> float | None:
        """Return the marginal mean of every level if nobody had preferences; None if it may be any.

        Args:
            profiles: number of petitions in a task.
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
    def expected(cls, eta: np.ndarray) -> np.ndarray:
        """Return the expected answer, in outcome units, given compared utilities."""
        return eta

    @classmethod
    def slope(cls, eta: np.ndarray) -> np.ndarray:
        """Return the change of the expected answer with compared utilities."""
        return np.ones_like(eta)

    @classmethod
    def flattening(cls, variance: np.ndarray | float) -> np.ndarray:
        """Return the factor from a person's utilities to those of the average answer of people like her.

        Args:
            variance: of the utility of a random petition between these people.
        """
        return np.ones_like(variance, dtype=float)

    @classmethod
    def mean_of_levels(cls, means: np.ndarray, others: np.ndarray, variance: np.ndarray) -> np.ndarray:
        """Return the expected response given each level of an attribute.

        Args:
            means: (n, levels) mean utility given the level.
            others: (n,) variance of utility that lies in the other attributes.
            variance: (n,) variance of utility over petitions.
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
    def losses(cls, outcome: np.ndarray, eta: np.ndarray) -> np.ndarray:
        """Return the (n_answers,) loss of predicted utilities: squared error."""
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

    # A logit of the difference of the two petitions' utilities.
    name = "choice"
    unit = "probability to be chosen"
    paired = True
    answers = slice(None, None, 2)
    mirror = 1.0
    binary = True
    placeholders = ("task",)

    column: str | list[str] = Field(
        description="Long layout - a 0/1 column; wide layout - a pattern with {task}, or a list with the "
        "column of every task; the cell names the chosen profile."
    )
    chosen_values: list[Level] | list[list[Level]] | None = Field(
        None,
        description="Wide layout - what the cell holds when the first, second, ... profile was chosen "
        "(default 1, 2, ...); a list of such lists, one per task, where that depends on the task.",
    )
    none_of_them: list[Level] = Field(
        [],
        description="Wide layout - answers that choose none of the profiles, such as 'Neither'; such a task "
        "counts as not answered.",
    )

    @property
    def label(self) -> str:
        """Name for people."""
        return "Choice of a petition (share)"

    @property
    def names_of_profiles(self) -> list[Level] | list[list[Level]] | None:
        """Wide layout: what a cell holds when the first, second, ... profile was chosen."""
        return self.chosen_values

    @property
    def none_values(self) -> Sequence[Level]:
        """Wide layout: answers that choose none of the profiles."""
        return self.none_of_them

    @classmethod
    def mean_without_preferences(cls, profiles: int) -> float | None:
        """Return the share of each petition of a task if all are alike."""
        return 1 / profiles

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
    def neighbours(cls, data: Answered) -> np.ndarray:
        """Return the first row of each task."""
        return np.arange(0, len(data.outcome), 2)

    @classmethod
    def intercept(cls, data: Answered) -> float:
        """Return zero: only differences of utilities show."""
        return 0.0

    @classmethod
    def expected(cls, eta: np.ndarray) -> np.ndarray:
        """Return the probability that the first petition is chosen."""
        return 1 / (1 + np.exp(-eta))

    @classmethod
    def slope(cls, eta: np.ndarray) -> np.ndarray:
        """Return the slope of the logistic curve."""
        chance = cls.expected(eta)
        return chance * (1 - chance)

    @classmethod
    def flattening(cls, variance: np.ndarray | float) -> np.ndarray:
        """Return the factor from a person's log-odds to those of the average choice of people like her.

        Two petitions differ by twice the variance of one (Zeger, Liang & Albert 1988).
        """
        return 1 / np.sqrt(1 + LOGIT_NORMAL * 2 * np.asarray(variance))

    @classmethod
    def mean_of_levels(cls, means: np.ndarray, others: np.ndarray, variance: np.ndarray) -> np.ndarray:
        """Return the probability to be chosen over an opponent drawn from the design.

        Their difference in utility is taken as normal (Zeger, Liang & Albert 1988).
        """
        return 1 / (1 + np.exp(-means / np.sqrt(1 + LOGIT_NORMAL * (variance + others))[:, None]))

    @classmethod
    def single(cls, data: Answered) -> tuple[np.ndarray, np.ndarray]:
        """Return whether each profile was chosen; all rows tell."""
        return data.outcome, np.ones(len(data.outcome), dtype=bool)

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
        first, second = cls.sides(common)
        chosen = rng.random(len(first)) < cls.expected(first - second)
        return np.column_stack([chosen, ~chosen]).ravel().astype(float)


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
