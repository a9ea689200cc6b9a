"""The study's config as models: the one declaration of keys, what may stand there, defaults and meaning."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, model_validator

from nanotarget.study.fields import (
    DAY,
    DOI,
    NAME,
    ORCID,
    Alpha,
    Column,
    Confidence,
    Day,
    Distinct,
    File,
    Level,
    Levels,
    Name,
    NotNegative,
    Number,
    PathName,
    Positive,
    Probability,
    Range,
    Section,
    Share,
    Values,
)
from nanotarget.study.response import CalibrationOutcomes, Kind

OutcomeKind = Literal["binary", "continuous", "ordinal", "count"]
# From the simplest to the most flexible: `auto` takes the first of those that predict alike.
Learner = Literal["ridge", "hierarchical", "stagewise", "boosting", "bart"]
FieldedPolicy = Literal["random", "overall_best", "segment", "nano"]
Hidden = Literal["never", "allowed", "option"]
HIDDEN = "(hidden)"  # the level of an attribute that a petition does not show
RobustnessEstimator = Literal["lin", "logit", "ordinal", "mann_whitney", "ri", "lee", "ipw", "aipw", "cace"]

RESPONDENT = "Column that identifies a respondent."
LABEL = "Name for people, used in figures and tables."
IN_ARTEFACTS = "Name used in every artefact."
RAW_COLUMN = "Column of the raw file."
WEIGHT = "Column with survey weights."
HEADER_ROWS = "Rows before the data; survey platforms write two or three, the first holds the names."
CONSENT = (
    "Who agreed that their answers may be used to personalise: the answers that mean yes. Whoever gave "
    "another one, or none, refused and leaves the targeting data; in the experiment and on the roster they "
    "get overall-best, and what they answered in the calibration of a panel is not used either. Without this "
    "key everybody's answers are used."
)
EXCLUSIONS = "Exclusions in their pre-registered order, each applied to who is left."
IDENTIFIERS = (
    "Columns with direct identifiers; a rule may use them to find duplicates, no artefact ever holds them."
)


class AttributeConfig(Section):
    """One dimension of a petition."""

    name: Name = Field(description="Name of the attribute, any text; it is data and never evaluated.")
    column: Column | None = Field(
        None, description="Name used in the raw files, if it differs from the attribute's name."
    )
    levels: Levels = Field(description="The values of the attribute in order; the first is the reference.")
    probabilities: list[Probability] | None = Field(
        None,
        description="Probability with which each level was drawn, in the order of the levels; "
        "uniform if absent.",
    )
    derived_from: Distinct[Column] = Field(
        [],
        description="Attributes that this one follows from, such as a price group from the price. It has no "
        "effect of its own beside theirs; petitions have only the combinations that were shown.",
    )
    hidden: Hidden = Field(
        "never",
        description="Whether petitions of the survey did without this attribute by design (partial profiles) "
        "- never: an empty cell is an error; allowed: some did, effects are estimated where it was shown, "
        "and every petition that is assigned shows it; option: the same, and a policy may hide it, too.",
    )
    hidden_values: list[Level] = Field(
        [],
        description="Texts that say that the attribute was hidden. Without them an empty cell says so; "
        "with them an empty cell is an error.",
    )


class DesignConfig(Section):
    """The petitions: attributes, prohibited combinations, randomisation and text."""

    attributes: list[AttributeConfig] = Field(
        min_length=1,
        description="The dimensions of a petition in their order; the order fixes petition ids.",
    )
    prohibited: list[Annotated[dict[str, Values], Field(min_length=2)]] = Field(
        [],
        description="Impossible combinations; each entry maps two or more attributes to levels "
        "that never occur together.",
    )
    randomisation: Literal["rejection", "sequential"] = Field(
        "rejection",
        description="How a prohibited combination was avoided - rejection: the whole petition was drawn "
        "again; sequential: each attribute drawn, in config order, among the levels still allowed.",
    )
    dependent: list[Annotated[Distinct[str], Field(min_length=2)]] = Field(
        [],
        description="Groups of attributes whose levels were drawn together by design. How often each "
        "combination was shown is taken from the survey, and what it did not show is not assigned; nothing "
        "need be listed at `prohibited`.",
    )
    never_shown: Literal["exclude", "assign"] = Field(
        "exclude",
        description="What becomes of levels, and combinations of two levels, that nobody saw although the "
        "design would have shown them - exclude: nothing is known of them, so no petition has them; assign: "
        "they may be assigned, on the assumption that levels do not interact.",
    )
    petition_text: str | None = Field(
        None,
        description="Jinja2 template (sandboxed) of a petition's text; "
        "petition['attribute name'] is the level shown.",
    )


class CovariateConfig(Section):
    """One pre-treatment respondent variable on the allow-list."""

    name: Name = Field(description=IN_ARTEFACTS)
    label: Column | None = Field(None, description=LABEL)
    kind: Literal["numeric", "categorical"] = Field(
        description="numeric: a number; categorical: one of the levels."
    )
    column: Column | None = Field(None, description="Name in the raw files, if it differs.")
    levels: Levels | None = Field(
        None, description="The values of a categorical covariate; the first is the reference."
    )
    range: Range | None = Field(
        None, description="Smallest and largest possible value of a numeric covariate."
    )
    missing_values: list[Level] = Field(
        [], description="Texts that mean that the answer is missing, beside an empty cell."
    )
    population_mean: Number | None = Field(
        None, description="Mean of a numeric covariate in the population, shown beside the sample's."
    )
    population_shares: dict[Level, Share] = Field(
        {}, description="Share of each level in the population, shown beside the sample's."
    )
    target: bool = Field(
        True, description="May the policy use it? If false it serves adjustment and subgroups only."
    )


class ColumnValues(Section, title="rows"):
    """Rows in which a column holds one of some values."""

    column: Column = Field(description=RAW_COLUMN)
    values: Values = Field(description="Values that count.")


class ExclusionConfig(Section, title="exclusion"):
    """One rule about who leaves."""

    step: Name = Field(description="Name for people, printed in the participant flow.")
    rule: Literal["in", "not_in", "below", "above", "missing", "duplicate"] = Field(
        description="in / not_in: the value is (not) one of `values`; below / above: the number is below / "
        "above `value`; missing: the cell is empty; duplicate: the value occurred in an earlier row."
    )
    column: Column = Field(description=RAW_COLUMN)
    values: list[Level] = Field([], description="For in and not_in.")
    value: Number | None = Field(None, description="For below and above.")


class ShownConfig(Section):
    """A file that lists the petitions shown: a row for each profile of each task of each version."""

    file: File = Field(description="Raw file, relative to the folder Snakemake runs in.")
    header_rows: int = Field(1, ge=1, le=3, description=HEADER_ROWS)
    version: Column | None = Field(
        None,
        description="Column of this file with the version of the questionnaire; without it everyone was "
        "shown the same tasks. Version 0 was shown to everyone.",
    )
    version_shown: Column | None = Field(
        None,
        description="Column of the calibration's file with the version that the respondent saw; the same "
        "name as `version` if absent.",
    )
    task: Column = Field(description="Column of this file with the number of the task.")
    profile: Column = Field(description="Column of this file with the number of the profile in its task.")


class LabelsConfig(Section):
    """A file that says what codes of levels mean: a row for each level of each attribute."""

    file: File = Field(description="Raw file, relative to the folder Snakemake runs in.")
    attribute: Column = Field(
        description="Column of this file with the attribute: its name or column at `design.attributes`, or "
        "what that ends with."
    )
    code: Column = Field(
        description="Column of this file with what the cells of the petitions shown contain."
    )
    label: Column = Field(description="Column of this file with the level as `design.attributes` has it.")


class RepeatedConfig(Section):
    """A task that respondents were asked twice, which tells how reliable their answers are."""

    task: int = Field(ge=1, le=1000, description="Number of the task that was asked again, 1 for the first.")
    again: Annotated[int, Field(ge=1, le=1000)] | None = Field(
        None,
        description="Number of the task that repeats it, where the file has its petitions, too. It is used "
        "for reliability only: no effect is estimated, and no learner learns, from the same petitions twice.",
    )
    answers: dict[Kind, Column | list[Column]] = Field(
        {},
        description="Wide layout, where the file does not have its petitions - the columns with the second "
        "answers by outcome: for a choice a column, otherwise the list of those of the profiles, in the "
        "order in which they were shown the second time. The tasks of the file are the others.",
    )
    swapped: bool = Field(
        False,
        description="Whether the petitions changed places the second time (more than two: were in reversed "
        "order).",
    )

    def columns(self, outcome: str, profiles: int) -> list[str]:
        """Return the columns of an outcome's second answers, one a profile; none where there are none."""
        named = self.answers.get(outcome, [])
        return [named] * profiles if isinstance(named, str) else list(named)


