"""One look for figures and tables: sizes, colours, fonts, wrapping, number formats, files.

Matplotlib is imported inside the functions that draw, so that a script which only formats
numbers does not pay for it.
"""

from __future__ import annotations

import html
import io
import logging
import math
import re
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from nanotarget.diagnose.quantities import Estimator, Quantity
from nanotarget.report.labels import Labels
from nanotarget.study.artefacts import replacing
from nanotarget.study.config import OutcomeConfig
from nanotarget.study.response import RESPONSES, CalibrationOutcomes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMN_WIDTH = 3.5
PAGE_WIDTH = 7.0
FORMATS = ("pdf", "svg", "png")
SIMULATED = "Simulated data"
HIDDEN = "suppressed"  # in the place of a number that would tell of few people
CALIBRATION_LEVEL = 0.95  # of the intervals of AMCEs and marginal means

# Okabe & Ito (2008), in an order in which neighbours differ in lightness; every series also has a
# marker of its own, so that nothing depends on colour.
PALETTE = ("#000000", "#E69F00", "#0072B2", "#56B4E9", "#D55E00", "#CC79A7", "#009E73")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
INK = "#222222"
MUTED = "#5A5A5A"
RULE = "#B8B8B8"
BAND = "#E8E8E8"
ALERT = "#A23B00"

# Of every text the first that has its characters: a sans as journals print it (Source Sans, of the package
# font-source-sans-pro), what matplotlib brings (Arabic, Hebrew and more), and Japanese, Chinese and Korean.
FAMILIES = ("Source Sans Pro", "DejaVu Sans", "Noto Sans CJK JP")

TEXT_SIZE = 8.0
LINE = TEXT_SIZE * 1.3 / 72  # height of a line of text in inches

SETTINGS: Any = {
    "font.family": list(FAMILIES),
    "font.size": TEXT_SIZE,
    "text.parse_math": False,  # a $ in a level is a dollar
    "text.usetex": False,
    "text.hinting": "no_hinting",  # the same widths at every resolution
    "text.color": INK,
    "axes.edgecolor": RULE,
    "axes.labelcolor": INK,
    "axes.labelsize": TEXT_SIZE,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.formatter.use_mathtext": False,
    "axes.formatter.useoffset": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": TEXT_SIZE - 0.5,
    "ytick.labelsize": TEXT_SIZE - 0.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "lines.linewidth": 1.0,
    "figure.dpi": 100,
    "savefig.dpi": 300,
    "savefig.facecolor": "white",
    "pdf.fonttype": 42,
    "svg.fonttype": "path",
    "svg.hashsalt": "nanotarget",
    "path.simplify": False,
}

# Nothing that changes from run to run or from version to version.
METADATA: dict[str, dict[str, Any]] = {
    "pdf": {"Creator": None, "Producer": None, "CreationDate": None, "ModDate": None},
    "svg": {"Creator": None, "Date": None},
    "png": {"Software": None},
}


ESTIMATORS = {e.value: e.label for e in Estimator if e.label != e} | {
    "dim": "Difference in means",
    "lin": "Covariate-adjusted (Lin)",
    "ancova": "Covariate-adjusted (ANCOVA)",
    "logit": "Logistic regression",
    "ordinal": "Ordinal regression",
    "mann_whitney": "Mann-Whitney",
    "ratio": "Ratio of means",
    "tost": "Equivalence test",
    "tost_lin": "Equivalence test, covariate-adjusted",
    "ipw": "Weighted",
    "aipw": "Weighted and modelled (doubly robust)",
    "lee": "Lee bounds",
    "ri": "Randomisation inference",
    "cace": "Among those reached",
    "cohen_d": "Cohen's d",
    "hedges_g": "Hedges' g",
    "proportions": "Shares (Wald)",
    "dilution": "Dilution",
    "dose": "Dose and response",
    "validation": "Predicted against observed gain",
}
POLICIES = {
    "random": "Random",
    "overall_best": "Overall best",
    "segment": "Segments",
    "nano": "Nano",
    "best_min": "Overall worst (never fielded)",
    "nano_min": "Nano worst (never fielded)",
}


