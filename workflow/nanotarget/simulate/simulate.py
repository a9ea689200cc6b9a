"""Simulated raw data of a three-arm petition study whose truth is known.

People have traits, covariates that reflect them, a baseline and part-worths for every level. From
these come a conjoint survey and an experiment that fields the petitions learned from it (`field` says by
what rule): two tables in the shape in which a survey platform exports them, with the faults that
such exports have. What is true in them says `truth`. The experiment is answered by new people, or by
those of the calibration who come back (a panel).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from string import ascii_uppercase, digits
from typing import Any

import numpy as np
import pandas as pd
from pydantic import Field
from scipy.special import expit, ndtr, ndtri

from nanotarget.petitions.design import Design
from nanotarget.petitions.encoding import indicators, level_offsets
from nanotarget.study.config import CovariateConfig
from nanotarget.study.fields import Number, Section
from nanotarget.study.problems import Problem, raise_if_any
from nanotarget.study.seeds import child_rng

ARMS = {"control": "Control", "best": "Overall best", "nano": "Nano"}  # name and raw text
OUTCOMES = ("sign", "support", "share")
TRAITS = ("right", "green", "status", "seniority")
SCALE_TOP = 10
PROFILES = 2  # a task; the truth of choices is that of pairs
SPEEDER_SECONDS = 180
MARK = "SIMULATED DATA, NO REAL PERSON ANSWERED"


class Sample(Section):
    """Size and fieldwork of one survey; `excluded` counts the extra rows by what is wrong with them."""

    respondents: int
    excluded: dict[str, int]
    first_day: str
    days: int
    median_seconds: Number


class Samples(Section):
    """The two surveys."""

    calibration: Sample
    experiment: Sample


class Untidiness(Section):
    """Shares of cells, people or tasks with a fault."""

    opt_out: Number
    covariate_missing: Number
    prefer_not_to_say: Number
    untidy_text: Number
    task_skipped: Number
    rating_skipped: Number
    attrition: Number
    outcome_skipped: Number


class Trait(Section):
    """How a covariate comes from the traits.

    Attributes:
        mean, sd: of a numeric covariate.
        shares: of the levels of a categorical one.
        loadings: correlation of the covariate's latent normal with each trait (numeric and ordered).
        leanings: log odds a unit of the trait for each level (unordered).
    """

    mean: Number = 0
    sd: Number = 1
    shares: list[Number] = Field(default_factory=list)
    loadings: dict[str, Number] = Field(default_factory=dict)
    leanings: dict[str, list[Number]] = Field(default_factory=dict)


class Baseline(Section):
    """SD of a person's response to the average petition, and its correlation with covariates."""

    sd: Number
    loadings: dict[str, Number]


class Moderator(Section):
    """What a covariate adds to the part-worths of an attribute, per SD or for people at `level`."""

    covariate: str
    attribute: str
    effects: list[Number]
    level: str | None = None


class Heterogeneity(Section):
    """How people differ in their response to levels."""

    idiosyncratic_sd: Number
    low_level_excess: Number
    base_excess: Number
    moderators: list[Moderator]


class Link(Section):
    """An outcome of the experiment as a function of the latent response."""

    intercept: Number
    slope: Number
    noise_sd: Number = 0


class Links(Section):
    """Outcomes beside support, which is the latent response itself."""

    sign: Link
    share: Link


class Panel(Section):
    """How people of the calibration come back; how many do, say the sizes of the samples.

    Attributes:
        returning: log weight in the draw of those who come back, per SD of a numeric covariate.
    """

    returning: dict[str, Number]


class Parameters(Section):
    """Everything that the simulated data depend on, beside the design and the covariates."""

    seed: int
    tasks: int
    profiles: int
    samples: Samples
    untidiness: Untidiness
    population: dict[str, Any]
    mean: Number
    baseline: Baseline
    noise_sd: Number
    choice_noise_sd: Number
    mains: dict[str, list[Number]]
    heterogeneity: Heterogeneity
    generic_appeal: Number
    outcomes: Links
    panel: Panel | None = None

    def trait(self, covariate: str) -> Trait:
        """Return how a covariate comes from the traits."""
        return Trait(**self.population[covariate])