class CalibrationConfig(Section):
    """Where and how the conjoint survey was recorded."""

    file: File = Field(
        description="Raw file (CSV of any usual separator and encoding, gzip, Parquet, .dta, .sav), "
        "relative to the folder Snakemake runs in."
    )
    layout: Literal["long", "task", "wide"] = Field(
        "long",
        description="long: one row per profile; task: one row per task, with its profiles beside one "
        "another; wide: one row per respondent.",
    )
    header_rows: int = Field(1, ge=1, le=3, description=HEADER_ROWS)
    respondent: Column = Field(description=RESPONDENT)
    task: Column | None = Field(
        None,
        description="Long and task layout - column that tells the tasks of a respondent apart, by numbers or "
        "texts; without it they are in the order of the rows, in the long layout every `profiles` of them. "
        "The column of the profile, too, if its cells hold both numbers, such as 1x2.",
    )
    profile: Column | None = Field(
        None,
        description="Long layout - column that tells the profiles of a task apart, by numbers or texts.",
    )
    tasks: Annotated[int, Field(ge=1, le=1000)] | None = Field(
        None,
        description="Wide layout - number of tasks; otherwise the largest number of tasks a respondent "
        "can have (unchecked if absent). With 1 task of 1 profile nobody compares petitions: effects on "
        "average are estimated, the stages diagnose and assign are left out.",
    )
    profiles: int = Field(
        2,
        ge=1,
        le=100,
        description="Profiles shown in a task. From choices among more than 2, or none of them, all learners "
        "but hierarchical learn.",
    )
    attribute_columns: Column | None = Field(
        None,
        description="Wide layout - name of the column of an attribute, with {task}, {profile} and "
        "{attribute} ({row} with `attribute_names`); task layout - with {profile} and {attribute}.",
    )
    shown: ShownConfig | None = Field(
        None, description="A second file with the petitions shown, if this one has the answers only."
    )
    labels: LabelsConfig | None = Field(
        None, description="A file that says what the cells of attributes mean, if they contain codes."
    )
    task_values: Distinct[Level] | None = Field(
        None, description="Wide layout - what {task} stands for, task by task (default 1, 2, ...)."
    )
    profile_values: Distinct[Level] | None = Field(
        None,
        description="Wide and task layout - what {profile} stands for, profile by profile (default 1, 2, "
        "...).",
    )
    attribute_names: Column | None = Field(
        None,
        description="Wide layout - name of the column that holds the name of the attribute in a row of the "
        "table shown, with {task} and {row}, where the order of attributes was drawn for each respondent.",
    )
    outcomes: CalibrationOutcomes = Field(description="What was measured on each profile.")
    analyse: Kind = Field(
        description="The outcome from which the learner learns and in whose units the diagnosis speaks."
    )
    repeated: RepeatedConfig | None = Field(
        None, description="The task that was asked twice, if one was: how often do people answer alike?"
    )
    weight: Column | None = Field(None, description=WEIGHT)
    consent: ColumnValues | None = Field(None, description=CONSENT)
    exclusions: list[ExclusionConfig] = Field([], description=EXCLUSIONS)
    identifiers: list[Column] = Field([], description=IDENTIFIERS)

    @property
    def alike(self) -> int:
        """Profiles of which each is chosen equally often if all are alike; 0 if none may be chosen."""
        may_be_none = any(outcome.none_is_answer for outcome in self.outcomes.measured)
        return 0 if may_be_none else self.profiles

    @property
    def beyond_pairs(self) -> bool:
        """Whether the choice that is analysed is one among more than two profiles, or of none of them."""
        analysed = [outcome for outcome in self.outcomes.measured if outcome.name == self.analyse]
        return any(o.paired and (self.profiles > 2 or o.none_is_answer) for o in analysed)

    @property
    def one_petition_each(self) -> bool:
        """Whether every respondent saw a single petition, so that nobody's preferences can be learned."""
        return self.profiles == 1 and self.tasks == 1