QUANTITIES = {q.value: q.label for q in Quantity} | {
    "marginal_mean": "Marginal means",
    "amce": "Effects (AMCE)",
    "share better off": "Share that nano makes better off",
    "effect / share divergent": "Effect divided by the share whose petitions differ",
    "theta": "Gain at the mean prediction (theta)",
    "theta - mean predicted gain": "Theta minus the mean predicted gain",
    "theta - dividend": "Theta minus the dividend of the diagnosis",
    "lambda": "Observed gain a unit of predicted gain (lambda)",
    "lambda - 1": "Lambda minus 1",
    "mobilisation - persuasion": "Mobilisation minus persuasion",
    "overall_worst": "Overall worst (never fielded)",
    "nano_worst": "Nano worst (never fielded)",
    "overall_worst - nano_worst": "Dissuasion: overall-worst minus nano-worst",
    "dissuasion - gain": "Asymmetry: dissuasion minus gain",
    "bottom gap - top gap": "Bottom gap minus top gap",
    "ceiling below - ceiling above": "Ceiling below minus ceiling above",
}
# Texts of artefacts as people read them, by column.
LABELS = {
    "estimator": ESTIMATORS,
    "policy": POLICIES,
    "test": {
        "wald_F_HC2": "Wald F (HC2)",
        "wald_F_CR2": "Wald F (CR2)",
        "welch_oneway": "Welch's F",
        "kruskal_wallis": "Kruskal-Wallis χ²",
    },
    "sample": {"all": "Everybody", "passed": "Passed the checks"},
    "target": {"AUTOC": "Area under the targeting curve", "QINI": "Qini"},
    "covariate": {"(all)": "All together"},
    "group": {"all": "everybody", "divergent": "respondents whose petitions differ"},
    "trimming": {"fraction": "exact share", "whole": "whole people"},
}
AMCE_ESTIMATORS = {"main_effects": "Main effects", "restricted": "Restricted design"}


@dataclass(frozen=True)
class Names:
    """What things are called for people, and whether they must be called simulated.

    Attributes:
        synthetic: the data are simulated; every figure and table says so.
        ratings: calibration outcome -> label.
        outcomes: outcome of the experiment -> label, in config order.
        binary: outcomes of either sample that are 0/1.
        arms: labels of the arms of the experiment in config order, as `Labels` writes them.
        level: of the experiment's intervals (1 - alpha).
        confidence: level of the diagnosis' intervals.
        goal: what the diagnosis speaks of first: support or dissuade.
        analysed: calibration outcome that the diagnosis is about.
        unit: of it, in words.
        errors: kind of standard errors of AMCEs and marginal means.
        indifference: calibration outcome -> its mean if nobody prefers anything, where that is known.
        has: which of calibration, experiment and registration the study has.
    """

    synthetic: bool
    ratings: Mapping[str, str] = field(default_factory=dict)
    outcomes: Mapping[str, str] = field(default_factory=dict)
    binary: frozenset[str] = frozenset()
    arms: tuple[str, ...] = ()
    level: float = 0.95
    confidence: float = 0.95
    goal: str = "support"
    analysed: str = ""
    unit: str = ""
    errors: str = ""
    indifference: Mapping[str, float] = field(default_factory=dict)
    has: frozenset[str] = frozenset({"calibration", "experiment", "registration", "preferences"})

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Names:
        """Collect the names from what a rule passes on of the config.

        Args:
            settings: synthetic, has, ratings (calibration.outcomes or None), outcomes and arms (of the
                experiment, or empty), covariates, subgroups (explore), alpha (estimate), confidence and goal
                (diagnose), analysed (the calibration outcome), profiles (a task) and, but for figures, errors
                (of AMCEs).
        """
        calibration = CalibrationOutcomes.model_validate(settings["ratings"]) if settings["ratings"] else None
        outcomes = OutcomeConfig.validate_list(settings["outcomes"])
        ratings = {outcome.name: outcome.label for outcome in calibration.measured} if calibration else {}
        return cls(
            synthetic=settings["synthetic"],
            has=frozenset(settings["has"]),
            ratings=ratings,
            outcomes={outcome.name: outcome.label or outcome.name for outcome in outcomes},
            binary=frozenset(
                {o.name for o in outcomes if o.kind == "binary"}
                | {kind.name for kind in RESPONSES.values() if kind.binary}
            ),
            arms=tuple(Labels.from_settings(settings).arms.values()),
            level=1 - settings["alpha"],
            confidence=settings["confidence"],
            goal=settings["goal"],
            analysed=settings["analysed"],
            unit=RESPONSES[settings["analysed"]].unit if settings["analysed"] else "",
            errors=settings.get("errors", ""),
            indifference={
                kind.name: mean
                for kind in RESPONSES.values()
                if (mean := kind.mean_without_preferences(settings["profiles"])) is not None and mean < 1
            },
        )

    def of(self, outcome: str) -> str:
        """Return the label of an outcome of either sample; unknown ones keep their name."""
        return self.outcomes.get(outcome) or self.ratings.get(outcome) or outcome

    def times(self, outcome: str) -> float:
        """Return by what numbers of an outcome are multiplied for people: shares become percent."""
        return 100.0 if outcome in self.binary else 1.0

    def unit_of(self, outcome: str) -> str:
        """Return the unit of differences in an outcome."""
        return "percentage points" if outcome in self.binary else "points"

    def main(self, diagnostics: pd.DataFrame) -> pd.DataFrame:
        """Return the rows of diagnose/diagnostics.csv on the study's goal and everybody."""
        ours = (diagnostics["goal"] == self.goal) & (diagnostics["group"] == "all")
        return diagnostics[ours].reset_index(drop=True)