def with_fewer(parameters: Parameters, share: float) -> Parameters:
    """Return the parameters of the same study with a share of its people, and of those who leave."""

    def fewer(sample: Sample) -> Sample:
        excluded = {fault: round(n * share) for fault, n in sample.excluded.items()}
        return sample.model_copy(
            update={"respondents": round(sample.respondents * share), "excluded": excluded}
        )

    samples = parameters.samples
    fewest = Samples(calibration=fewer(samples.calibration), experiment=fewer(samples.experiment))
    return parameters.model_copy(update={"samples": fewest})


@dataclass(frozen=True)
class People:
    """n simulated people.

    Attributes:
        covariates: one row per person, true values (numbers and level texts).
        baseline: (n,) latent response to the average petition.
        partworths: (n, sum of levels) latent response to each level, zero on average over an attribute.
        predictable: the same with only that part of a person's deviation that follows from covariates.
        own_sd: SD of the rest, before it is centred over an attribute.
        informed: best linear guess of `partworths` from covariates and own answers; in a panel only.
    """

    covariates: pd.DataFrame
    baseline: np.ndarray
    partworths: np.ndarray
    predictable: np.ndarray
    own_sd: np.ndarray
    informed: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.baseline)

    def take(self, rows: np.ndarray) -> People:
        """Return these people in this order, repeated where asked."""
        return People(
            self.covariates.iloc[rows].reset_index(drop=True),
            self.baseline[rows],
            self.partworths[rows],
            self.predictable[rows],
            self.own_sd[rows],
            None if self.informed is None else self.informed[rows],
        )


@dataclass(frozen=True)
class Policies:
    """The rules of the experiment, learned from the calibration: level indices of petitions.

    Attributes:
        best: (n_attributes,) the petition of the arm `Overall best`.
        nano: (n, n_attributes) the petition of each person of the experiment under `Nano`.
    """

    best: np.ndarray
    nano: np.ndarray


@dataclass(frozen=True)
class Study:
    """A simulated study: the two raw tables and what is behind them.

    Attributes:
        calibration, experiment: texts, as exported; the first row holds the questions.
        calibration_people: whom every exclusion keeps and who did not opt out of personalisation.
        experiment_people: whom every exclusion keeps, in the order of the raw table.
        respondent_ids, opt_out, arms: (n,) of `experiment_people`.
        policies: `nano` has a row for each of `experiment_people`.
    """

    design: Design
    parameters: Parameters
    calibration: pd.DataFrame
    experiment: pd.DataFrame
    calibration_people: People
    experiment_people: People
    respondent_ids: np.ndarray
    opt_out: np.ndarray
    arms: np.ndarray
    policies: Policies


def response(people: People, levels: np.ndarray, design: Design) -> np.ndarray:
    """Return the (n,) latent response of each person to one petition, (n, n_attributes) level indices."""
    return people.baseline + np.take_along_axis(
        people.partworths, levels + level_offsets(design)[:-1], axis=1
    ).sum(axis=1)


def rating_reaches(latent: np.ndarray, noise_sd: float) -> np.ndarray:
    """Return (10, ...) probabilities that a rating is at least 1, ..., 10.

    A rating is latent response plus normal noise, rounded and clipped: it reaches k from k - 1/2 on.
    """
    return np.stack([ndtr((latent - (k - 0.5)) / noise_sd) for k in range(1, SCALE_TOP + 1)])


def rated(latent: np.ndarray, noise_sd: float) -> np.ndarray:
    """Return the expected rating, the sum of the probabilities to reach 1, ..., 10."""
    return rating_reaches(latent, noise_sd).sum(axis=0)


def expected_outcomes(latent: np.ndarray, parameters: Parameters) -> dict[str, np.ndarray]:
    """Return the expectation of every outcome of the experiment given latent responses."""
    sign, share = parameters.outcomes.sign, parameters.outcomes.share
    return {
        "sign": expit(sign.intercept + sign.slope * latent),
        "support": rated(latent, parameters.noise_sd),
        "share": rated(share.intercept + share.slope * latent, share.noise_sd),
    }


def _scale(latent: np.ndarray, noise_sd: float, rng: np.random.Generator) -> np.ndarray:
    """Draw 0-10 answers."""
    return np.clip(np.rint(latent + rng.normal(0, noise_sd, latent.shape)), 0, SCALE_TOP)


# People