class ArmConfig(Section):
    """One arm of the experiment."""

    name: Name = Field(description=IN_ARTEFACTS)
    label: str | None = Field(None, description=LABEL)
    value: Level | None = Field(
        None, description="Text of the arm in the raw file, if it differs from the name."
    )
    policy: FieldedPolicy | None = Field(
        None,
        description="Policy that chose the petition of this arm; checked by the audit of the assignment.",
    )


class OutcomeConfig(Section):
    """One outcome of the experiment."""

    name: Name = Field(description=IN_ARTEFACTS)
    label: Column | None = Field(None, description=LABEL)
    column: Column | None = Field(None, description="Name in the raw file, if it differs.")
    columns: Distinct[Column] = Field(
        [],
        description="Several columns of the raw file, of which `combine` makes the outcome, instead of one.",
    )
    combine: Literal["sum", "mean"] | None = Field(
        None,
        description="What is made of `columns`; it is missing where any of them is. `recode` comes before "
        "it, `range` and `at_least` are of the result.",
    )
    recode: dict[Level, Number] = Field(
        {},
        description="Number for each answer of the raw file, such as 'agree: 1'; another answer is an error. "
        "It turns scales around, joins categories, and makes numbers of texts.",
    )
    kind: OutcomeKind = Field(
        description="binary: 0/1; continuous: a number; ordinal: a whole number whose order counts, from "
        "`range`; count: a number of at least 0, possibly with a few very large ones."
    )
    range: Range | None = Field(
        None, description="Smallest and largest possible value; an ordinal outcome needs it."
    )
    at_least: Number | None = Field(
        None, description="Turn a number into a binary outcome - 1 if it is at least this."
    )
    observed_if: ColumnValues | None = Field(
        None, description="The outcome counts as observed only where this column holds one of these values."
    )

    @property
    def raw_columns(self) -> list[str]:
        """Columns of the raw file that it is made of."""
        return list(self.columns) or [self.column or self.name]


class RandomisationConfig(Section):
    """How the arms of an experiment were drawn."""

    scheme: Literal["complete", "blocked", "clustered"] = Field(
        "complete",
        description="complete: among all people; blocked: within each block; clustered: whole clusters, "
        "within each block if there are blocks.",
    )
    blocks: Distinct[Column] = Field(
        [],
        description="Columns of the raw file whose combinations are the blocks; "
        "an empty cell is a value of its own.",
    )
    cluster: Column | None = Field(
        None,
        description="Column of the raw file that names the cluster; all people of a cluster are in one arm "
        "and in one block.",
    )
    outcome_cluster: Column | None = Field(
        None,
        description="Column of the raw file that names groups inside which arms were drawn, but whose "
        "outcomes hang together (pupils of a school, people of a household): standard errors are clustered "
        "by it, while randomisation inference redraws the arms as they were drawn.",
    )


