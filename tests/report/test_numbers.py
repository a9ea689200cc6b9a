"""Numbers of the paper: names that hold, cells of the tables, no undefined macro; the paper compiles."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import replace
from functools import cache
from pathlib import Path

import pandas as pd
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

import report_tables as fake
from nanotarget.report import catalogue, figures, numbers, paper, tables, theme
from nanotarget.study import artefacts, preregistration
from nanotarget.study.config import Study

NAMES = theme.Names(
    True,
    {"rating": "Rating"},
    {"sign": "Signed <b>it</b> & 50%", "support": fake.JAPANESE},
    frozenset({"sign"}),
    fake.ARMS,
)
SOURCES = fake.Later(fake.sources)
FOUND = fake.Later(lambda: {number.macro: number for number in numbers.build(SOURCES, NAMES, fake.verdict())})
MADE = fake.Later(lambda: fake.tabulated(SOURCES, NAMES))
ENGINES = [engine for engine in ("pdflatex", "xelatex") if shutil.which(engine)]


@cache
def tex() -> str:
    return numbers.as_latex(list(FOUND.values()), NAMES, fake.NASTY)


def defined(source: str) -> dict[str, str]:
    """Macro -> content of every definition, one a line."""
    return dict(re.findall(r"^\\newcommand\{\\(nt[A-Za-z]+)\}\{(.*)\}(?: % .*)?$", source, re.MULTILINE))


def cells(name: str) -> dict[str, list[str]]:
    return {column.label: list(column.cells) for column in MADE[name].columns}


def test_every_line_defines_one_macro_of_letters():
    lines = [line for line in tex().splitlines() if not line.startswith("%")]
    assert len(defined(tex())) == len(lines) == len(FOUND) + 6
    assert all(re.fullmatch("[A-Za-z]+", macro) for macro in FOUND)


def test_numbers_are_the_cells_of_the_tables():
    effects = MADE["effects_by_outcome"]
    start = list(effects.groups).index("nano − best")
    own = dict(zip(effects.columns[0].cells[start:], effects.columns[1].cells[start:], strict=True))
    for prefix in ("Main", "EffectNanoAgainstBestOnSign"):
        found = {
            field: FOUND[f"{prefix}{field}"].text for field in ("Estimate", "Interval", "P", "Holm", "N")
        }
        assert found["Estimate"] == own["Difference in means"] and found["N"] == "194"
        first = effects.columns[1].cells[start : start + 7]
        assert [found["Interval"], found["P"], found["Holm"]] == first[2:5]
    diagnosis = cells("diagnostics")
    heterogeneity = diagnosis["Quantity"].index("Person × message variance (decides)")
    assert FOUND["StageHeterogeneityCeiling"].text == diagnosis["Ceiling on the gain"][heterogeneity]
    assert FOUND["DiagnosisPersonByMessageEstimate"].text == diagnosis["Estimate"][heterogeneity]
    assert FOUND["StageHeterogeneityVerdict"].text == "INCONCLUSIVE"
    bounds = cells("lee_bounds")["Bounds"][5]
    ends = (FOUND[f"Lee{end}NanoAgainstBestOnSupportEstimate"].text for end in ("Lower", "Upper"))
    assert bounds == f"[{', '.join(ends)}]"


def test_every_row_is_its_own():
    table = SOURCES["effects"]
    for outcome, word in (("sign", "Sign"), ("support", "Support")):
        for contrast in fake.CONTRASTS:
            later, earlier = (part.capitalize() for part in contrast.split(" - "))
            for kind, estimator in (("Effect", "dim"), ("Adjusted", "lin")):
                key = (table["outcome"] == outcome) & (table["contrast"] == contrast)
                value = table[key & (table["estimator"] == estimator)]["estimate"].iloc[0]
                text = FOUND[f"{kind}{later}Against{earlier}On{word}Estimate"].text
                times = NAMES.times(outcome)  # percentage points of yes and no
                assert float(text.replace("−", "-")) == pytest.approx(value * times, abs=0.0005 * times)


def test_people_are_counted_from_the_flow():
    assert FOUND["ExperimentRecorded"].text == "3,300" and FOUND["ExperimentKept"].text == "3,113"
    assert FOUND["ExperimentInNanoKept"].text == "1,037" and FOUND["CalibrationKept"].text == "1,500"
    assert FOUND["NanoPetitions"].text == "4"
    flow = fake.flow()
    last = flow[flow["sample"] == "experiment"].groupby("arm", sort=False).tail(1)
    observed = last.assign(step=numbers.OBSERVED, n_after=7)
    found = numbers.build({"flow": pd.concat([flow, observed], ignore_index=True)}, NAMES)
    assert next(n for n in found if n.macro == "ExperimentKept").text == "3,113"


def test_a_missing_number_prints_a_dash_and_says_why():
    lines = {line.split("}")[0]: line for line in tex().splitlines()}
    missing = lines[r"\newcommand{\ntWeightedNanoAgainstControlOnSignEstimate"]
    assert missing.startswith(r"\newcommand{\ntWeightedNanoAgainstControlOnSignEstimate}{\ntMissing} % ")
    assert fake.NASTY in missing  # the note of the artefact
    assert all(number.text or number.why for number in FOUND.values())


def test_suppressed_numbers_say_so():
    table = fake.validation()
    table.loc[table["quantity"] == "theta", ["estimate", "conf_low", "conf_high", "suppressed"]] = [
        float("nan"), float("nan"), float("nan"), True,
    ]  # fmt: skip
    found = {n.macro: n for n in numbers.build({"validation": table}, NAMES)}
    theta = found["ValidationThetaOnSignEstimate"]
    assert not theta.text and theta.why.startswith("suppressed")


@pytest.mark.parametrize("present", [[], ["flow"], ["flow", "effects"], ["diagnostics"], "all"])
def test_which_macros_there_are_depends_on_the_config_alone(present):
    some = {name: SOURCES[name] for name in (SOURCES if present == "all" else present)}
    assert [number.macro for number in numbers.build(some, NAMES)] == list(FOUND)
    empty = {name: table.iloc[:0] for name, table in some.items()}
    assert [number.macro for number in numbers.build(empty, NAMES)] == list(FOUND)
    assert not any(
        n.text
        for n in numbers.build(empty, NAMES)
        if n.macro != "DeviationsCount" and "Petitions" not in n.macro
    )


def test_simulated_numbers_carry_their_mark_and_measured_ones_do_not():
    contents = defined(tex())
    assert r"\ntSynthetic" in contents["ntMainEstimate"] and "Simulated data" in tex().splitlines()[1]
    assert all(
        content.endswith(r"\ntSynthetic") or content == r"\ntMissing"
        for macro, content in contents.items()
        if macro[2:] in FOUND
    )
    real = replace(NAMES, synthetic=False)
    measured = numbers.as_latex(numbers.build(SOURCES, real), real, "x")
    assert defined(measured)["ntSynthetic"] == defined(measured)["ntSyntheticNote"] == ""
    assert measured.count(r"\ntSynthetic") == 2 and theme.SIMULATED not in measured


@given(st.lists(st.text(max_size=12), unique=True, max_size=30))
def test_words_are_letters_and_differ(texts):
    words = numbers.words(texts)
    assert list(words) == texts and len(set(words.values())) == len(texts)
    assert all(re.fullmatch("[A-Za-z]+", word) for word in words.values())


def test_words_can_be_read():
    assert numbers.words(["arm_2", "naïve rule", "気候", "変動"]) == {
        "arm_2": "ArmTwo", "naïve rule": "NaiveRule", "気候": "C", "変動": "D",
    }  # fmt: skip
    assert list(numbers.words(["a b", "a_b"]).values()) == ["ABA", "ABB"]


def test_the_list_of_macros_is_current_and_complete(project):
    page = (project / "docs" / "numbers.md").read_text("utf-8")
    assert page == numbers.documentation(), "write docs/numbers.md anew (make docs)"
    documented = set(re.findall(r"\| `\\nt([A-Za-z]+)` \|", page))
    arms, outcomes = numbers.words(NAMES.arms).values(), numbers.words(NAMES.outcomes).values()

    def placeholder(macro: str) -> str:
        for later in arms:
            for earlier in arms:
                macro = macro.replace(f"{later}Against{earlier}", "LaterAgainstEarlier")
        macro = re.sub(rf"(InNano|In)(?:{'|'.join(arms)})(Recorded|Kept)$", r"InLater\2", macro)
        macro = re.sub(rf"^Missing(?:{'|'.join(arms)})On", "MissingLaterOn", macro)
        return re.sub(rf"On(?:{'|'.join(outcomes)})(?=[A-Z])", "OnOutcome", macro)

    assert {placeholder(macro) for macro in FOUND} <= documented
    assert {macro[2:] for macro in defined(tex())} - set(FOUND) <= documented


def skeleton(project, config: dict, exhibits=(), names=NAMES, registration=None) -> str:
    """The paper of a config as it is written."""
    template = project / "workflow/nanotarget/report/templates/paper.tex.j2"
    facts = paper.Facts(Study.model_validate(config), registration, names, "ridge", ["numpy 2.0"])
    return paper.skeleton(template.read_text("utf-8"), facts, exhibits)


@pytest.fixture(scope="module")
def reference(project) -> dict:
    """The config of the reference study, with texts that LaTeX would read as commands."""
    config = yaml.safe_load((project / "config.yaml").read_text("utf-8"))
    config["covariates"][0]["label"] = fake.NASTY
    config["calibration"]["exclusions"][0]["step"] = fake.NASTY
    config["design"]["prohibited"] = []
    return config


@pytest.fixture(scope="module")
def study(project, tmp_path_factory, reference) -> Path:
    """A folder with all that a paper needs, of nasty and of good tables."""
    folder = tmp_path_factory.mktemp("paper")
    shown = [
        paper.Shown(exhibit, f"Caption of {fake.NASTY}")
        for exhibit in catalogue.of_study(SOURCES, NAMES.has)
        if exhibit.paper and (exhibit.kind is catalogue.Kind.TABLE or exhibit.name in ("amce", "effects"))
    ]
    for exhibit in (s.exhibit for s in shown if s.exhibit.kind is catalogue.Kind.TABLE):
        artefacts.write_text(tables.as_float(MADE[exhibit.name]), folder / "tables" / f"{exhibit.name}.tex")
    abstract = paper.abstract_table(list(FOUND.values()), NAMES)
    artefacts.write_text(tables.as_float(abstract), folder / "tables" / "abstract.tex")
    for exhibit in (s.exhibit for s in shown if s.exhibit.kind is catalogue.Kind.FIGURE):
        drawn = figures.draw(exhibit, SOURCES, NAMES)
        theme.save(drawn.figure, folder / "figures" / exhibit.name)
    artefacts.write_text(tex(), folder / "numbers.tex")
    registration = preregistration.read(str(project / "data/climate_petition/preregistration.yaml"))
    text = skeleton(project, reference, shown, registration=registration)
    artefacts.write_text(text, folder / "paper.tex")
    shutil.copy(project / "workflow/nanotarget/report/templates/references.bib", folder)
    return folder


def whole(folder: Path, name: str = "paper.tex") -> str:
    """A LaTeX file with what it inputs, without comments."""
    text = re.sub(r"(?<!\\)%.*", "", (folder / name).read_text("utf-8"))
    return re.sub(r"\\input\{([^#}]*)\}", lambda found: whole(folder, found[1]), text)


def test_the_paper_holds_together_without_an_engine(study):
    source = whole(study)
    used = set(re.findall(r"\\(nt[A-Za-z]+)", source))
    arms = {macro for macro in used if "ControlOnShare" in macro or "OnShare" in macro}
    assert used - arms <= set(defined(tex())) | {"ntFigure", "ntFigureBox"}
    bare = re.sub(r"\\[\\{}]", "", source)
    assert bare.count("{") == bare.count("}")
    open_environments = []
    for kind, name in re.findall(r"\\(begin|end)\{(\w+)\}", source):
        if kind == "begin":
            open_environments.append(name)
        else:
            assert open_environments.pop() == name
    assert not open_environments
    pictures = set(re.findall(r"\\ntFigure\{([^#}]+)\}", source))
    assert pictures == {"figures/amce.pdf", "figures/effects.pdf"}
    assert all((study / path).is_file() for path in pictures)
    labels = re.findall(r"\\label\{([^}]*)\}", source)
    assert len(labels) == len(set(labels)) and set(re.findall(r"\\ref\{([^}]*)\}", source)) <= set(labels)
    entries = re.findall(r"@\w+\{(\w+),", (study / "references.bib").read_text("utf-8"))
    cited = {key for keys in re.findall(r"\\cite\w+\{([^}]*)\}", source) for key in keys.split(",")}
    assert cited <= set(entries) and len(entries) == len(set(entries))


def test_methods_follow_from_config_and_registration(study):
    text = " ".join((study / "paper.tex").read_text("utf-8").split())
    assert "28,125 petitions" in text and "6 tasks of 2 petitions" in text
    assert tables.latex(fake.NASTY) in text and "ridge regression" in text
    assert "H1: A petition that is chosen for the person gets more signatures" in text
    assert "Planned were 3,113 people." in text and "CR1 standard errors" in text
    assert "5 percentage points" in text and "others than those of the calibration" in text
    assert "<<" not in text and "<%" not in text


def test_a_study_without_an_experiment_or_a_calibration_has_a_paper_of_what_it_has(project, reference):
    no_arms = replace(NAMES, outcomes={}, arms=())
    alone = skeleton(project, {k: v for k, v in reference.items() if k not in ("experiment",)} | {
        "preregistration": None, "estimate": {}, "explore": {}}, names=no_arms)  # fmt: skip
    assert r"\subsection{Experiment}" not in alone and r"\subsection{Diagnosis}" in alone
    assert "Against" not in alone
    keys = ("study", "title", "synthetic", "root_seed", "experiment", "covariates", "design", "estimate")
    fielded = skeleton(project, {key: reference[key] for key in keys} | {"samples": "new"})
    assert r"\subsection{Diagnosis}" not in fielded and r"\ntVerdictOverall" not in fielded


def test_the_abstract_has_one_table_of_its_numbers():
    table = paper.abstract_table(list(FOUND.values()), NAMES)
    shown = {column.label: column.cells for column in table.columns}
    rows = dict(zip(shown["Number"], shown["Value"], strict=True))
    assert rows["People of the experiment"] == "3,113"
    assert rows["nano − best, Signed <b>it</b> & 50%"] == FOUND["EffectNanoAgainstBestOnSignEstimate"].text
    assert all(macro in FOUND or f"{macro}Estimate" in FOUND for macro in table.data["macro"])
    assert "Simulated data" in " ".join(table.notes)


@pytest.mark.parametrize("engine", ENGINES)
def test_the_paper_compiles_and_nothing_sticks_out(study, engine, tmp_path):
    command = [
        engine,
        "-interaction=nonstopmode",
        "-halt-on-error",
        f"-output-directory={tmp_path}",
        "paper.tex",
    ]
    environment = {**os.environ, "max_print_line": "1000", "openout_any": "a"}
    shutil.copy(study / "references.bib", tmp_path)
    for run_of in range(3):
        if run_of == 1:  # what is cited is known after the first run
            subprocess.run(["bibtex", "paper"], cwd=tmp_path, check=True, capture_output=True, timeout=60)
        run = subprocess.run(command, cwd=study, env=environment, capture_output=True, timeout=120)
        log = (tmp_path / "paper.log").read_text("utf-8", errors="replace")
        assert run.returncode == 0, log[-3000:]
    assert (tmp_path / "paper.pdf").stat().st_size > 20_000
    assert "undefined" not in log.lower().replace("undefined@err", "")
    tables_too_wide = re.findall(r"Overfull \\hbox \(([\d.]+)pt too wide\) in alignment", log)
    assert all(float(points) < 12 for points in tables_too_wide), tables_too_wide
