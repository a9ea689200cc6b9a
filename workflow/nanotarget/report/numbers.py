r"""Every number that a paper quotes, as a LaTeX macro: \ntMainEstimate, \ntVerdict, ...

Which macros there are follows from the config alone (arms, outcomes), never from what was estimated, so that
a paper compiles whatever stages the study has and whatever could not be estimated. Numbers are the very
cells of the tables, rounded there. docs/numbers.md lists the macros.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from nanotarget.clean.flow import OBSERVED
from nanotarget.diagnose.quantities import DIAGNOSTICS, Quantity
from nanotarget.estimate import pairs
from nanotarget.report import theme
from nanotarget.report.tables import SIMULATED_NOTE, latex
from nanotarget.report.tables.diagnose import ceilings, headlines
from nanotarget.report.tables.estimate import of_contrast
from nanotarget.report.tables.parts import decimals, estimates, share
from nanotarget.report.theme import Names
from nanotarget.study.preregistration import contrast_name

DIGITS = ("Zero", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine")


@dataclass(frozen=True)
class Number:
    """A quoted number.

    Attributes:
        macro: its name without backslash, letters only.
        text: as it is printed, not escaped; empty where it is missing.
        meaning: what it is.
        why: why it is missing.
    """

    macro: str
    text: str
    meaning: str
    why: str = ""


@dataclass(frozen=True)
class Kind:
    """Estimates of one artefact that are quoted by outcome and contrast.

    Attributes:
        word: part of the macros' names.
        source: stem of the artefact.
        meaning: what they are.
        where: column -> value, the rows among several of an outcome and contrast.
        more: field -> (column, meaning), beside those of `FIELDS`.
    """

    word: str
    source: str
    meaning: str
    where: Mapping[str, str] = field(default_factory=dict)
    more: Mapping[str, tuple[str, str]] = field(default_factory=dict)


WHY_HIDDEN = "suppressed: too few people to publish, or needed to hide others"
FIELDS = {
    "Estimate": "estimate",
    "Low": "lower end of its interval",
    "High": "upper end of its interval",
    "Interval": "interval",
    "P": "p value",
    "N": "respondents",
}
HOLM = {"Holm": ("p_adjusted", "p value, adjusted (Holm)")}
KINDS = (
    Kind("Effect", "effects", "difference in means", {"estimator": "dim"}, HOLM),
    Kind("Adjusted", "effects", "covariate-adjusted difference (Lin)", {"estimator": "lin"}, HOLM),
    Kind("Redrawn", "randomization_inference", "difference by randomisation inference", more=HOLM),
    Kind(
        "Equivalence",
        "equivalence",
        "equivalence test",
        {"estimator": "tost"},
        {"Bound": ("sesoi", "smallest effect of interest"), "Verdict": ("verdict", "verdict")},
    ),
    Kind("Weighted", "ipw", "difference weighted for attrition", {"estimator": "ipw"}, HOLM),
    Kind(
        "DoublyRobust", "ipw", "difference weighted and modelled for attrition", {"estimator": "aipw"}, HOLM
    ),
    Kind("LeeLower", "lee_bounds", "lower Lee bound", {"trimming": "fraction", "bound": "lower"}),
    Kind("LeeUpper", "lee_bounds", "upper Lee bound", {"trimming": "fraction", "bound": "upper"}),
    Kind("Reached", "cace", "effect on those reached", more=HOLM),
)
# Quantities of the diagnosis by the words of their macros.
QUANTITIES = {
    "SmallestGain": Quantity.SMALLEST_GAIN,
    "PersonByMessage": Quantity.PERSON_BY_MESSAGE,
    "InteractionShare": Quantity.INTERACTION_SHARE,
    "CalibrationSlope": Quantity.SLOPE,
    "PredictableVariance": Quantity.PREDICTABLE_VARIANCE,
    "CrossHalfGain": Quantity.CROSS_HALF_GAIN,
    "ShareDivergent": Quantity.SHARE_DIVERGENT,
    "NanoOverBest": Quantity.GAIN,
    "NanoOverRandom": Quantity.NANO_OVER_RANDOM,
    "BestOverRandom": Quantity.BEST_OVER_RANDOM,
}
VALIDATION = {
    "ShareDivergent": ("dilution", "share divergent", "all"),
    "EffectOnDivergent": ("dilution", "effect", "divergent"),
    "EffectOnOthers": ("dilution", "effect", "others"),
    "EffectOverShare": ("dilution", "effect / share divergent", "divergent"),
    "EffectPerAttribute": ("dose", "effect per attribute", "all"),
    "Theta": ("validation", "theta", "all"),
    "Lambda": ("validation", "lambda", "all"),
}
DISSUASION = {
    "Gain": Quantity.GAIN,
    "Loss": "overall_worst - nano_worst",
    "Asymmetry": "dissuasion - gain",
}
MOBILISATION = {
    "Base": "mobilisation",
    "Others": "persuasion",
    "BaseOverOthers": "mobilisation - persuasion",
}
MEASURES = {
    "Gap": "gap",
    "Variance": "variance",
    "LowestFifth": "share in the lowest fifth",
    "HighestFifth": "share in the highest fifth",
}
GAP = {
    "Nano": "nano",
    "Best": "overall_best",
    "Worst": "overall_worst",
    "NanoWorst": "nano_worst",
    "NanoOverBest": "nano - overall_best",
    "NanoWorstOverWorst": "nano_worst - overall_worst",
}
POLICIES = ("random", "segment", "nano")

Cells = dict[str, str]


def build(
    sources: Mapping[str, pd.DataFrame], names: Names, verdict: Mapping[str, Any] | None = None
) -> list[Number]:
    """Collect the numbers of a study.

    Args:
        sources: stem of an artefact -> tidy table, as for `tables.build`; any may be absent.
        names: arms and outcomes give the macros.
        verdict: diagnose/verdict.json.

    Returns:
        Numbers with different macros, in an order that depends on `names` alone.
    """
    sources = _as_read(sources, names)
    found = [
        *_people(sources, names),
        *_verdict(verdict),
        *_diagnosis(sources, names),
        *_experiment(sources, names),
        *_validation(sources, names),
        *_dissuasion(sources, names),
        *_compared(sources, names, "mobilisation", "Mobilisation", MOBILISATION),
        *_compared(sources, names, "polarisation", "Polarisation", MEASURES),
        *_gap(sources, names),
        *_deviations(sources),
    ]
    macros = distinct([number.macro for number in found])
    return [
        Number(macro, number.text, number.meaning, number.why)
        for macro, number in zip(macros, found, strict=True)
    ]


# Artefacts by outcome whose estimates are differences in means or shares.
DIFFERENCES = (
    "effects", "randomization_inference", "equivalence", "ipw", "lee_bounds", "cace", "mobilisation",
    "polarisation", "validation",
)  # fmt: skip
UNITLESS = ("share divergent", "lambda", "lambda - 1")  # quantities among them that are not


def _as_read(sources: Mapping[str, pd.DataFrame], names: Names) -> dict[str, pd.DataFrame]:
    """Return tables in the units of the paper's tables, with the respondents of the two arms as n."""
    read = dict(sources)
    for name in DIFFERENCES:
        table = read.get(name)
        if table is None:
            continue
        if name in ("effects", "equivalence") and "outcomes" in read:
            table = of_contrast(table, read["outcomes"])
        whole = theme.in_units(table, names)
        bare = table["quantity"].isin(UNITLESS) if "quantity" in table else pd.Series(False, table.index)
        read[name] = whole.where(~bare, table)
    return read