class ExperimentConfig(Section):
    """Where and how the experiment was recorded."""

    file: File = Field(description="Raw file, one row per respondent; same formats as the calibration.")
    header_rows: int = Field(1, ge=1, le=3, description=HEADER_ROWS)
    respondent: Column = Field(description=RESPONDENT)
    arm: Column = Field(description="Column with the arm a respondent was randomised to.")
    randomisation: RandomisationConfig = Field(
        RandomisationConfig(),
        description="How the arms were drawn. Standard errors and randomisation inference follow it.",
    )
    arms: list[ArmConfig] = Field(
        min_length=2,
        description="The arms in order; the first is the reference, every later one is compared with "
        "every earlier one.",
    )
    petition_columns: Column | None = Field(
        None,
        description="Name of the column with the petition shown, with {attribute}; "
        "empty cells in an arm without petition.",
    )
    delivered: ColumnValues | None = Field(
        None,
        description="Who got what the arm says; an empty cell was not logged. Everybody is analysed as "
        "assigned; with this the effect among those reached (CACE) can be estimated, too.",
    )
    outcomes: list[OutcomeConfig] = Field(
        [], description="Outcomes in order of importance. A missing value is attrition."
    )
    weight: Column | None = Field(None, description=WEIGHT)
    consent: ColumnValues | None = Field(None, description=CONSENT)
    exclusions: list[ExclusionConfig] = Field([], description=EXCLUSIONS)
    post_checks: list[ExclusionConfig] = Field(
        [],
        description="Who fails a check made after the treatment, written like exclusions. They stay in every "
        "confirmatory estimate, as leaving may depend on the arm; only robustness leaves them out.",
    )
    identifiers: list[Column] = Field([], description=IDENTIFIERS)


class RosterArmConfig(Section):
    """One arm to which people of the roster are randomised."""

    name: Name = Field(description="Name used in every artefact and in the ledger.")
    share: Positive | None = Field(
        None,
        description="Share of the people, relative to the other arms (1, 1, 2 means 25%, 25%, 50%); "
        "equal shares if no arm has one.",
    )
    policy: FieldedPolicy | None = Field(
        None,
        description="Policy that chooses the petition of this arm, one of assign.policies; "
        "an arm without a policy gets no petition.",
    )


class RosterConfig(Section):
    """Who is going to be fielded, and how they are randomised; `ledger` records what was drawn."""

    file: File = Field(
        description="Raw file, one row per respondent with the covariates and no outcome; "
        "same formats as the calibration. Or a folder of such files, which are read one after the other in "
        "the order of their names."
    )
    header_rows: int = Field(1, ge=1, le=3, description=HEADER_ROWS)
    respondent: Column = Field(description=RESPONDENT)
    arms: list[RosterArmConfig] = Field(
        min_length=2, description="The arms in order; the first is the reference."
    )
    randomisation: Literal["complete", "blocked"] = Field(
        "complete",
        description="complete: arms are drawn among all people; blocked: within each combination of the "
        "covariates in `blocks`.",
    )
    blocks: Distinct[Column] = Field(
        [],
        description="Categorical covariates whose combinations are the blocks; "
        "a missing value is a level of its own.",
    )
    ledger: PathName = Field(
        min_length=5,
        description="CSV that records who was randomised to which arm, for example data/my_study/arms.csv. "
        "Made and only ever appended to by the pipeline; nobody in it is randomised again. "
        "Keep it with the raw data. For more than a million people a folder (a name without an ending), in "
        "which each wave is a folder of Parquet files.",
    )
    consent: ColumnValues | None = Field(None, description=CONSENT)
    exclusions: list[ExclusionConfig] = Field([], description=EXCLUSIONS)
    identifiers: list[Column] = Field([], description=IDENTIFIERS)


class GroupConfig(Section, title="group"):
    """Values of a numeric covariate from `min` to `max`, both included."""

    name: Name = Field(description="Name of the group.")
    min: Number | None = Field(None, description="Smallest value in the group (open if absent).")
    max: Number | None = Field(None, description="Largest value in the group (open if absent).")


class SubgroupConfig(Section):
    """One grouping of respondents by a pre-treatment covariate."""

    name: Name = Field(description="Name of the grouping.")
    label: Column | None = Field(None, description=LABEL)
    covariate: Column = Field(description="Covariate on the allow-list; a categorical one needs no groups.")
    groups: list[GroupConfig] = Field(
        [], description="Groups of a numeric covariate, from low to high, without overlap."
    )


class GroupingConfig(SubgroupConfig):
    """One grouping of the respondents of the calibration."""

    quantiles: int | None = Field(
        None,
        ge=2,
        le=10,
        description="Instead of `groups` of a numeric covariate - so many groups of about one size.",
    )


class BartConfig(Section):
    """Settings of the learner `bart`; the defaults are those of cjbart, in two chains."""

    trees: int = Field(50, ge=1, le=1000, description="Trees of a draw.")
    draws: int = Field(1000, ge=2, le=100000, description="Posterior draws kept, of all chains together.")
    burn_in: int = Field(100, ge=0, le=100000, description="Draws of each chain that are thrown away first.")
    chains: int = Field(2, ge=1, le=100, description="Independent chains, sampled by jobs of their own.")