def draw_people(
    n: int,
    design: Design,
    covariates: Sequence[CovariateConfig],
    parameters: Parameters,
    rng: np.random.Generator,
) -> People:
    """Draw n people from the population."""
    table, scores = _draw_covariates(n, covariates, parameters, rng)
    prior = scores["prior_support"]
    loadings = parameters.baseline.loadings
    explained = sum(weight * scores[name] for name, weight in loadings.items())
    own = np.sqrt(1 - sum(weight**2 for weight in loadings.values()))
    baseline = parameters.mean + parameters.baseline.sd * (explained + own * rng.standard_normal(n))

    het = parameters.heterogeneity
    grows = np.clip(1 + het.base_excess * prior, 0.25, None)[:, None]
    partworths, predictable, own_sd = [], [], []
    for name in design.names:
        main = np.array(parameters.mains[name])
        middle, half = (main.max() + main.min()) / 2, (main.max() - main.min()) / 2
        spread = het.idiosyncratic_sd * (1 + het.low_level_excess * (middle - main) / half)
        own_deviation = spread * rng.standard_normal((n, len(main)))
        systematic = np.zeros((n, len(main)))
        for moderator in het.moderators:
            if moderator.attribute == name:
                systematic += np.outer(_moderates(moderator, table, scores), moderator.effects)
        predictable.append(main + grows * _centred(systematic))
        partworths.append(predictable[-1] + grows * _centred(own_deviation))
        own_sd.append(grows * spread)
    return People(table, baseline, np.hstack(partworths), np.hstack(predictable), np.hstack(own_sd))


def _centred(values: np.ndarray) -> np.ndarray:
    return values - values.mean(axis=1, keepdims=True)


def _draw_covariates(
    n: int, covariates: Sequence[CovariateConfig], parameters: Parameters, rng: np.random.Generator
) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    """Draw covariates; returns them and a standardised score of each numeric or ordered one."""
    traits = dict(zip(TRAITS, rng.standard_normal((len(TRAITS), n)), strict=True))
    columns: dict[str, np.ndarray] = {}
    scores: dict[str, np.ndarray] = {}
    for covariate in covariates:
        trait = parameters.trait(covariate.name)
        texts = np.array([str(level) for level in covariate.levels or []])
        if trait.leanings:
            chances = np.log(trait.shares) + sum(
                np.outer(traits[name], weights) for name, weights in trait.leanings.items()
            )
            columns[covariate.name] = texts[np.argmax(chances + rng.gumbel(size=chances.shape), axis=1)]
            continue
        own = np.sqrt(1 - sum(weight**2 for weight in trait.loadings.values()))
        z = own * rng.standard_normal(n) + sum(w * traits[name] for name, w in trait.loadings.items())
        if covariate.kind == "numeric":
            low, high = covariate.range or (-np.inf, np.inf)
            columns[covariate.name] = np.clip(np.rint(trait.mean + trait.sd * z), low, high).astype(int)
            scores[covariate.name] = (columns[covariate.name] - trait.mean) / trait.sd
        else:
            code = np.searchsorted(ndtri(np.cumsum(trait.shares)[:-1]), z)
            columns[covariate.name] = texts[code]
            ranks = np.arange(len(texts))
            centre = np.dot(trait.shares, ranks)
            scores[covariate.name] = (code - centre) / np.sqrt(np.dot(trait.shares, (ranks - centre) ** 2))
    return pd.DataFrame(columns), scores


def _moderates(moderator: Moderator, table: pd.DataFrame, scores: dict[str, np.ndarray]) -> np.ndarray:
    """Return the (n,) value by which a moderator's effects are multiplied."""
    if moderator.level is None:
        return scores[moderator.covariate]
    return (table[moderator.covariate] == moderator.level).to_numpy(dtype=float)


# Surveys


