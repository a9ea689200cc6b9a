"""What a diagnosis estimates, and how: every quantity and estimator by its name, with its label and unit.

The names are the texts of the columns `diagnostic`, `quantity` and `estimator` of diagnostics.csv.
"""

from __future__ import annotations

from enum import StrEnum


class Diagnostic(StrEnum):
    """The four diagnostics in their order, after the threshold that their ceilings are compared with."""

    THRESHOLD = "threshold"
    HETEROGENEITY = "heterogeneity"
    PREDICTABILITY = "predictability"
    CROSSOVER = "crossover"
    DIVIDEND = "dividend"


DIAGNOSTICS = tuple(Diagnostic)[1:]


class Unit(StrEnum):
    """What a quantity is counted in."""

    OUTCOME = "units of the outcome"
    SQUARE = "squared units of the outcome"
    LOSS = "loss of a rating or choice"
    SHARE = "share"
    RATIO = "ratio"
    PETITIONS = "petitions"
    RESPONDENTS = "respondents"


T, H, P, C, D = Diagnostic
OUTCOME, SQUARE, LOSS, SHARE, RATIO, PETITIONS, RESPONDENTS = Unit


class Quantity(StrEnum):
    """A quantity of diagnostics.csv.

    Attributes:
        diagnostic: that it belongs to.
        unit: what it is counted in.
        label: for people.
    """

    diagnostic: Diagnostic
    unit: Unit
    label: str

    def __new__(cls, name: str, diagnostic: Diagnostic, unit: Unit, label: str = "") -> Quantity:
        """Make a member; the label is the name, capitalised, unless another is given."""
        member = str.__new__(cls, name)
        member._value_ = name
        member.diagnostic, member.unit = diagnostic, unit
        member.label = label or name[0].upper() + name[1:].replace(" x ", " × ")
        return member

    def of(self, attribute: str) -> str:
        """Return the name of the quantity of one attribute; itself for "", which is all attributes."""
        return f"{self}: {attribute}" if attribute else str(self)

    SMALLEST_GAIN = "smallest gain that matters", T, OUTCOME
    SESOI = "sesoi", T, OUTCOME, "Smallest effect of interest"
    BREAK_EVEN = "break-even gain", T, OUTCOME, "Gain that pays for the costs"

    PERSON_BY_MESSAGE = "person x message variance", H, SQUARE
    BASELINE = "baseline variance", H, SQUARE
    COMMON = "common message variance", H, SQUARE
    NOISE = "noise variance", H, SQUARE
    INTERACTION_SHARE = "interaction share", H, SHARE, "Person × message share of the variance within persons"
    PAIRS_OF_ATTRIBUTES = "person x message variance, pairs of attributes", H, SQUARE
    COMMON_INTERACTIONS = (
        "common interactions of attributes",
        H,
        SQUARE,
        "Interactions of attributes that all people share",
    )
    LAG_1 = "person x message variance, lag 1", H, SQUARE
    LAG_2 = "person x message variance, lag 2", H, SQUARE
    LAG_3 = "person x message variance, lag 3 or more", H, SQUARE
    LAG_DIFFERENCE = "lag difference", H, SQUARE, "The same, neighbouring minus distant tasks"
    RESPONSE_ERROR = "response error", H, SHARE
    CORRECTED = "person x message variance, corrected for response error", H, SQUARE

    SLOPE = "calibration slope", P, RATIO
    PREDICTABLE_VARIANCE = "predictable variance", P, SQUARE
    PREDICTABLE_SHARE = "predictable share", P, SHARE
    WIN_RATE = "discordance win rate", P, SHARE, "Win rate of nano's forecast where common tastes disagree"
    ACCURACY_UPLIFT = "accuracy uplift", P, SHARE, "Choices foreseen by nano rather than by common tastes"
    RIDGE_IMPROVEMENT = "improvement of ridge", P, LOSS

    CROSS_HALF_GAIN = "cross-half gain", C, OUTCOME, "Gain chosen by one half, scored by the other"
    SHARE_DOMINATED = (
        "share dominated",
        C,
        SHARE,
        "Share to whom no other petition is better by more than the smallest gain",
    )
    EFFECTIVE_NUMBER = "effective number of petitions", C, PETITIONS
    DISTINCT_PETITIONS = "distinct petitions", C, PETITIONS
    CROSS_MESSAGE = (
        "cross-message correlation",
        C,
        RATIO,
        "Correlation of a person's responses across petitions",
    )
    INTENSITY = "share of intensity", C, SHARE, "Share of the differences that only scale common tastes"
    DIVERGENCE = "divergence", C, SHARE
    REPLICATED_DIVERGENCE = "replicated divergence", C, SHARE
    KAPPA = "kappa", C, RATIO

    RANDOM = "random", D, OUTCOME
    NANO = "nano", D, OUTCOME
    OVERALL_BEST = "overall_best", D, OUTCOME, "Overall best"
    GAIN = "nano - overall_best", D, OUTCOME, "Nano − Overall best"
    GAIN_OF_RIDGE = "nano - overall_best, ridge", D, OUTCOME, "Nano − Overall best, ridge"
    GAIN_OF_ALL = (
        "nano - overall_best, learned from all",
        D,
        OUTCOME,
        "Nano − Overall best, learned from all respondents",
    )
    GAIN_OF_FIRST_DIVISION = (
        "nano - overall_best, first division",
        D,
        OUTCOME,
        "Nano − Overall best, first division",
    )
    NANO_OVER_RANDOM = "nano - random", D, OUTCOME, "Nano − Random"
    BEST_OVER_RANDOM = "overall_best - random", D, OUTCOME, "Overall best − Random"
    SHARE_DIVERGENT = (
        "share divergent",
        D,
        SHARE,
        "Share to whom nano gives another petition than overall-best",
    )
    ORDER_DIFFERENCE = (
        "order 2 - order 1",
        D,
        OUTCOME,
        "Gain with second-order minus with first-order weights",
    )
    MATCHING_GAIN = "matching gain", D, OUTCOME, "Matching gain (the right petition for the right person)"
    QUALITY_LOSS = "quality loss", D, OUTCOME, "Quality loss (petitions that are worse on average)"
    NUMBER_NEEDED = (
        "number needed to treat",
        D,
        RESPONDENTS,
        "People to target for one more signature or point",
    )
    BREAK_EVEN_AUDIENCE = (
        "audience that breaks even",
        D,
        RESPONDENTS,
        "Audience at which the costs are earned",
    )