class BoostingConfig(Section):
    """Settings of the learner `boosting`."""

    bags: int = Field(
        40,
        ge=2,
        le=1000,
        description="Bootstrap samples of respondents that are boosted and averaged. Time grows with them; "
        "their spread tells how uncertain the prediction is, which takes a few dozen.",
    )


class LearningConfig(Section):
    """The part of the section `calibrate` from which the learners learn."""

    learner: Literal[Learner, "auto"] = Field(
        "ridge",
        description="Model of a respondent's response to a petition - ridge: penalised regression, fast; "
        "hierarchical: person-specific part-worths with learned shrinkage, also tells how much people differ "
        "beyond their covariates (for choices that part depends on the logit link), and can use a person's "
        "own answers in a panel; stagewise: picks few lines, thresholds and products of covariates, for "
        "tastes that change abruptly or many covariates of which few matter, slower; boosting: LightGBM, an "
        "optional extra; bart: Bayesian trees, finds interactions by itself, takes minutes, and its chains "
        "often do not mix; auto: the best of the candidates, the simplest within one standard error. "
        "See docs/recovery.md.",
    )
    candidates: Distinct[Learner] = Field(
        ["ridge", "hierarchical", "stagewise"],
        min_length=1,
        description="Learners that auto chooses from, in any order; one that has not converged is passed "
        "over.",
    )
    information: Literal["covariates", "covariates + own answers"] = Field(
        "covariates",
        description="What a policy may look at. Own answers are those a person of a panel gave in the "
        "calibration; they need the learner hierarchical.",
    )
    folds: int = Field(
        5,
        ge=2,
        le=50,
        description="Folds for cross-fitting, of respondents; of tasks within respondents where a policy may "
        "use own answers.",
    )
    interactions: bool = Field(
        True,
        description="Whether the learners ridge and stagewise look for interactions of two attributes that "
        "all respondents share (a combination that persuades more than its parts). They keep them only if "
        "they predict the answers of other people better, and look for none among more than ten million "
        "petitions; searching the best petition then takes longer. Other learners ignore it - boosting and "
        "bart find interactions by themselves, hierarchical has none.",
    )
    boosting: BoostingConfig = Field(BoostingConfig(), description="Settings of the learner boosting.")
    bart: BartConfig = Field(
        BartConfig(), description="Settings of the learner bart; the defaults are those of cjbart."
    )

    @property
    def own_answers(self) -> bool:
        """Whether a policy may use what a respondent of the panel answered in the calibration."""
        return self.information == "covariates + own answers"

    @property
    def learners(self) -> list[str]:
        """Learners to fit: the one named, or all candidates, the simplest first."""
        if self.learner != "auto":
            return [self.learner]
        return [name for name in get_args(Learner) if name in self.candidates]


class ReliabilityConfig(Section):
    """How reliable answers are: from `calibration.repeated`, or from how alike the tasks of a person are."""

    agreement: Share | None = Field(
        None,
        description="Share of choices that would be the same if asked again, if it is known from elsewhere; "
        "it is taken as exact. Otherwise it is estimated: from the task asked twice, or, of choices between "
        "two petitions, extrapolated from all tasks.",
    )
    bootstraps: int = Field(
        500, ge=50, le=100_000, description="Bootstrap samples of respondents for corrected estimates."
    )


class CalibrateConfig(LearningConfig):
    """How the calibration is analysed."""

    se_type: Literal["CR0", "CR1", "CR2", "HC2"] = Field(
        "CR1",
        description="Standard errors of AMCEs and marginal means, clustered by respondent (CR1 is Stata's) "
        "or not (HC2).",
    )
    groups: list[GroupingConfig] = Field(
        [],
        description="Groupings by which marginal means and effects are estimated, compared and tested.",
    )
    draws: int = Field(
        199,
        ge=0,
        le=100_000,
        description="Draws of the randomisation tests that an attribute matters to anybody; 0 skips them.",
    )
    reliability: ReliabilityConfig = Field(
        ReliabilityConfig(), description="What response error does to averages of choices."
    )


class RungConfig(Section):
    """A set of covariates of the ladder."""

    name: Name = Field(description="Name of the set.")
    covariates: Distinct[Column] = Field(min_length=1, description="Names of covariates on the allow-list.")


class CostsConfig(Section):
    """Costs of personalization, in money."""

    value: Positive = Field(
        description="What one unit of the outcome is worth for one person reached, in money."
    )
    calibration: NotNegative = Field(0, description="Cost of the calibration survey.")
    message: NotNegative = Field(0, description="Cost of one more petition that is fielded.")
    audience: Positive | None = Field(
        None,
        description="People that will be reached; with it the break-even gain counts like `sesoi`.",
    )


# Learners with which the diagnosis may fit the calibration many times; ridge takes the place of the others.
FAST_LEARNERS = ("ridge", "hierarchical")
CURVE_SHARES = (25, 50, 75)  # per cent of the training respondents, on the learning curve
WHOLE = "share_100"  # all of them, by ridge where the learner is slow


class RefitConfig(Section):
    """The part of the section `diagnose` on which the variants of the calibration depend."""

    goal: Literal["support", "dissuade"] = Field(
        "support",
        description="Whether petitions shall win support, or a study asks how far they could lower it "
        "(`dissuade`; no petition of it is ever fielded). The other goal is evaluated beside it.",
    )
    ladder: list[RungConfig] = Field(
        [],
        description="Sets of covariates, from few to many, with which to ask what each adds; "
        "all covariates come last by themselves.",
    )