def _field(
    name: str, n_people: int, sample: Sample, untidiness: Untidiness, rng: np.random.Generator
) -> tuple[np.ndarray, pd.DataFrame]:
    """Draw who answered when: returns the person behind each row and the platform's own columns.

    Rows come in the order of their start. Column `fault` says what is wrong with a row ("" for the
    `sample.respondents` people whom every exclusion keeps); a duplicate is a later row of such a person.
    """
    fresh = [fault for fault in sample.excluded if fault != "duplicate"]
    fault = np.repeat(["", *fresh], [sample.respondents, *(sample.excluded[f] for f in fresh)])
    again = rng.choice(sample.respondents, sample.excluded["duplicate"], replace=False)
    person = np.concatenate([np.arange(n_people), again])
    fault = np.concatenate([fault, np.repeat("duplicate", len(again))])
    n = len(person)

    start = rng.uniform(0, sample.days * 86_400, n)
    start[n_people:] = start[again] + rng.uniform(600, 3 * 86_400, len(again))
    seconds = SPEEDER_SECONDS + rng.lognormal(np.log(sample.median_seconds - SPEEDER_SECONDS), 0.55, n)
    seconds = np.where(fault == "speeder", rng.uniform(55, SPEEDER_SECONDS - 1, n), seconds)
    seconds = np.where(np.isin(fault, ["no_consent", "not_randomised"]), rng.uniform(10, 60, n), seconds)
    opted_out = rng.random(n_people)[person] < untidiness.opt_out
    left = np.isin(fault, ["no_consent", "unfinished", "not_randomised"])
    wrong = np.array(
        ["Somewhat agree", "Neither agree nor disagree", "Somewhat disagree", "Strongly disagree"]
    )
    attention = np.where(fault == "inattentive", wrong[rng.integers(len(wrong), size=n)], "Strongly agree")
    email = rng.permutation(10 * n_people)[:n_people]
    code = np.array(list(digits + ascii_uppercase))[rng.integers(36, size=(n, 10))]
    network = np.array(["192.0.2.", "198.51.100.", "203.0.113."])[rng.integers(3, size=n)]
    clock = pd.Timestamp(sample.first_day)
    table = pd.DataFrame(
        {
            "StartDate": (clock + pd.to_timedelta(start.round(), unit="s")).strftime("%Y-%m-%d %H:%M:%S"),
            "IPAddress": [
                f"{net}{host}"
                for net, host in zip(network, rng.integers(1, 255, n_people)[person], strict=True)
            ],
            "Progress": np.where(left, rng.integers(4, 80, n), 100).astype(str),
            "duration_seconds": seconds.round().astype(int).astype(str),
            "Finished": np.where(left, "False", "True"),
            "ResponseId": ["SIM_" + "".join(row) for row in code],
            "RecipientEmail": [f"simulated.{name}.{number:05d}@example.org" for number in email[person]],
            "consent": np.where(fault == "no_consent", "No", "Yes"),
            "personalisation_consent": np.where(opted_out, "No", "Yes"),
            "attention_check": attention,
            "fault": fault,
        }
    )
    order = np.argsort(start, kind="stable")
    return person[order], table.iloc[order].reset_index(drop=True)


