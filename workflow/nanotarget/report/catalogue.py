"""Every figure and table of the report, declared once.

Rules, report page, paper, README and tests read what is declared here. A new figure is a function in
`figures/` and an entry; a new table is one in `tables/` and an entry. Functions are named, not imported,
so that rules can read the catalogue without pandas and matplotlib.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from nanotarget.report.theme import Names

VERDICT = "diagnose/verdict"  # the part of the diagnosis that comes before all sections


class Kind(StrEnum):
    """What an exhibit is, and the folder of the results and of the library in which it is found."""

    FIGURE = "figures"
    TABLE = "tables"


class Place(StrEnum):
    """Where the skeleton of the paper shows an exhibit."""

    MAIN = "main text"
    APPENDIX = "appendix"


# What an exhibit says instead of showing anything: of the labels and its tables a sentence, or nothing.
Silence = Callable[..., str]


# Of the labels and its tables what an exhibit's legend adds to its caption.
Details = Callable[..., str]


def no_rows(sentence: str, **values: Collection[str] | str) -> Silence:
    """Return the silence of an exhibit whose first table has no rows, or none with some values.

    Args:
        sentence: what is said then.
        values: column -> the value or values that its rows must have.
    """

    def silence(names: Names, table: pd.DataFrame, *others: pd.DataFrame) -> str:
        for column, wanted in values.items():
            table = table[table[column].isin([wanted] if isinstance(wanted, str) else wanted)]
        return sentence if table.empty else ""

    return silence


@dataclass(frozen=True)
class Exhibit:
    """A figure or table.

    Attributes:
        kind: whether it is a figure or a table.
        name: file stem, and name of the function that makes it: of its tables and the labels a
            `figures.Drawn` or a `tables.Table`. The function is in the module of its stage.
        section: of the report: the stage, or stage/part.
        caption: of the figure; title of the table.
        sources: stems of the tidy tables that it draws from, in the order of the function's arguments; by
            default that of its name. A study without one of them does not have the exhibit.
        silence: when it says nothing, and the sentence that stands in its place.
        details: what its legend adds to the caption, of the labels and its tables: how many people, which
            errors.
        paper: where the skeleton of the paper shows it; elsewhere a co-author can take its file from.
        needs: what a study must have for it beside its sources: calibration, experiment or registration.
        folded: the report shows it folded up, because it repeats a figure's numbers or gives background.
    """

    kind: Kind
    name: str
    section: str
    caption: str
    sources: tuple[str, ...] = ()
    silence: Silence | None = None
    details: Details | None = None
    paper: Place | None = None
    needs: str = ""
    folded: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "sources", self.sources or (self.name,))

    @property
    def stage(self) -> str:
        """Stage of the study in whose section it stands."""
        return self.section.split("/")[0]

    @property
    def module(self) -> str:
        """Name of the module that makes it."""
        return f"nanotarget.report.{self.kind}.{self.stage}"

    def make(self, tables: Mapping[str, pd.DataFrame], names: Names) -> Any:
        """Call its function with the tables, by stem, and the labels."""
        return getattr(import_module(self.module), self.name)(*self._own(tables), names)

    def sentence(self, tables: Mapping[str, pd.DataFrame], names: Names) -> str:
        """Return what is said in its place, empty if it has something to show."""
        return self.silence(names, *self._own(tables)) if self.silence else ""

    def legend(self, tables: Mapping[str, pd.DataFrame], names: Names) -> str:
        """Return the caption with what it says of this study."""
        details = self.details(names, *self._own(tables)) if self.details else ""
        return f"{self.caption} {details}".strip()

    def _own(self, tables: Mapping[str, pd.DataFrame]) -> list[pd.DataFrame]:
        return [tables[source] for source in self.sources]


figure = partial(Exhibit, Kind.FIGURE)
table = partial(Exhibit, Kind.TABLE)
background = partial(Exhibit, Kind.TABLE, folded=True)

CORRECTING = ("repeated", "extrapolated", "given")  # how reliability was found
NO_PREDICTION = (
    "Nothing to show: no covariate may be used for targeting, or the learner finds no differences between "
    "people."
)
ALIKE = "Nothing to show: nano gives nobody another petition than overall-best."
NO_EFFECTS = "No effects: the experiment has no outcomes."
NOT_COMPARED = "Nothing to show: nano and overall-best are not compared in the experiment."


def _no_variance(names: Names, diagnostics: pd.DataFrame) -> str:
    from nanotarget.report.tables.diagnose import variance_parts

    return (
        "" if len(variance_parts(diagnostics, names)) else "No variance is split: nobody answered two tasks."
    )


def _no_dividend(names: Names, diagnostics: pd.DataFrame) -> str:
    from nanotarget.report.tables.diagnose import dividend_rows

    return "" if len(dividend_rows(diagnostics, names)) else NO_PREDICTION


def flat(column: str, sentence: str, empty: str, at: float = 0.0) -> Silence:
    """Return the silence of an exhibit whose first table has one value in a column, or no rows.

    Args:
        column: of numbers.
        sentence: what is said if all of them are `at`.
        empty: what is said without rows.
    """

    def silence(names: Names, table: pd.DataFrame, *others: pd.DataFrame) -> str:
        if table.empty:
            return empty
        return sentence if (table[column].dropna() == at).all() else ""

    return silence


def _of_divergent(estimator: str) -> Silence:
    """Return the silence of what divides people by whether, and by how much, their petitions differ."""

    def silence(names: Names, table: pd.DataFrame) -> str:
        own = table[table["estimator"] == estimator]
        if own.empty:
            return NOT_COMPARED
        share = table.loc[table["quantity"] == "share divergent", "estimate"]
        if len(share) and (share == 0).all():
            return ALIKE
        if own["estimate"].notna().any():
            return ""
        notes = dict.fromkeys(own["note"].dropna())
        return f"Nothing to show: {'; '.join(notes) or 'too few people'}."

    return silence


def _no_switches(names: Names, switches: pd.DataFrame) -> str:
    if switches.empty:
        return NO_PREDICTION
    moved = switches.loc[~switches["overall_best"].astype("bool"), "share_nano"]
    return ALIKE if (moved == 0).all() else ""


def _no_curve(names: Names, curve: pd.DataFrame, rate: pd.DataFrame) -> str:
    if curve.empty:
        return NOT_COMPARED
    notes = dict.fromkeys(curve["note"].dropna())
    reason = "; ".join(notes) or "nothing could be estimated"
    return f"No curve: {reason}." if curve["estimate"].isna().all() else ""


def _no_dissuasion(names: Names, found: pd.DataFrame) -> str:
    return "" if found["estimate"].notna().any() else "Nothing to show: the study has no table of dissuasion."


def _profiles(names: Names, table: pd.DataFrame) -> str:
    """Say how many petitions of how many respondents were rated, and which errors estimates have."""
    whole = table.groupby("outcome", sort=False)[["n", "n_clusters"]].max()
    sizes = {
        names.of(str(outcome)): f"{n:,.0f} petitions of {people:,.0f} respondents"
        for outcome, n, people in whole.itertuples(name=None)
    }
    alike = len(set(sizes.values())) == 1
    said = next(iter(sizes.values())) if alike else "; ".join(f"{k} {size}" for k, size in sizes.items())
    return f"n = {said}. {names.errors} standard errors, clustered by respondent." if sizes else ""


def _levels(names: Names, table: pd.DataFrame) -> str:
    """Say the same of marginal means, whose n are those of a level."""
    whole = (
        table.groupby(["outcome", "attribute"], sort=False)["n"].sum().groupby("outcome", sort=False).max()
    )
    sizes = "; ".join(f"{names.of(str(outcome))} {n:,.0f}" for outcome, n in whole.items())
    return (
        f"n (petitions): {sizes}. {names.errors} standard errors, clustered by respondent." if sizes else ""
    )


def _compared(names: Names, table: pd.DataFrame, equivalence: pd.DataFrame) -> str:
    """Say how many respondents there are, which errors, and what the equivalence tests say."""
    sizes = table.groupby("outcome", sort=False)["n"].max()
    errors = ", ".join(dict.fromkeys(table["se_type"].astype("str")))
    said = [
        f"n = {'; '.join(f'{names.of(str(o))} {n:,.0f}' for o, n in sizes.items())}.",
        f"Standard errors: {errors}.",
    ]
    tests = equivalence[equivalence["estimator"] == "tost"]
    for outcome, own in tests.groupby("outcome", sort=False):
        bound = own["sesoi"].iloc[0] * names.times(str(outcome))
        verdicts = "; ".join(
            f"{contrast.replace(' - ', ' − ')} {verdict}"
            for contrast, verdict in zip(own["contrast"], own["verdict"], strict=True)
        )
        within = f"±{bound:g} {names.unit_of(str(outcome))}"
        said.append(f"Equivalence within {within}, {names.of(str(outcome))}: {verdicts}.")
    return " ".join(said)


def _subgroup_sizes(names: Names, table: pd.DataFrame) -> str:
    """Say how many respondents the groups have at least and at most."""
    sizes = table["n"].dropna()
    return f"n of a group and contrast: {sizes.min():,.0f} to {sizes.max():,.0f}." if len(sizes) else ""


CATALOGUE: tuple[Exhibit, ...] = (
    figure(
        "flow",
        "clean",
        "Participant flow: who was recorded, who was excluded and why (each exclusion applies to who "
        "was left by the ones before), and who was kept, in the experiment also by arm.",
    ),
    figure(
        "participants",
        "clean",
        "Participants of the experiment after CONSORT 2010: assessed, excluded (each exclusion applies "
        "to who was left by the ones before), randomised, and by arm who received the petition, whose "
        "outcomes are missing and who was analysed. Nobody who answered is left out of the analysis.",
        silence=no_rows("No participants: the experiment's table of participants is empty."),
        paper=Place.MAIN,
    ),
    figure(
        "design",
        "calibrate",
        "The design of the petitions: attributes, their levels and how often the design shows each. The "
        "frame holds a petition drawn from the design, in the words that a respondent could have seen; "
        "filled circles mark its levels.",
        silence=no_rows("No design: the study has no petitions of attributes and levels."),
        paper=Place.APPENDIX,
    ),
    figure(
        "amce",
        "calibrate",
        "Average marginal component effects in the calibration survey, a panel an outcome: by how much a "
        "level moves the answer compared with the reference level of its attribute (open circles).",
        details=_profiles,
        paper=Place.MAIN,
    ),
    figure(
        "marginal_means",
        "calibrate",
        "Marginal means in the calibration survey, a panel an outcome: the mean answer to petitions with a "
        "level. Dashed: what would be seen if nobody preferred anything, where that is known.",
        details=_levels,
        paper=Place.APPENDIX,
    ),
    figure(
        "groups",
        "calibrate/by_group",
        "What groups like: marginal means of every level in two groups, and beside them by how much they "
        "differ, with intervals. Groups are compared by means because differences of effects depend on the "
        "level that effects are counted from (Leeper, Hobolt and Tilley 2020).",
        sources=("groups", "group_tests"),
        silence=no_rows("Nothing to compare: fewer than two groups."),
    ),
    figure(
        "interactions",
        "calibrate/interactions",
        "Interactions of attributes (AMIE): by how much a pair of levels is liked more or less than the sum "
        "of what both add on average. A frame marks pairs whose interaction is not chance after Holm's "
        "correction over all pairs; empty pairs cannot be told from the design.",
        silence=no_rows("No interactions: there is one attribute, or the design ties all together."),
    ),
    figure(
        "reliability",
        "calibrate/reliability",
        "How often one person chooses alike in two tasks, by how much these have in common (0: nothing; 1: "
        "the same task, whatever the places of the petitions). The curve is what normal utilities give, "
        "fitted to all pairs of tasks; its end is how often an answer would be the same if asked again.",
        sources=("likeness", "reliability"),
        silence=no_rows("Nothing to compare: nobody made two choices between two petitions."),
    ),
    figure(
        "imces",
        "calibrate",
        "How the effects of levels that the learner predicts are spread over the respondents of the "
        "calibration survey: median, middle half, and 5th to 95th percentile. They are predictions: "
        "that they differ between people does not show that people differ, and that they hardly differ "
        "can be the caution of the learner.",
        silence=flat(
            "std_dev",
            "No spread: the learner predicts the same effects of the levels for everybody.",
            "No individual effects: the learner gives none.",
        ),
    ),
    figure(
        "funnel",
        VERDICT,
        "The funnel: the gain over the overall-best petition that each stage of the diagnosis leaves "
        "possible, with one-sided 95% bounds. A stage fails when its upper bound stays below the "
        "smallest gain that matters (dotted line). Grey: gains that are not ruled out.",
        sources=("diagnostics",),
        paper=Place.MAIN,
    ),
    figure(
        "variance",
        "diagnose/heterogeneity",
        "Where answers differ: the shares of the variance that come from the person, from the petition, "
        "from the combination of both (person × message: what nano-targeting lives on) and from noise. "
        "Negative estimates, which noise can bring about, count as no share. Below, person × message "
        "variance by attribute.",
        sources=("diagnostics",),
        silence=_no_variance,
        paper=Place.APPENDIX,
    ),
    figure(
        "calibration",
        "diagnose/predictability",
        "How the person-specific part of the response is predicted, out of sample: averages of what was "
        "observed in bins of what was predicted. On the dashed line predictions would be perfect; a "
        "flatter slope means that the learner overstates differences between people.",
        sources=("calibration", "diagnostics"),
        silence=no_rows(NO_PREDICTION),
        paper=Place.APPENDIX,
    ),
    figure(
        "ladder",
        "diagnose/predictability",
        "What more covariates or another learner add, out of sample: improvement of the loss over a "
        "model without differences between people, slope of observed on predicted person-specific "
        "parts, and gain over the overall-best petition.",
        sources=("ladder", "diagnostics"),
        silence=no_rows("No ladder: the config names no rungs, or no covariate may be used for targeting."),
    ),
    figure(
        "switches",
        "diagnose/crossover",
        "What nano changes: the share of respondents to whom it gives each level, and in brackets the "
        "share to whom models of both halves of the calibration give it. A star and a frame mark the "
        "level of the overall-best petition.",
        silence=_no_switches,
        paper=Place.APPENDIX,
    ),
    figure(
        "abundance",
        "diagnose/crossover",
        "How often nano assigns its petitions, ranked (logarithmic axes), compared with what it assigns "
        "when the covariates are randomly permuted; both by the same additive ridge regression, "
        "whatever the study's learner. The number of petitions means nothing without that comparison.",
        sources=("abundance", "diagnostics"),
        silence=flat("rank", "Nothing to rank: nano assigns one petition to everybody.", NO_PREDICTION, 1),
    ),
    figure(
        "dividend",
        "diagnose/dividend",
        "What targeting gains: differences in value between nano, overall-best and random petitions. "
        "Doubly robust estimates are out of sample; the plug-in is the learner's own promise. A grey "
        "band marks gains that are too small to matter.",
        sources=("diagnostics",),
        silence=_no_dividend,
    ),
    figure(
        "frontier",
        "diagnose/dividend",
        "What k petitions gain over one, out of sample, where everybody gets one of k petitions, with "
        "one-sided 95% bounds; the line is the gain of nano, which has a petition for each person.",
        sources=("frontier", "diagnostics"),
        silence=flat("gain", "A flat frontier: further petitions gain nothing over one.", NO_PREDICTION),
        paper=Place.APPENDIX,
    ),
    figure(
        "learning",
        "diagnose/dividend",
        "Would more respondents help: the gain when the learner (ridge regression where the study's own "
        "is stagewise, boosting or bart) gets only a part of the calibration, and its extrapolation to "
        "larger ones (open diamonds, dashed).",
        sources=("learning_curve", "diagnostics"),
        silence=flat(
            "gain",
            "No curve: the learner gains nothing over overall-best, however many respondents it gets.",
            NO_PREDICTION,
        ),
    ),
    figure(
        "petitions",
        "assign",
        "How often each policy assigns its petitions, ranked from the most to the least assigned "
        "(logarithmic axes). Those that fewer people get than may be published are pooled and drawn at their "
        "mean, because a nearly unique petition would identify a person.",
    ),
    figure(
        "effects",
        "estimate",
        "Effects of the experiment: differences between arms for every outcome, with intervals. Shape "
        "tells the estimator, fill the pre-registered status; a grey band marks differences that are "
        "smaller than the smallest effect of interest, and the equivalence test says whether the data "
        "exclude larger ones.",
        sources=("effects", "equivalence"),
        silence=no_rows(NO_EFFECTS),
        details=_compared,
        paper=Place.MAIN,
    ),
    figure(
        "randomization",
        "estimate/chance",
        "What the difference between two arms would be, in standard errors, if nobody responded "
        "differently to them: redraws of the arms as they were drawn. Hatched: redraws at least as "
        "extreme as what was observed (red line); their share is the p value.",
        sources=("randomization_distribution", "randomization_inference"),
        silence=no_rows("No randomisation distribution: no contrast can be tested by redrawing the arms."),
        paper=Place.APPENDIX,
    ),
    figure(
        "specifications",
        "estimate/scales",
        "Specification curve: every contrast under every way to estimate it that was fixed beforehand, "
        "in the order of the estimates, and below which choices each one makes. Other scales are "
        "in the table. Without pre-registration every specification is exploratory.",
        sources=("robustness",),
        silence=no_rows(NO_EFFECTS),
        paper=Place.APPENDIX,
    ),
    figure(
        "bounds",
        "estimate/missing",
        "What missing answers can do to the effects: bounds on the effect among those who would answer "
        "in either arm (boxes), its interval (lines), and the difference among those who answered "
        "(points). The bounds assume that whoever answers in the arm with fewer answers would also "
        "answer in the other one; they trim the share named on the right.",
        sources=("lee_bounds",),
        silence=no_rows("No bounds: the experiment has no outcomes.", trimming="fraction"),
        paper=Place.APPENDIX,
    ),
    figure(
        "subgroups",
        "explore/groups",
        "Exploratory: differences between arms within subgroups, with intervals that are not adjusted "
        "for multiple comparisons, and below each the estimate shrunken towards the mean of the groups, "
        "which is less led astray by small groups. Cells with too few people are suppressed.",
        silence=no_rows("Nothing to show: the config names no subgroups."),
        details=_subgroup_sizes,
        paper=Place.MAIN,
    ),
    figure(
        "tail",
        "explore/tail",
        "Exploratory: the experiment read downward. Differences between arms in the share that refused "
        "and in the lower quantiles of the answers, with intervals. All arms seek support; none that "
        "dissuades is ever fielded.",
        sources=("lower_tail",),
        silence=no_rows("Nothing to show: the experiment has no outcomes."),
    ),
    figure(
        "polarisation",
        "explore/apart",
        "Exploratory: does an arm drive people apart? Differences between arms in the gap between base and "
        "opposed, in the variance and in the shares of answers in the lowest and the highest fifth of the "
        "scale, with intervals by redrawing the arms (for the gap within the groups). Right of zero the "
        "first arm has the wider gap, the larger variance, the fuller end.",
        silence=no_rows("Nothing to show: the experiment has no outcomes."),
        paper=Place.APPENDIX,
    ),
    figure(
        "gap",
        "explore/apart",
        "Exploratory: the gap between base and opposed on calibration data, under every policy, and by how "
        "much petitions that are chosen for the person would change it at either end. A petition that "
        "dissuades is never fielded.",
        silence=no_rows("Nothing to show: the base or the opposed are too few to be published."),
    ),
    figure(
        "validation",
        "explore/promise",
        "Did the promise hold: the gain of nano over overall-best that the calibration predicted, and "
        "the one that the experiment observed. The slope says by how much the gain is larger where the "
        "learner promises a unit more; 1 is perfect, 0 means that the promises tell nobody apart.",
        silence=no_rows(NOT_COMPARED, estimator="validation"),
        paper=Place.APPENDIX,
    ),
    figure(
        "dilution",
        "explore/promise",
        "Where the personalised petition is the overall-best one anyway nothing can be gained: the "
        "effect of nano over overall-best on everybody, on those for whom the petitions differ, and on "
        "the others, for whom it is zero unless something else differed between the arms.",
        sources=("validation",),
        silence=_of_divergent("dilution"),
    ),
    figure(
        "dose",
        "explore/promise",
        "The effect of nano over overall-best by the number of attributes in which the two petitions of "
        "a respondent differ, with intervals. Numbers with few people are taken together; cells with "
        "too few people are suppressed.",
        sources=("validation",),
        silence=_of_divergent("dose"),
        paper=Place.APPENDIX,
    ),
    figure(
        "targeting",
        "explore/targeting",
        "Targeting operator characteristics: by how much the effect among those to whom nano promises "
        "most exceeds the effect on everybody, by the share that is treated. The area under a curve is "
        "the average over shares; on the dashed line the promises are of no use.",
        sources=("targeting_curve", "rate"),
        silence=_no_curve,
    ),
    figure(
        "dissuasion",
        "explore/dissuasion",
        "Exploratory: both ends of the calibration. What personalisation would add to support, and what "
        "it would add to dissuasion; the asymmetry is positive where dissuasion would do more. Below, "
        "where it comes from: gaps between the outermost levels and their neighbours, and what could be "
        "gained if tastes were known. A petition that dissuades is never fielded.",
        silence=_no_dissuasion,
        paper=Place.APPENDIX,
    ),
    background("flow", "clean", "Participant flow"),
    background("participants", "clean", "Participants of the experiment"),
    background(
        "design",
        "calibrate",
        "Attributes and levels of the petitions",
        sources=("quality",),
        needs="calibration",
    ),
    background(
        "amce",
        "calibrate",
        "Effects of the attributes and marginal means",
        sources=("amce", "marginal_means"),
    ),
    background(
        "amce_by_outcome",
        "calibrate",
        "Average marginal component effects",
        sources=("amce",),
        paper=Place.APPENDIX,
    ),
    table(
        "attribute_tests",
        "calibrate",
        "Does each attribute matter to anybody?",
    ),
    background(
        "choice_models",
        "calibrate",
        "Robustness: effects in log odds, by logit and conditional logit",
        silence=no_rows("No models of log odds: no answer is a yes or a choice."),
    ),
    background(
        "groups",
        "calibrate/by_group",
        "Marginal means and effects by group, and their differences",
    ),
    table("group_tests", "calibrate/by_group", "Do groups like different levels?"),
    background(
        "interaction_tests",
        "calibrate/interactions",
        "Do two attributes do together what neither does alone?",
        silence=no_rows("No interactions: there is one attribute."),
    ),
    table(
        "reliability",
        "calibrate/reliability",
        "How often would answers be the same if asked again?",
        silence=no_rows("Not known: no task was asked twice, and nobody chose between two petitions twice."),
    ),
    background(
        "corrected",
        "calibrate/reliability",
        "Marginal means and effects without response error",
        silence=no_rows("Nothing is corrected: reliability is not known.", method=CORRECTING),
    ),
    table(
        "corrected_diagnosis",
        "calibrate/reliability",
        "What the diagnosis would find without response error",
        silence=no_rows("Nothing is corrected: reliability is not known."),
    ),
    background("learners", "calibrate", "Learners, out of sample"),
    background(
        "funnel",
        "diagnose/heterogeneity",
        "The gain that each stage of the diagnosis leaves possible",
        sources=("diagnostics",),
        paper=Place.MAIN,
    ),
    background("diagnostics", "diagnose/heterogeneity", "Can nano-targeting pay?"),
    background(
        "diagnostics_attributes",
        "diagnose/heterogeneity",
        "The diagnosis by attribute",
        sources=("diagnostics",),
    ),
    background("ladder", "diagnose/predictability", "Which covariates and which learner"),
    background("frontier", "diagnose/dividend", "How many petitions"),
    background("learning_curve", "diagnose/dividend", "Would more respondents help?"),
    table(
        "diagnostics_groups",
        "diagnose/others",
        "The other goal and subgroups (exploratory)",
        sources=("diagnostics",),
    ),
    table("audit", "assign", "Petitions fielded and recomputed"),
    background(
        "disclosure",
        "clean",
        "What the audit of disclosure found, and what was done",
        silence=no_rows("Nothing: no result is about few people."),
    ),
    background("arm_balance", "assign", "Balance of the roster's arms"),
    table(
        "outcomes_by_arm",
        "estimate",
        "Outcomes by arm",
        sources=("outcomes",),
        silence=no_rows(NO_EFFECTS),
        paper=Place.MAIN,
    ),
    table(
        "effects_by_outcome",
        "estimate",
        "Effects of the experiment",
        sources=("effects", "randomization_inference", "outcomes"),
        silence=no_rows(NO_EFFECTS),
        paper=Place.MAIN,
    ),
    background("outcomes", "estimate", "Outcomes by arm and answer", silence=no_rows(NO_EFFECTS)),
    background(
        "effects",
        "estimate",
        "Effects of the experiment, a row an estimate",
        sources=("effects", "randomization_inference"),
    ),
    table("equivalence", "estimate/size", "Equivalence tests", sources=("equivalence", "sentences")),
    background("power", "estimate/size", "Smallest detectable effects"),
    background("multiplicity", "estimate/size", "Tests and their families", sources=("effects",)),
    background(
        "corrections",
        "estimate/size",
        "P values by every correction, estimator and kind of errors",
        sources=("robustness", "randomization_inference"),
    ),
    background("randomization_inference", "estimate/chance", "Randomisation inference"),
    background("scales", "estimate/scales", "Effects on other scales"),
    background("omnibus", "estimate/scales", "Do the arms differ at all?"),
    background("robustness", "estimate/scales", "Effects under every specification"),
    background("attrition", "estimate/missing", "Attrition"),
    background("differential_attrition", "estimate/missing", "Are the same people missing in all arms?"),
    background("lee_bounds", "estimate/missing", "Bounds on effects under attrition (Lee)"),
    background("ipw", "estimate/missing", "Effects weighted for attrition"),
    table(
        "sample",
        "estimate/delivery",
        "Characteristics of the sample by arm",
        sources=("balance",),
        paper=Place.MAIN,
    ),
    background("balance", "estimate/delivery", "Sample and balance of the arms"),
    background("cace", "estimate/delivery", "Effects on those reached"),
    background("checks", "estimate/delivery", "Effects without those who failed a check"),
    table(
        "deviations",
        "estimate/deviations",
        "Deviations from the pre-registration",
        silence=no_rows("No deviation."),
        needs="registration",
    ),
    background("subgroups", "explore/groups", "Effects within subgroups"),
    background("odds_ratios", "explore/groups", "Odds ratios within subgroups"),
    background("mobilisation", "explore/groups", "Mobilisation and persuasion"),
    background("lower_tail", "explore/tail", "Lower ends of the outcomes"),
    background("polarisation", "explore/apart", "Do the arms drive people apart?"),
    background("gap", "explore/apart", "The gap between base and opposed in the calibration"),
    background("validation", "explore/promise", "Predicted and observed gain"),
    background("gate", "explore/targeting", "Doubly robust effects in groups"),
    background("projection", "explore/targeting", "Who responds more: best linear projection"),
    background("rate", "explore/targeting", "Rank-weighted average treatment effects"),
    background("dissuasion", "explore/dissuasion", "Persuasion and dissuasion"),
    background("fairness", "explore/fairness", "Are groups served alike?"),
)


def of_study(available: Collection[str], has: Collection[str]) -> list[Exhibit]:
    """Return the exhibits of a study in the order of the report.

    Args:
        available: stems of the tidy tables that the study makes.
        has: which of calibration, experiment and registration it has.
    """
    return [
        exhibit
        for exhibit in CATALOGUE
        if set(exhibit.sources) <= set(available) and exhibit.needs in ("", *has)
    ]


def sources_of(exhibits: Iterable[Exhibit]) -> list[str]:
    """Return the stems of the tidy tables that exhibits draw from, each once."""
    return list(dict.fromkeys(source for exhibit in exhibits for source in exhibit.sources))


def jobs(figures: Iterable[Exhibit]) -> dict[str, list[Exhibit]]:
    """Divide figures into those of the calibration and of the experiment, by the name of the rule.

    So an edit does not draw all again, and two cores share the work. To start a job takes 0.9 s of CPU and to
    draw a figure 0.6 s: a job a figure would cost more than it saves.
    """
    divided: dict[str, list[Exhibit]] = {}
    for exhibit in figures:
        about_experiment = exhibit.stage in ("clean", "estimate", "explore")
        divided.setdefault("figures_of_experiment" if about_experiment else "figures", []).append(exhibit)
    return divided