# Of estimates of one outcome: what is in its unit.
MEASURED = (
    "estimate", "std_error", "conf_low", "conf_high", "sesoi", "naive", "itt", "effect_low", "effect_high",
    "shrunken", "shrunken_low", "shrunken_high", "predicted", "predicted_low", "predicted_high", "ar_low",
    "ar_high", "bound_low", "bound_high", "mde", "mde_holm", "equivalence_margin",
)  # fmt: skip


def in_units(table: pd.DataFrame, names: Names) -> pd.DataFrame:
    """Return estimates of outcomes in the units in which people read them: percentage points of yes and no.

    Args:
        table: with the column outcome; its estimates are means, shares or differences of these.
        names: which outcomes are binary.
    """
    times = table["outcome"].map(names.times).astype("float64")
    return table.assign(**{name: table[name] * times for name in MEASURED if name in table})


def decimals(errors: Iterable[float]) -> int:
    """Return how many decimals show two significant digits of the median standard error."""
    found = [abs(e) for e in errors if e is not None and math.isfinite(e) and e != 0]
    return 3 if not found else max(0, min(5, 1 - math.floor(math.log10(statistics.median(found)))))


def decimals_of_bounds(low: Iterable[float], high: Iterable[float]) -> int:
    """Return the decimals of estimates with one-sided 95% bounds, which are 2 x 1.645 errors apart."""
    return decimals((upper - lower) / 3.29 for lower, upper in zip(low, high, strict=True))