class DiagnoseConfig(RefitConfig):
    """When does nano-targeting pay?"""

    protected: Distinct[Column] = Field(
        [],
        description="Covariates that one would rather not ask for, or may not target by; the ladder says "
        "what would be gained without each of them.",
    )
    sesoi: NotNegative | None = Field(
        None,
        description="Smallest gain of nano over overall-best that would matter, in units of the analysed "
        "outcome. Nothing is diagnosed before it is stated: with 0 no gain could be called too small.",
    )
    confidence: Confidence = Field(
        0.95,
        description="Level of two-sided intervals; verdicts use one-sided 95% bounds.",
    )
    bootstraps: int = Field(500, ge=50, le=100_000, description="Bootstrap samples of respondents.")
    permutations: int = Field(
        199,
        ge=0,
        le=100_000,
        description="Fits of ridge regression to covariates randomly permuted among respondents; "
        "0 skips the test.",
    )
    splits: int = Field(
        100,
        ge=1,
        le=1000,
        description="Most divisions of respondents into folds, and into halves, over which gains are "
        "averaged; there are fewer as soon as others would give nearly the same estimate (by a tenth of its "
        "standard error). Where each fits the learner anew (choices, hierarchical) there are at most 8. "
        "1 keeps the calibration's own; so do slow learners (stagewise, boosting, bart).",
    )
    costs: CostsConfig | None = Field(
        None,
        description="What personalization costs beyond one petition for all; from it follow the gain that "
        "breaks even and the audience that does.",
    )

    def variants(self, learners: Sequence[str]) -> dict[str, list[str]]:
        """Return the names of the cross-fits that a diagnosis needs beside that of the calibration, by kind.

        Parts of the respondents (all of them, too, if a learner is slow), and sets of covariates; no kind
        without any.

        Args:
            learners: of the study, one or the candidates.
        """
        shares = [f"share_{share}" for share in CURVE_SHARES]
        kinds = {
            "shares": shares if set(learners) <= set(FAST_LEARNERS) else [*shares, WHOLE],
            "rungs": [f"rung_{r + 1}" for r in range(len(self.ladder))],
        }
        return {kind: names for kind, names in kinds.items() if names}


class PolicyConfig(Section):
    """The part of the section `assign` that chooses petitions."""

    policies: Distinct[Literal[FieldedPolicy, "best_min", "nano_min"]] = Field(
        ["random", "overall_best", "segment", "nano"],
        description="Policies to assign; overall_best is always among them because gains are counted from "
        "it. best_min and nano_min find the worst petitions, for the study of dissuasion only - no arm can "
        "field them.",
    )
    segments: int = Field(5, ge=2, le=100, description="Largest number of petitions of the policy `segment`.")


class AssignConfig(PolicyConfig):
    """Who gets which petition."""

    permutations: int = Field(
        5,
        ge=0,
        le=1000,
        description="How often the covariates are randomly permuted among respondents to show how many "
        "petitions nano assigns to noise.",
    )
    candidates: int = Field(
        100,
        ge=0,
        le=10000,
        description="Petitions, beyond those assigned, among which the probability that a petition is a "
        "respondent's best is computed.",
    )


class EstimateConfig(Section):
    """How the experiment is analysed."""

    alpha: Alpha = Field(0.05, description="Two-sided level of tests; intervals have level 1 - alpha.")
    adjust: Distinct[Column] = Field(
        [], description="Covariates of the Lin (2013) adjustment; must be on the allow-list."
    )
    sesoi: dict[str, Positive] = Field(
        {},
        description="Smallest effect of nano against overall-best that would matter, one entry per outcome, "
        "in its units.",
    )
    robustness: Distinct[RobustnessEstimator] = Field(
        [],
        description="Estimators beside the difference in means, each where the outcome allows it - lin: "
        "covariate adjustment; logit: average marginal effect on a binary outcome; ordinal: proportional "
        "odds of an ordinal outcome; mann_whitney: probability of superiority; ri: randomisation inference; "
        "lee: bounds under attrition; ipw: weights against attrition; aipw: weights and a model of the "
        "answers, right if either is; cace: effect among those reached.",
    )
    tighten: Distinct[Column] = Field(
        [],
        description="Categorical covariates within whose combinations Lee's bounds are computed, too, and "
        "averaged: they become narrower where covariates tell who drops out or how people answer.",
    )
    draws: int = Field(
        10000, ge=1000, le=1000000, description="Assignments drawn for randomisation inference."
    )


class BaseConfig(Section):
    """The group of a grouping whose support is there already, to be mobilised."""

    grouping: Column = Field(description="Name of a grouping in `subgroups`, by pre-treatment support.")
    group: Column = Field(description="Name of one of its groups.")
    opposed: Column | None = Field(
        None,
        description="Name of the group at the other end; whether an arm widens the gap between the two is "
        "looked at.",
    )