def distinct(words: Sequence[str]) -> list[str]:
    """Tell equal or empty words apart by a letter for their place: X, X becomes XA, XB."""
    times = Counter(words)
    told = [f"{word}{_letters(i)}" if times[word] > 1 or not word else word for i, word in enumerate(words)]
    return told if len(set(told)) == len(told) else distinct(told)


def _letters(i: int) -> str:
    return (_letters(i // 26 - 1) if i >= 26 else "") + chr(ord("A") + i % 26)


def words(names: Iterable[str]) -> dict[str, str]:
    """Turn names into parts of macros, all different: arm_2 becomes ArmTwo, what has no letter one letter."""
    names = list(names)
    made = []
    for name in names:
        plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode("ascii")
        spelled = re.sub(r"\d", lambda digit: f" {DIGITS[int(digit[0])]} ", plain)
        made.append("".join(part[0].upper() + part[1:] for part in re.findall("[A-Za-z]+", spelled)))
    return dict(zip(names, distinct(made), strict=True))


def _quoted(macro: str, texts: Cells | str, fields: Mapping[str, str], meaning: str) -> Iterator[Number]:
    """Yield a number a field; `texts` are its cells, or why there are none."""
    for name, what in fields.items():
        about = f"{meaning}: {what}"
        if isinstance(texts, str):
            yield Number(macro + name, "", about, texts)
        else:
            text = texts.get(name, "")
            text = "" if text in ("–", theme.HIDDEN) else text
            yield Number(
                macro + name, text, about, "" if text else texts.get("why") or "there is none in the artefact"
            )


def _rows(table: pd.DataFrame, level: float, more: Mapping[str, str]) -> list[Cells]:
    """Return the cells of every row by field.

    Args:
        table: with estimate, std_error, conf_low, conf_high, p_value and n; its rows are rounded alike.
        level: of the intervals.
        more: field -> column, beside `FIELDS`.
    """
    same = [""] * len(table)
    places = decimals(table, same)
    shown = estimates(table, same, level)
    rows = []
    for i, record in enumerate(table.to_dict("records")):
        cells = {
            "Estimate": shown[0].cells[i],
            "Low": theme.number(record["conf_low"], places[i]),
            "High": theme.number(record["conf_high"], places[i]),
            "Interval": shown[1].cells[i],
            "P": theme.p_value(record["p_value"]),
            "N": theme.count(None if pd.isna(record["n"]) else record["n"]),
        }
        for name, column in more.items():
            cells[name] = _cell(record[column], column)
        note = record.get("note")
        cells["why"] = note if isinstance(note, str) else ""
        if record.get("suppressed") is True:
            cells["why"] = WHY_HIDDEN
        rows.append(cells)
    return rows


def _cell(value: Any, column: str) -> str:
    if isinstance(value, str):
        return value
    return theme.p_value(value) if column.startswith("p_") else theme.number(value, theme.decimals([value]))


def _found(
    sources: Mapping[str, pd.DataFrame],
    source: str,
    where: Mapping[str, str],
    alike: Sequence[str],
    level: float,
    more: Mapping[str, str],
) -> Cells | str:
    """Return the cells of the first row where columns have these values, or why there are none.

    Args:
        sources: tidy tables with a plain index.
        source: stem of the artefact.
        where: column -> value.
        alike: columns in which rows agree that are rounded alike, as in the table that shows them.
        level, more: as in `_rows`.
    """
    if source not in sources:
        return f"the study has no {source}.csv"
    texts = sources[source].astype(dict.fromkeys({*where, *alike}, "str"))
    hit = pd.Series(True, index=texts.index)
    for column, value in where.items():
        hit &= texts[column].eq(value)
    if not hit.any():
        return f"no such row in {source}.csv"
    row = texts.loc[hit.idxmax()]
    rounded = (texts[list(alike)] == row[list(alike)]).all(axis=1)
    place = int(rounded.loc[: hit.idxmax()].sum()) - 1
    return _rows(sources[source][rounded], level, more)[place]


def _people(sources: Mapping[str, pd.DataFrame], names: Names) -> Iterator[Number]:
    for sample in ("calibration", "experiment"):
        arms = {"": "all"} | (
            {f"In{word}": arm for arm, word in words(names.arms).items()} if sample == "experiment" else {}
        )
        for word, arm in arms.items():
            texts: Cells | str = "the study has no flow.csv"
            if "flow" in sources:
                table = sources["flow"]
                table = table[table["sample"].eq(sample) & table["arm"].eq(arm) & table["step"].ne(OBSERVED)]
                texts = "no such row in flow.csv"
                if len(table):
                    ends = table["n_before"].iloc[0], table["n_after"].iloc[-1]
                    texts = dict(zip(("Recorded", "Kept"), map(theme.people, ends), strict=True)) | {
                        "why": WHY_HIDDEN
                    }
            who = f"people of the {sample}" + (f", arm {arm}" if word else "")
            what = {"Recorded": "recorded", "Kept": "kept after exclusions"}
            yield from _quoted(f"{sample.capitalize()}{word}", texts, what, who)


def _verdict(verdict: Mapping[str, Any] | None) -> Iterator[Number]:
    what = {"Overall": "overall", "Binding": "the stage that binds"}
    texts: Cells | str = "the study has no diagnosis"
    if verdict is not None:
        texts = {"Overall": verdict["overall"], "Binding": verdict["binding"] or ""}
    yield from _quoted("Verdict", texts, what, "verdict of the diagnosis")


def _diagnosis(sources: Mapping[str, pd.DataFrame], names: Names) -> Iterator[Number]:
    shown: dict[str, pd.DataFrame] = {}
    if "diagnostics" in sources:
        rows = headlines(sources["diagnostics"], names)
        # Of several estimators of a quantity the deciding one, or the first.
        order = rows["verdict"].isna().sort_values(kind="stable").index
        shown = {"diagnostics": rows.loc[order].reset_index(drop=True)}
    for word, quantity in QUANTITIES.items():
        cells = _found(shown, "diagnostics", {"quantity": quantity}, ["quantity"], names.confidence, {})
        yield from _quoted(f"Diagnosis{word}", cells, FIELDS, quantity.label)
    what = {
        "Ceiling": "gain that it leaves possible",
        "Bounds": "one-sided bounds of it",
        "Verdict": "verdict",
    }
    for stage in DIAGNOSTICS:
        texts: Cells | str = "the study has no diagnostics.csv"
        if shown:
            texts = "the stage has no verdict"
            table = shown["diagnostics"]
            hits = (table["diagnostic"].eq(stage) & table["verdict"].notna()).to_numpy()
            if hits.any():
                i = int(hits.argmax())
                columns = [column.cells[i] for column in ceilings(table)]
                texts = dict(zip(what, [*columns, str(table["verdict"][i])], strict=True))
        yield from _quoted(f"Stage{stage.capitalize()}", texts, what, f"{stage} of the diagnosis")
    texts = "the study has no audit.csv"
    if "audit" in sources:
        table = sources["audit"]
        texts = "no arm of the study has the policy nano"
        rows = table[table["policy"].eq("nano")]
        if len(rows):
            numbers = rows[["possible", "distinct_fielded"]].iloc[0]
            texts = dict(zip(("Possible", "Fielded"), map(theme.count, numbers), strict=True))
    what = {"Possible": "possible", "Fielded": "distinct ones that nano's arm was shown"}
    yield from _quoted("Petitions", texts, what, "petitions")
    for policy, word in words(POLICIES).items():
        texts = "the study has no petitions.csv"
        if "petitions" in sources:
            rows = sources["petitions"].query("policy == @policy")
            texts = f"the study has no policy {policy}"
            if len(rows):
                texts = {"Petitions": theme.count(rows["petitions"].sum())}
        yield from _quoted(word, texts, {"Petitions": "distinct petitions assigned"}, f"policy {policy}")


def _experiment(sources: Mapping[str, pd.DataFrame], names: Names) -> Iterator[Number]:
    outcomes, arms = words(names.outcomes), words(names.arms)
    compared = pairs(names.arms)
    for kind in KINDS:
        what = FIELDS | {name: meaning for name, (_, meaning) in kind.more.items()}
        more = {name: column for name, (column, _) in kind.more.items()}
        level = 2 * names.level - 1 if kind.source == "equivalence" else names.level

        def cells(outcome: str, pair: tuple[str, str], kind: Kind = kind, more: Any = more) -> Cells | str:
            where = {"outcome": outcome, "contrast": contrast_name(*pair), **kind.where}
            return _found(sources, kind.source, where, ["outcome"], names.level, more)

        if kind.source in ("effects", "equivalence", "randomization_inference"):
            main: Cells | str = "the study has no two arms or no outcome"
            if outcomes and compared:
                main = cells(next(iter(outcomes)), compared[-1])
            word = kind.word.removesuffix("Effect")
            about = f"first outcome, last arm against the one before it, {kind.meaning}"
            yield from _quoted(f"Main{word}", main, what, about)
        for outcome, outcome_word in outcomes.items():
            for pair in compared:
                macro = f"{kind.word}{arms[pair[0]]}Against{arms[pair[1]]}On{outcome_word}"
                about = f"{theme.difference(contrast_name(*pair))} on {outcome}, {kind.meaning}"
                if level != names.level:
                    about += f" ({theme.percent(level)} interval)"
                yield from _quoted(macro, cells(outcome, pair), what, about)
    for outcome, outcome_word in outcomes.items():
        for arm, arm_word in arms.items():
            yield from _quoted(
                f"Missing{arm_word}On{outcome_word}",
                _missing(sources, outcome, arm),
                {"N": "respondents", "Share": "share"},
                f"without {outcome} in arm {arm}",
            )


def _missing(sources: Mapping[str, pd.DataFrame], outcome: str, arm: str) -> Cells | str:
    if "attrition" not in sources:
        return "the study has no attrition.csv"
    table = sources["attrition"]
    row = table[table["outcome"].eq(outcome) & table["arm"].eq(arm)]
    if row.empty:
        return "no such row in attrition.csv"
    n = row["n_missing"].iloc[0]
    shown = {"N": theme.people(n), "Share": share(row["attrition"].iloc[0])}
    return shown | ({"why": WHY_HIDDEN} if pd.isna(n) else {})


def _validation(sources: Mapping[str, pd.DataFrame], names: Names) -> Iterator[Number]:
    for outcome, outcome_word in words(names.outcomes).items():
        for word, (estimator, quantity, group) in VALIDATION.items():
            where = {"outcome": outcome, "estimator": estimator, "quantity": quantity, "group": group}
            alike = ["outcome", "estimator", "quantity"]
            cells = _found(sources, "validation", where, alike, names.level, {})
            about = f"{theme.quantity(quantity)}, {group}, on {outcome} (nano against overall-best)"
            yield from _quoted(f"Validation{word}On{outcome_word}", cells, FIELDS, about)


def _dissuasion(sources: Mapping[str, pd.DataFrame], names: Names) -> Iterator[Number]:
    for word, quantity in DISSUASION.items():
        where = {"group": "all", "quantity": quantity}
        cells = _found(sources, "dissuasion", where, ["group", "quantity"], names.confidence, {})
        yield from _quoted(f"Dissuasion{word}", cells, FIELDS, theme.quantity(quantity))


def _compared(
    sources: Mapping[str, pd.DataFrame], names: Names, source: str, macro: str, quantities: Mapping[str, str]
) -> Iterator[Number]:
    """Yield quantities of a table by outcome and contrast."""
    outcomes, arms = words(names.outcomes), words(names.arms)
    for outcome, outcome_word in outcomes.items():
        for later, earlier in pairs(names.arms):
            for word, quantity in quantities.items():
                where = {"outcome": outcome, "contrast": contrast_name(later, earlier), "quantity": quantity}
                cells = _found(sources, source, where, ["outcome", "quantity"], names.level, {})
                about = f"{theme.difference(where['contrast'])} on {outcome}, {theme.quantity(quantity)}"
                full = f"{macro}{word}{arms[later]}Against{arms[earlier]}On{outcome_word}"
                yield from _quoted(full, cells, FIELDS, about)


def _gap(sources: Mapping[str, pd.DataFrame], names: Names) -> Iterator[Number]:
    for word, quantity in GAP.items():
        cells = _found(sources, "gap", {"quantity": quantity}, ["quantity"], names.confidence, {})
        about = f"gap between base and opposed in the calibration, {theme.quantity(quantity)}"
        yield from _quoted(f"Gap{word}", cells, FIELDS, about)


def _deviations(sources: Mapping[str, pd.DataFrame]) -> Iterator[Number]:
    texts: Cells | str = "the study has no deviations.csv"
    if "deviations" in sources:
        texts = {"Count": theme.count(len(sources["deviations"]))}
    yield from _quoted("Deviations", texts, {"Count": "number"}, "deviations from the pre-registration")


MARK = r"\textsuperscript{s}"


def as_latex(numbers: Sequence[Number], names: Names, title: str) -> str:
    r"""Return numbers.tex: a macro \nt<name> a number.

    Args:
        numbers: from `build`.
        names: whether data are simulated; then every number carries the mark \ntSynthetic.
        title: of the study.
    """
    synthetic = names.synthetic
    head = f"{SIMULATED_NOTE} Every number carries the mark \\ntSynthetic." if synthetic else "Measured data."
    lines = [
        "% Numbers of the study, made by the workflow: do not edit. docs/numbers.md explains them.",
        f"% {head}",
        _macro("Synthetic", MARK if synthetic else ""),
        _macro("SyntheticNote", _note() if synthetic else ""),
        _macro("Missing", r"\textemdash"),
        _macro("Title", latex(title)),
        *(_macro(name, latex(text) or MISSING) for name, text in _main_words(names).items()),
    ]
    for number in numbers:
        if number.text:
            lines.append(_macro(number.macro, latex(number.text) + (r"\ntSynthetic" if synthetic else "")))
        else:
            lines.append(f"{_macro(number.macro, MISSING)} % {' '.join(number.why.split())}")
    return "\n".join([*lines, ""])


MISSING = r"\ntMissing"


def _macro(name: str, content: str) -> str:
    return rf"\newcommand{{\nt{name}}}{{{content}}}"


def _note() -> str:
    return rf"Numbers marked {MARK} are of simulated data, {latex(SIMULATED_NOTE.split(': ', 1)[1])}"


def _main_words(names: Names) -> dict[str, str]:
    compared = pairs(names.arms)
    return {
        "MainOutcome": next(iter(names.outcomes.values()), ""),
        "MainContrast": theme.difference(contrast_name(*compared[-1])) if compared else "",
    }


def documentation() -> str:
    """Return docs/numbers.md: every macro with its meaning, of a study with two arms and one outcome."""
    names = Names(synthetic=False, outcomes={"outcome": "outcome"}, arms=("earlier", "later"))
    fixed = {
        "Synthetic": "mark of simulated data, empty for measured ones",
        "SyntheticNote": "a sentence that explains the mark, or empty",
        "Missing": "what is printed for a number that is missing",
        "Title": "title of the study",
        "MainOutcome": "label of the first outcome",
        "MainContrast": "last arm less the one before it",
    }
    rows = [*fixed.items(), *((number.macro, number.meaning) for number in build({}, names))]
    lines = [
        "# Numbers for the paper",
        "",
        "`results/<study>/numbers.tex` defines a LaTeX macro for every number that a paper quotes; "
        "`results/<study>/paper.tex` shows how they are used. This page is generated (`make docs`).",
        "",
        "- Numbers are the cells of the paper's tables: rounded once, by the size of their errors; "
        "differences in outcomes of yes and no in percentage points.",
        "- Which macros exist depends on the arms and outcomes of the config alone. A missing number prints "
        "`\\ntMissing`, and the comment beside its definition says why.",
        "- Numbers of simulated data carry `\\ntSynthetic`, a raised s; `\\ntSyntheticNote` explains it.",
        "- Names have letters only: `Later`, `Earlier` and `Outcome` stand for arms and outcomes of the "
        "config, `arm_2` becomes `ArmTwo`. Equal names, and those without a Latin letter, get a letter for "
        "their place.",
        "",
        "| macro | meaning |",
        "|---|---|",
        *(rf"| `\nt{macro}` | {meaning} |" for macro, meaning in rows),
        "",
    ]
    return "\n".join(lines)