def number(value: Any, places: int = 3) -> str:
    """Write a number for people with a real minus sign; missing becomes an en dash."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, str | bool):
        return str(value)
    if isinstance(value, float) and math.isinf(value):
        return "∞" if value > 0 else "−∞"
    text = f"{value:,.{places}f}"
    if text.startswith("-"):
        text = text.removeprefix("-") if not text.strip("-0.,") else "−" + text[1:]
    return text


def count(value: Any) -> str:
    """Write a whole number with thousands separators."""
    return number(value, 0)


def people(value: Any) -> str:
    """Write how many people there are, or that it is not published."""
    return HIDDEN if pd.isna(value) else count(int(value))


def percent(share: float) -> str:
    """Write a share as a percentage without needless decimals: 0.95 becomes "95%"."""
    return f"{100 * share:.4g}%"


def whole_percent(share: float) -> str:
    """Write a share in whole percent: "62%", "<1%"."""
    if math.isnan(share):
        return "–"
    return "<1%" if 0 < share < 0.005 else f"{100 * share:.0f}%"


def interval(low: Any, high: Any, places: int = 3) -> str:
    """Write an interval: "[−0.050, 0.026]"."""
    ends = (number(low, places), number(high, places))
    return "–" if ends == ("–", "–") else f"[{ends[0]}, {ends[1]}]"


def p_value(value: Any) -> str:
    """Write a p value with three decimals; smaller ones as "<0.001"."""
    return "<0.001" if isinstance(value, float) and value < 0.001 else number(value, 3)


def estimate_text(row: Mapping[str, Any], places: int) -> str:
    """Write "estimate [low, high]" with a fixed number of decimals."""
    estimate = number(row["estimate"], places)
    bounds = interval(row["conf_low"], row["conf_high"], places)
    return estimate if bounds == "–" else f"{estimate} {bounds}"


def difference(contrast: str, labels: Mapping[str, str] | None = None) -> str:
    """Write "a - b" for people: with a real minus sign and labels instead of names."""
    return " − ".join((labels or {}).get(part, part) for part in contrast.split(" - "))


def quantity(text: str) -> str:
    """Write a quantity of the diagnosis for people; what follows ": " is data and stays as it is."""
    name, colon, attribute = text.partition(": ")
    if name in QUANTITIES:
        label = QUANTITIES[name]
    elif name in POLICIES or " - " in name:
        label = difference(name, POLICIES)
    else:
        label = name[:1].upper() + name[1:].replace(" x ", " × ")
    return label + colon + attribute


def looks_at(ladder: pd.DataFrame) -> list[str]:
    """Say what each rung of diagnose/ladder.csv looks at: "5 covariates and own answers"."""
    return [
        f"{count(n)} covariate{'s' if n != 1 else ''}"
        + (" and own answers" if "own answers" in information else "")
        for n, information in zip(ladder["n_covariates"], ladder["information"], strict=True)
    ]


@contextmanager
def drawing() -> Iterator[None]:
    """Apply the theme while figures are made, whatever the user's matplotlib settings are."""
    import matplotlib

    _register_fonts()
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(SETTINGS)
        yield


@cache
def _register_fonts() -> None:
    """Tell matplotlib of the fonts that come with the dependencies, once a process.

    They stand before those of the machine, whose fonts of the same name may have other shapes.
    """
    from importlib.resources import files

    from matplotlib.font_manager import fontManager

    for package, file, weights in FONT_FILES:
        fontManager.addfont(str(files(package) / file))
        entry = fontManager.ttflist.pop()
        fontManager.ttflist[:0] = [replace(entry, weight=weight) for weight in weights]


# Of the fallback there is one weight: bold texts take it, too.
FONT_FILES = (
    ("font_source_sans_pro", "files/SourceSansPro-Regular.ttf", (400,)),
    ("font_source_sans_pro", "files/SourceSansPro-Bold.ttf", (700,)),
    ("noto_cjk_sans_jp_regular", "NotoSansCJKjp-Regular.otf", (400, 700)),
)


@cache
def _font(bold: bool, size: float) -> Any:
    from matplotlib.font_manager import FontProperties

    _register_fonts()
    return FontProperties(family=list(FAMILIES), weight="bold" if bold else "normal", size=size)


@cache
def text_width(text: str, size: float = TEXT_SIZE, bold: bool = False) -> float:
    """Return the width of one line of text in inches."""
    import warnings

    from matplotlib.textpath import TextToPath

    with warnings.catch_warnings():  # `save` says once which characters have no glyph
        warnings.simplefilter("ignore")
        width, _, _ = TextToPath().get_text_width_height_descent(text or " ", _font(bold, size), ismath=False)
    return float(width) / 72