class ExploreConfig(Section):
    """Exploratory analyses."""

    subgroups: list[SubgroupConfig] = Field([], description="Groupings by a pre-treatment covariate.")
    base: BaseConfig | None = Field(
        None,
        description="The group whose support is there already and only has to be mobilised; "
        "it is compared with all others.",
    )
    sensitive: dict[Column, Values] = Field(
        {},
        description="Attributes and those of their levels that may not be aimed at some groups more than at "
        "others (fear, costs); the table of fairness says which groups nano shows them to.",
    )
    comparable: Distinct[Column] = Field(
        [],
        description="Outcomes of the experiment that are measured on the scale of the analysed calibration "
        "outcome; their gains are compared with the predicted ones.",
    )


class AcceptedConfig(Section, title="accepted"):
    """A finding of the disclosure audit that is published all the same, with the reason."""

    file: Column = Field(description="File below results/<study>, as disclosure.csv names it.")
    rule: str = Field("", description="Rule, as disclosure.csv names it; all rules if absent.")
    reason: str = Field(
        min_length=10, description="Why it tells nothing about anybody; printed in disclosure.csv."
    )


class PrivacyConfig(Section):
    """What is published about people."""

    min_cell: int = Field(
        10,
        ge=1,
        le=1_000_000,
        description="Estimates of subgroups with fewer respondents in an arm are suppressed, and one more so "
        "that they cannot be recovered.",
    )
    accepted: list[AcceptedConfig] = Field(
        [], description="Findings of the disclosure audit that are published, each with a reason."
    )
    secret: PathName | None = Field(
        None,
        description="File that holds the study's secret, from which the pseudonyms of respondents are made; "
        "data/<study>/pseudonyms.key if absent. Made at the first run. Keep it with the raw data; who has it "
        "can tell ids from pseudonyms. A simulated study has a public key in its place.",
    )


class AuthorConfig(Section, title="author"):
    """Who is cited for the study."""

    given: Name = Field(description="Given names.")
    family: Name = Field(description="Family name.")
    affiliation: Name | None = Field(None, description="Where the author works.")
    orcid: str | None = Field(None, pattern=ORCID, description="ORCID, as https://orcid.org/...")
    email: str | None = Field(None, description="Address for questions of replicators; it is published.")


class SourceConfig(Section, title="data source"):
    """A data set on which the study rests."""

    file: File = Field(description="File of this study that holds it, as named elsewhere in the config.")
    citation: Name = Field(description="Full reference of the data, as it stands in a list of references.")
    doi: str | None = Field(None, pattern=DOI, description="DOI of the data, from 10. on.")
    collected: str = Field("", description="Who collected the data, when, where, how and from whom.")


class DepositConfig(Section):
    """What an archive, and the data editor of a journal, ask of the study (`nanotarget deposit`)."""

    authors: list[AuthorConfig] = Field([], description="Who is cited, in order.")
    summary: str = Field("", description="What the study asked and found, in a few sentences.")
    date: Day | None = Field(
        None, pattern=DAY, description="Day of the deposit, as YYYY-MM-DD; a clock would change its bytes."
    )
    doi: str | None = Field(None, pattern=DOI, description="DOI that the archive reserved, from 10. on.")
    data: Literal["public", "restricted"] = Field(
        "restricted",
        description="public: the raw files are part of the deposit; restricted: they are not, and `access` "
        "says how to get them.",
    )
    data_licence: Name | None = Field(
        None, description="Licence of the data as an SPDX identifier, for example CC0-1.0."
    )
    rights: str = Field(
        "", description="Why the authors may use the data, and may publish what they publish of them."
    )
    access: str = Field(
        "", description="How others get restricted data: where to ask, what it costs, how long it takes."
    )
    sources: list[SourceConfig] = Field([], description="References of the data, one a raw file.")
    ethics: str = Field(
        "", description="Which board approved the study, with number and date, or why none was asked."
    )
    funding: str = Field("", description="Who paid for the study.")
    instruments: Distinct[File] = Field(
        [], description="Files with questionnaires, as respondents saw them, for the deposit."
    )
    runtimes: File | None = Field(
        None,
        description="CSV with what each rule cost (columns rule, seconds of CPU, megabytes), as written once "
        "by `make runtimes`; times differ from run to run, so that they are kept.",
    )
    machine: str = Field("", description="On which computer the costs of `runtimes` were measured.")

    @property
    def contact(self) -> str:
        """Address for questions; empty if no author gives one."""
        return next((person.email for person in self.authors if person.email), "")


class NoticeConfig(Section):
    """What a transparency notice after Regulation (EU) 2024/900 says and no program can know.

    What is left out is marked as a blank for the sponsor.
    """

    sponsor: str = Field("", description="Name, e-mail and postal address of the sponsor.")
    controller: str = Field("", description="The same of the entity that ultimately controls the sponsor.")
    payer: str = Field("", description="The same of who pays, if it is not the sponsor.")
    period: str = Field("", description="From which to which day the petitions are shown.")
    amounts: str = Field("", description="Amounts and other benefits that service providers received.")
    origin: str = Field(
        "", description="Public or private origin of the amounts, inside or outside the Union."
    )
    method: str = Field("", description="How the amounts were calculated.")
    process: str = Field(
        "", description="Elections, referendums, legislative or regulatory processes that it is linked with."
    )
    information: str = Field("", description="Link to official information on how to take part in them.")
    repository: str = Field("", description="Link to the European repository of online political ads.")
    complaints: str = Field("", description="How to report that the advertisement breaks the rules.")
    suspended: str = Field("", description="Whether an earlier version was suspended, and why.")
    reach: str = Field("", description="Views and engagements, once they are known.")
    rights: str = Field("", description="Link by which people exercise their rights and withdraw consent.")
    policy: str = Field("", description="Link to the sponsor's policy on targeting.")
    special_categories: Distinct[Column] = Field(
        [],
        description="Covariates that reveal political opinions, religion, health or another special category "
        "of personal data (Article 9 GDPR).",
    )