def _untidy(values: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Put stray spaces and capitals into a share of the cells of an array of texts."""
    styles = (lambda t: f"  {t.lower()}", lambda t: f"{t.upper()} ", lambda t: f" {t}", lambda t: t.lower())
    result = values.astype(object)
    hit = np.argwhere(rng.random(values.shape) < share)
    for cell, style in zip(map(tuple, hit), rng.integers(len(styles), size=len(hit)), strict=True):
        result[cell] = styles[style](result[cell])
    return result


def _reported(
    people: People,
    covariates: Sequence[CovariateConfig],
    untidiness: Untidiness,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Return what people say of themselves: texts, empty where they did not answer."""
    columns = {}
    for covariate in covariates:
        said = people.covariates[covariate.name].astype(str).to_numpy(dtype=object)
        if covariate.kind == "categorical":
            said = _untidy(said, untidiness.untidy_text, rng)
        if covariate.missing_values:
            said[rng.random(len(said)) < untidiness.prefer_not_to_say] = str(covariate.missing_values[0])
        said[rng.random(len(said)) < untidiness.covariate_missing] = ""
        columns[covariate.name] = said
    return pd.DataFrame(columns)


def _level_texts(levels: np.ndarray, design: Design, share: float, rng: np.random.Generator) -> np.ndarray:
    """Return the level texts, some untidy, of (..., n_attributes) level indices."""
    texts = np.stack(
        [np.array(a.levels, dtype=object)[levels[..., i]] for i, a in enumerate(design.attributes)], axis=-1
    )
    return _untidy(texts, share, rng)


def _blank_after(table: pd.DataFrame, rows: np.ndarray, column: str) -> None:
    """Empty every cell to the right of `column` in these rows: people who left there."""
    position = list(table.columns).index(column)
    table.iloc[rows, position + 1 :] = ""


def _export(table: pd.DataFrame, questions: dict[str, str]) -> pd.DataFrame:
    """Return the table as the platform exports it: the first row holds the questions, marked as simulated."""
    head = [f"{questions.get(column, column)} ({MARK})" for column in table.columns]
    return pd.DataFrame([head, *table.to_numpy(dtype=object)], columns=list(table.columns))


def _questions(covariates: Sequence[CovariateConfig]) -> dict[str, str]:
    return {
        "consent": "I agree to take part in this study",
        "personalisation_consent": "My answers may be used to choose a petition text for me",
        "attention_check": "Please select 'Strongly agree' to show that you read this",
        **{c.name: c.label or c.name for c in covariates},
    }


@dataclass(frozen=True)
class OwnRatings:
    """What n people were shown and answered in the calibration, as regressions within people need it.

    Attributes:
        shown: (n, profiles, total levels) level indicators less the person's mean; 0 without a rating.
        ratings: (n, profiles) less the person's mean; 0 without one.
    """

    shown: np.ndarray
    ratings: np.ndarray

    @classmethod
    def within(cls, levels: np.ndarray, ratings: np.ndarray, design: Design) -> OwnRatings:
        """Centre (n, tasks, profiles, n_attributes) levels and (n, tasks, profiles) ratings, NaN unrated."""
        y = ratings.reshape(len(ratings), -1)
        there = ~np.isnan(y)
        x = indicators(levels.reshape(-1, levels.shape[-1]), design).reshape(*y.shape, -1) * there[..., None]
        y = np.where(there, y, 0)
        count = np.maximum(there.sum(axis=1), 1)[:, None]
        return cls(
            (x - x.sum(axis=1, keepdims=True) / count[..., None]) * there[..., None],
            (y - y.sum(axis=1, keepdims=True) / count) * there,
        )


@dataclass(frozen=True)
class Calibration:
    """The simulated conjoint survey.

    Attributes:
        raw: as exported.
        people: the n whom every exclusion keeps.
        platform: their rows of the platform's own columns.
    """

    raw: pd.DataFrame
    people: People
    platform: pd.DataFrame

    @property
    def usable(self) -> np.ndarray:
        """Rows of the people who did not opt out of personalisation."""
        return np.flatnonzero(self.platform["personalisation_consent"] == "Yes")


def calibration_survey(
    design: Design, covariates: Sequence[CovariateConfig], parameters: Parameters
) -> Calibration:
    """Simulate the conjoint survey.

    Raises:
        InputError: if the parameters do not fit the design or the covariates.
    """
    raise_if_any(_check(design, covariates, parameters))
    sample, untidiness = parameters.samples.calibration, parameters.untidiness
    stream = _Streams(parameters.seed, "calibration")
    n_people = _n_people(sample)
    everyone = draw_people(n_people, design, covariates, parameters, stream("people"))
    person, table = _field("calibration", n_people, sample, untidiness, stream("fieldwork"))
    people, n = everyone.take(person), len(person)
    fault = table.pop("fault").to_numpy()

    tasks, profiles = parameters.tasks, parameters.profiles
    levels = design.draw(n * tasks * profiles, stream("petitions")).reshape(n, tasks, profiles, -1)
    viewers = people.take(np.repeat(np.arange(n), tasks * profiles))
    latent = response(viewers, levels.reshape(len(viewers), -1), design).reshape(n, tasks, profiles)
    careless = np.isin(fault, ["inattentive", "speeder"])
    latent[careless] = people.baseline[careless][:, None, None]
    rng = stream("answers")
    felt = latent + rng.normal(0, parameters.noise_sd, latent.shape)
    ratings = np.clip(np.rint(felt), 0, SCALE_TOP)
    chosen = np.argmax(felt + rng.normal(0, parameters.choice_noise_sd / np.sqrt(2), felt.shape), axis=2)
    skipped = rng.random((n, tasks)) < untidiness.task_skipped
    ratings[skipped] = np.nan
    ratings[rng.random(ratings.shape) < untidiness.rating_skipped] = np.nan

    said = _reported(people, covariates, untidiness, stream("covariates"))
    texts = _level_texts(levels, design, untidiness.untidy_text, stream("texts"))
    choices = np.where(skipped, "", np.array(["Petition A", "Petition B"], dtype=object)[chosen])
    answers, questions = _conjoint_columns(design, texts, choices, ratings)
    clean = np.flatnonzero(fault == "")
    platform = table.iloc[clean].reset_index(drop=True)
    table = pd.concat([table, said, pd.DataFrame(answers)], axis=1)
    _blank_after(table, fault == "no_consent", "consent")
    stop = stream("unfinished").integers(1, tasks, n)
    for t in range(1, tasks):
        _blank_after(table, (fault == "unfinished") & (stop == t), f"task{t}_profile{profiles}_rating")

    kept = people.take(clean)
    if parameters.panel:
        given = OwnRatings.within(levels[clean], ratings[clean], design)
        signal = (kept.own_sd / parameters.noise_sd) ** 2
        kept = replace(kept, informed=learn_own(given, kept.predictable, signal))
    return Calibration(_export(table, _questions(covariates) | questions), kept, platform)


def _conjoint_columns(
    design: Design, texts: np.ndarray, choices: np.ndarray, ratings: np.ndarray
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Return the columns of all tasks and the questions above them.

    Args:
        texts: (n, tasks, profiles, n_attributes) levels as exported.
        choices: (n, tasks) petition chosen.
        ratings: (n, tasks, profiles).
    """
    answers: dict[str, np.ndarray] = {}
    questions: dict[str, str] = {}
    _, tasks, profiles, _ = texts.shape
    for t in range(tasks):
        for p in range(profiles):
            petition = f"Task {t + 1}, petition {'AB'[p]}"
            for a, attribute in enumerate(design.attributes):
                column = f"task{t + 1}_profile{p + 1}_{attribute.column}"
                answers[column] = texts[:, t, p, a]
                questions[column] = f"{petition}: {attribute.name}"
        answers[f"task{t + 1}_choice"] = choices[:, t]
        questions[f"task{t + 1}_choice"] = f"Task {t + 1}: Which petition would you rather sign?"
        for p in range(profiles):
            column = f"task{t + 1}_profile{p + 1}_rating"
            answers[column] = _whole(ratings[:, t, p])
            questions[column] = f"Task {t + 1}, petition {'AB'[p]}: How much do you support it? (0-10)"
    return answers, questions


def _n_people(sample: Sample) -> int:
    return sample.respondents + sum(sample.excluded.values()) - sample.excluded["duplicate"]


def _whole(numbers: np.ndarray) -> np.ndarray:
    """Write whole numbers as texts, missing ones as empty."""
    return np.where(np.isnan(numbers), "", np.nan_to_num(numbers).astype(int).astype(str)).astype(object)


@dataclass(frozen=True)
class _Streams:
    """The named random streams of one survey."""

    seed: int
    survey: str

    def __call__(self, purpose: str) -> np.random.Generator:
        return child_rng(self.seed, f"simulate/{self.survey}/{purpose}")


def learn_own(answers: OwnRatings, expected: np.ndarray, signal: np.ndarray | float) -> np.ndarray:
    """Return (n, total levels) part-worths: a person's own answers, shrunk towards what was expected of her.

    The posterior mean if deviations from `expected` are normal and independent. It may differ from zero on
    average over an attribute, which no comparison of petitions notices.

    Args:
        answers: of the same n people.
        expected: (n, total levels).
        signal: variance of the deviations over that of the noise of a rating; (n, total levels) or for all.
    """
    surprise = answers.ratings - np.einsum("npl,nl->np", answers.shown, expected)
    weighted = answers.shown * np.broadcast_to(signal, expected.shape)[:, None, :]
    covariance = weighted @ answers.shown.transpose(0, 2, 1) + np.eye(surprise.shape[1])
    return expected + np.einsum(
        "npl,np->nl", weighted, np.linalg.solve(covariance, surprise[..., None])[..., 0]
    )


# The experiment


@dataclass(frozen=True)
class Recruits:
    """Who answers the experiment: n rows in the order of the raw table.

    Attributes:
        table: the platform's own columns and the covariates as reported.
        fault: what is wrong with a row, "" if nothing.
        questions: of the columns.
    """

    people: People
    table: pd.DataFrame
    fault: np.ndarray
    questions: dict[str, str]

    @property
    def opt_out(self) -> np.ndarray:
        """(n,) who refuses personalisation."""
        return (self.table["personalisation_consent"] == "No").to_numpy()

    @property
    def roster(self) -> pd.DataFrame:
        """The raw list of these people before anything was shown to them."""
        return _export(self.table, self.questions)


def recruit(
    calibration: Calibration, design: Design, covariates: Sequence[CovariateConfig], parameters: Parameters
) -> Recruits:
    """Draw who answers the experiment: new people, or those of the calibration who come back."""
    sample, untidiness, panel = parameters.samples.experiment, parameters.untidiness, parameters.panel
    stream = _Streams(parameters.seed, "experiment")
    n_people = _n_people(sample)
    person, table = _field("experiment", n_people, sample, untidiness, stream("fieldwork"))
    if panel:
        person = _returning(calibration.people, n_people, panel, parameters, stream("return"))[person]
        people = calibration.people.take(person)
        table = _recognised(table, calibration.platform.iloc[person].reset_index(drop=True))
    else:
        people = draw_people(n_people, design, covariates, parameters, stream("people")).take(person)
    said = _reported(people, covariates, untidiness, stream("covariates"))
    fault = table.pop("fault").to_numpy()
    return Recruits(people, pd.concat([table, said], axis=1), fault, _questions(covariates))


def _returning(
    people: People, n: int, panel: Panel, parameters: Parameters, rng: np.random.Generator
) -> np.ndarray:
    """Draw n of the people without replacement (Gumbel keys: chances follow the log weights)."""
    keys = rng.gumbel(size=len(people))
    for name, weight in panel.returning.items():
        trait = parameters.trait(name)
        keys += weight * (people.covariates[name].to_numpy() - trait.mean) / trait.sd
    return rng.permutation(np.argsort(-keys)[:n])


def _recognised(table: pd.DataFrame, earlier: pd.DataFrame) -> pd.DataFrame:
    """Give people who come back their address, their consent to personalisation and their id.

    A second participation in the same survey keeps an id of its own.
    """
    first = table["fault"] != "duplicate"
    return table.assign(
        RecipientEmail=earlier["RecipientEmail"],
        personalisation_consent=earlier["personalisation_consent"],
        ResponseId=earlier["ResponseId"].where(first, table["ResponseId"]),
    )


def latent_by_arm(
    people: People, policies: Policies, design: Design, parameters: Parameters
) -> dict[str, np.ndarray]:
    """Return each person's latent response to what they would read in each arm."""
    return {
        "control": people.baseline + parameters.generic_appeal,
        "best": response(people, np.tile(policies.best, (len(people), 1)), design),
        "nano": response(people, policies.nano, design),
    }


def _outcomes(
    latent: np.ndarray, parameters: Parameters, rng: np.random.Generator
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return what people with some latent response answered, NaN where they did not, and (n,) who left."""
    links, untidiness, n = parameters.outcomes, parameters.untidiness, len(latent)
    outcomes = {
        "sign": (rng.random(n) < expit(links.sign.intercept + links.sign.slope * latent)).astype(float),
        "support": _scale(latent, parameters.noise_sd, rng),
        "share": _scale(links.share.intercept + links.share.slope * latent, links.share.noise_sd, rng),
    }
    left = rng.random(n) < untidiness.attrition
    for name in OUTCOMES:
        gone = left if name == "sign" else left | (rng.random(n) < untidiness.outcome_skipped)
        outcomes[name][gone] = np.nan
    return outcomes, left


def experiment(
    calibration: Calibration, recruits: Recruits, policies: Policies, design: Design, parameters: Parameters
) -> Study:
    """Randomise the recruits, show them the petitions of the policies and let them answer."""
    sample, untidiness = parameters.samples.experiment, parameters.untidiness
    stream = _Streams(parameters.seed, "experiment")
    people, table, fault, n = recruits.people, recruits.table, recruits.fault, len(recruits.fault)

    # Complete randomisation of those whom the analysis keeps; a second participation is drawn by itself.
    rng = stream("randomisation")
    clean = fault == ""
    arm = rng.integers(len(ARMS), size=n)
    arm[clean] = rng.permutation(np.arange(sample.respondents) % len(ARMS))
    latent = np.choose(arm, list(latent_by_arm(people, policies, design, parameters).values()))
    shown = np.where((arm == 1)[:, None], policies.best, policies.nano)

    outcomes, left = _outcomes(latent, parameters, stream("outcomes"))
    table = table.assign(
        Finished=table["Finished"].mask(left & clean, "False"),
        Progress=table["Progress"].mask(left & clean, "85"),
    )

    texts = _level_texts(shown, design, untidiness.untidy_text, stream("texts"))
    texts[arm == 0] = ""
    last = table.columns[-1]  # what is known before the randomisation
    questions = recruits.questions | {
        "arm": "Condition",
        **{f"shown_{a.column}": f"Petition shown: {a.name}" for a in design.attributes},
        "sign": "Did the respondent sign? (1 = yes)",
        "support": "How much do you support this petition? (0-10)",
        "share": "How likely would you share this petition? (0-10)",
    }
    table = pd.concat(
        [
            table,
            pd.DataFrame({"arm": np.array(list(ARMS.values()), dtype=object)[arm]}),
            pd.DataFrame({f"shown_{a.column}": texts[:, i] for i, a in enumerate(design.attributes)}),
            pd.DataFrame({name: _whole(values) for name, values in outcomes.items()}),
        ],
        axis=1,
    )
    _blank_after(table, fault == "no_consent", "consent")
    _blank_after(table, np.isin(fault, ["inattentive", "not_randomised"]), last)
    return Study(
        design,
        parameters,
        calibration.raw,
        _export(table, questions),
        calibration.people.take(calibration.usable),
        people.take(np.flatnonzero(clean)),
        table["ResponseId"].to_numpy()[clean],
        recruits.opt_out[clean],
        np.array(list(ARMS))[arm[clean]],
        Policies(policies.best, policies.nano[clean]),
    )


def _check(design: Design, covariates: Sequence[CovariateConfig], parameters: Parameters) -> list[Problem]:
    """Return what in the parameters does not fit the design or the covariates."""
    problems = []
    if parameters.profiles != PROFILES:
        problems.append(_problem("profiles", f"{parameters.profiles} petitions a task", f"{PROFILES}"))
    if design.prohibited or any(len(set(a.probabilities)) > 1 for a in design.attributes):
        problems.append(_problem("mains", "the design is not uniform", "every petition equally likely"))
    sizes = dict(zip(design.names, design.shape, strict=True))
    for name, size in sizes.items():
        if len(parameters.mains.get(name, [])) != size:
            problems.append(
                _problem(f"mains.{name}", "wrong number of main effects", f"one for each of {size} levels")
            )
    for i, moderator in enumerate(parameters.heterogeneity.moderators):
        if len(moderator.effects) != sizes.get(moderator.attribute):
            problems.append(
                _problem(f"moderators[{i}]", "effects do not fit the attribute", "one effect for each level")
            )
    for covariate in covariates:
        if covariate.name not in parameters.population:
            problems.append(
                _problem("population", f"'{covariate.name}' is missing", "an entry for each covariate")
            )
        elif covariate.levels and len(parameters.trait(covariate.name).shares) != len(covariate.levels):
            problems.append(
                _problem(f"population.{covariate.name}", "wrong number of shares", "one for each level")
            )
    if parameters.panel:
        problems += _check_panel(parameters.panel, parameters.samples, covariates)
    return problems


def _check_panel(panel: Panel, samples: Samples, covariates: Sequence[CovariateConfig]) -> list[Problem]:
    """Return why people cannot come back as the parameters say."""
    problems = []
    if _n_people(samples.experiment) > samples.calibration.respondents:
        problems.append(
            _problem(
                "samples.experiment", "more people than could come back", "fewer than in the calibration"
            )
        )
    numeric = {c.name for c in covariates if c.kind == "numeric"}
    for name in sorted(panel.returning.keys() - numeric):
        problems.append(_problem(f"panel.returning.{name}", "no numeric covariate", "one of the config"))
    return problems


def _problem(key: str, what: str, expected: str) -> Problem:
    return Problem("simulation.yaml", f"key {key}", what, expected, "change the entry or the config to fit")