def wrap(text: str, width: float, size: float = TEXT_SIZE, bold: bool = False) -> list[str]:
    """Break text into lines of at most `width` inches, at spaces if possible, inside words if not."""
    lines: list[str] = []
    line = ""
    for word in str(text).split():
        candidate = f"{line} {word}" if line else word
        if text_width(candidate, size, bold) <= width:
            line = candidate
            continue
        if line:
            lines.append(line)
        line = word
        while text_width(line, size, bold) > width and len(line) > 1:
            fit = next(
                (k for k in range(len(line) - 1, 0, -1) if text_width(line[:k], size, bold) <= width), 1
            )
            lines.append(line[:fit])
            line = line[fit:]
    return [*lines, line] if line or not lines else lines


@cache
def _characters(family: str) -> frozenset[str]:
    from matplotlib.font_manager import findfont, get_font

    _register_fonts()
    return frozenset(map(chr, get_font(findfont(family)).get_charmap()))


def without_glyph(texts: Iterable[str]) -> list[str]:
    """Return the characters of texts for which the theme's fonts have no glyph, sorted."""
    lacking = {c for text in texts for c in text if not c.isspace()}
    for family in FAMILIES:
        lacking -= _characters(family) if lacking else set()
    return sorted(lacking)


def save(figure: Figure, stem: str | Path, description: str = "") -> None:
    """Write <stem>.pdf, .svg and .png (300 dpi) with the same bytes on every run.

    The SVG holds its alternative text (`described`).

    A figure with characters that all fonts of the theme lack (of Devanagari or Thai, say) keeps its SVG
    text as text, so that the reader's own fonts show it; PDF and PNG show boxes there. The log says so,
    and so does the SVG (`boxes`).
    """
    lacking = _lacking(figure)
    if lacking:
        logging.getLogger(__name__).warning(
            "%s: no glyph for %s; the PDF and PNG show boxes, the SVG uses the reader's fonts",
            Path(stem).name,
            "".join(lacking),
        )
    with drawing(), _glyphs(lacking):
        for suffix in FORMATS:
            with replacing(f"{stem}.{suffix}") as temporary:
                figure.savefig(temporary, format=suffix, metadata=_metadata(suffix, description, lacking))


def svg(figure: Figure, description: str = "") -> str:
    """Return the SVG that `save` writes, as text."""
    buffer = io.BytesIO()
    lacking = _lacking(figure)
    with drawing(), _glyphs(lacking):
        figure.savefig(buffer, format="svg", metadata=_metadata("svg", description, lacking))
    return buffer.getvalue().decode("utf-8")


def _metadata(suffix: str, description: str, lacking: Sequence[str]) -> dict[str, Any]:
    said = {"Description": description, "Coverage": "".join(lacking)} if suffix == "svg" else {}
    return METADATA[suffix] | {name: text for name, text in said.items() if text}


def described(svg: str) -> str:
    """Return the alternative text that `save` left in an SVG, empty if there is none."""
    return _said(svg, "description")


def boxes(svg: str) -> str:
    """Return the characters that PDF and PNG beside an SVG show as boxes, empty if there are none."""
    return _said(svg, "coverage")


def told_of_boxes(svg: str) -> str:
    """Return the sentence that warns of the characters that PDF and PNG show as boxes, or nothing."""
    lacking = boxes(svg)
    return (
        f"The PDF and PNG of this figure show boxes for {lacking}, of which no font here has the shape; the "
        "SVG and this page use your own fonts."
        if lacking
        else ""
    )


def _said(svg: str, name: str) -> str:
    found = re.search(rf"<dc:{name}>(.*?)</dc:{name}>", svg, re.DOTALL)
    return html.unescape(found[1]) if found else ""


def _lacking(figure: Figure) -> list[str]:
    """Characters in the texts of a figure for which there is no glyph."""
    from matplotlib.text import Text

    return without_glyph(artist.get_text() for artist in figure.findobj(Text))


@contextmanager
def _glyphs(lacking: Sequence[str]) -> Iterator[None]:
    """Keep SVG text as text where glyphs are lacking; `save` has said which."""
    import warnings

    import matplotlib

    with warnings.catch_warnings():
        if lacking:
            matplotlib.rcParams["svg.fonttype"] = "none"
            warnings.filterwarnings("ignore", message="Glyph .* missing")
        yield