class DataConfig(Section):
    """What was recorded about whom, and where: all that reading the raw files depends on."""

    study: str = Field(
        pattern=NAME,
        description="Short name of the study; its artefacts go to results/<study>.",
    )
    samples: Literal["new", "panel"] = Field(
        "new",
        description="new: the two samples are disjoint people; panel: the calibration respondents come back "
        "in the experiment.",
    )
    preregistration: File | None = Field(
        None,
        description="File with the frozen pre-registration (YAML). Without one every estimate is labelled "
        "exploratory.",
    )
    design: DesignConfig | None = Field(
        None,
        description="The petitions - attributes, their levels, how they were randomised, and their text. "
        "Needed for calibration.",
    )
    covariates: list[CovariateConfig] = Field(
        [], description="Allow-list of pre-treatment respondent variables; no other variable is read."
    )
    calibration: CalibrationConfig | None = Field(
        None, description="The conjoint survey. Leave it out for a study that has only an experiment."
    )
    experiment: ExperimentConfig | None = Field(
        None, description="The experiment. Leave it out for a study that stops after the assignment."
    )
    roster: RosterConfig | None = Field(
        None,
        description="Whom the experiment is going to be fielded to, and how they are randomised to its arms. "
        "For a study with a calibration that has not been fielded; after fielding, the section experiment "
        "takes its place.",
    )


class Study(DataConfig, title="nanotarget study"):
    """One file describes one study. Every key that is not listed here is an error."""

    title: str = Field("", description="Title for people, printed on the report.")
    synthetic: bool = Field(
        False, description="Are the data simulated? If true, every figure, table and page says so."
    )
    root_seed: int = Field(
        ge=0,
        le=2**63 - 1,
        description="The one seed from which every random stream of the study is derived by name.",
    )
    calibrate: CalibrateConfig = Field(CalibrateConfig(), description="How the calibration is analysed.")
    diagnose: DiagnoseConfig = Field(DiagnoseConfig(), description="When does nano-targeting pay?")
    assign: AssignConfig = Field(AssignConfig(), description="Who gets which petition.")
    estimate: EstimateConfig = Field(EstimateConfig(), description="How the experiment is analysed.")
    explore: ExploreConfig = Field(ExploreConfig(), description="Exploratory analyses.")
    privacy: PrivacyConfig = Field(PrivacyConfig(), description="What is published about people.")
    notice: NoticeConfig = Field(
        NoticeConfig(), description="What a transparency notice says and no program can know."
    )
    deposit: DepositConfig = Field(
        DepositConfig(), description="What an archive, and the data editor of a journal, ask of the study."
    )

    @property
    def raw_files(self) -> list[str]:
        """Raw files of the study, each once."""
        files = [sample.file for sample in (self.calibration, self.experiment, self.roster) if sample]
        beside = (self.calibration.shown, self.calibration.labels) if self.calibration else ()
        return list(dict.fromkeys([*files, *(part.file for part in beside if part)]))

    @model_validator(mode="after")
    def _without_protected(self) -> Study:
        """Let the ladder ask what the study would gain without each protected covariate."""
        targeted = [covariate for covariate in self.covariates if covariate.target]
        known = {rung.name for rung in self.diagnose.ladder}
        for name in self.diagnose.protected:
            left = [covariate.name for covariate in targeted if covariate.name != name]
            if left and (rung := f"Without {name}") not in known:
                self.diagnose.ladder.append(RungConfig(name=rung, covariates=left))
        return self

    @property
    def secret(self) -> str | None:
        """File with the secret of the pseudonyms; None if they are made with a public key."""
        return None if self.synthetic else self.privacy.secret or f"data/{self.study}/pseudonyms.key"

    @property
    def learns(self) -> bool:
        """Whether preferences of people can be learned: a calibration in which they compared petitions."""
        return self.calibration is not None and not self.calibration.one_petition_each

    @property
    def undecided(self) -> bool:
        """Whether there is something to diagnose, and nobody has said which gain would matter."""
        return self.learns and self.diagnose.sesoi is None


class ConductedConfig(Section):
    """The part of a study that is compared with its pre-registration."""

    calibration: CalibrationConfig | None
    experiment: ExperimentConfig | None
    estimate: EstimateConfig


def part_of(kind: type[Section], section: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a smaller section asks of a complete one, for a rule that must not depend on the rest."""
    return {name: section[name] for name in kind.model_fields}


def normalised(text: object) -> str:
    """Return text as levels are compared: trimmed, single spaces, no case; 1.0 equals 1.

    Letters are composed (Unicode NFC), as "é" is one letter in some exports and two in others.
    """
    plain = unicodedata.normalize("NFC", " ".join(str(text).split()).casefold())
    return re.sub(r"^([+-]?\d+)\.0+$", r"\1", plain)