LAGS = (Quantity.LAG_1, Quantity.LAG_2, Quantity.LAG_3)  # tasks 1, 2, and 3 or more apart
BY_ATTRIBUTE = (
    Quantity.PERSON_BY_MESSAGE,
    Quantity.DIVERGENCE,
    Quantity.REPLICATED_DIVERGENCE,
    Quantity.KAPPA,
)
POLICIES = (Quantity.NANO, Quantity.OVERALL_BEST)  # whose values are compared
OVER_RANDOM = {
    Quantity.NANO: Quantity.NANO_OVER_RANDOM,
    Quantity.OVERALL_BEST: Quantity.BEST_OVER_RANDOM,
}


class Estimator(StrEnum):
    """How a quantity of diagnostics.csv is estimated; its label for people."""

    label: str

    def __new__(cls, name: str, label: str = "") -> Estimator:
        """Make a member; without a label of its own its name serves."""
        member = str.__new__(cls, name)
        member._value_ = name
        member.label = label or name
        return member

    CONFIG = "config"
    CROSS_TASK = "cross_task", "Across tasks"
    CROSS_PERSON = "cross_person", "Without a learner"
    CROSS_PERSON_PRODUCTS = "cross_person_products", "Without a learner, two covariates at a time"
    CROSSFIT = "crossfit", "Cross-fitted learner"
    RATIO = "ratio"
    PAIRS_OF_PETITIONS = "pairs"
    PERMUTATION = "permutation"
    CROSS_HALF = "cross_half", "Across halves"
    HALVES = "halves"
    REPLICATED = "replicated", "Replicated by both halves"
    OBSERVED = "observed", "Observed"
    PERMUTED = "permuted", "Covariates permuted"
    FIRST_ORDER = "dr_q1", "Doubly robust, main effects (q = 1)"
    INTERACTING_PAIRS = "dr_pairs", "Doubly robust, main effects and pairs that interact"
    SECOND_ORDER = "dr_q2", "Doubly robust, two-way (q = 2)"
    PLUG_IN = "plug_in", "Plug-in (optimistic)"
    EXTRAPOLATED = "extrapolated", "Extrapolated from folds and halves"
    ORDERS = "dr"
