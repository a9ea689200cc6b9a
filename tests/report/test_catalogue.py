"""The catalogue: one entry and one function make an exhibit; reading it is cheap."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest

import report_tables as fake
from nanotarget.report import catalogue, paper, theme
from nanotarget.report.catalogue import Kind
from nanotarget.report.figures import explore
from nanotarget.report.figures.page import Drawn, sentence
from nanotarget.report.origins import Maker, Origin, list_of_exhibits
from nanotarget.study import artefacts

HAS = ("calibration", "experiment", "registration")
SETTINGS = {
    "synthetic": False, "has": ["experiment"],
    "ratings": None, "analysed": "", "profiles": 1, "outcomes": [], "arms": [],
    "covariates": [], "subgroups": [],
    "alpha": 0.05, "confidence": 0.95, "goal": "support", "errors": "CR1",
}  # fmt: skip


def test_rules_read_the_catalogue_without_what_draws_and_computes():
    code = "import sys, nanotarget.report.catalogue as c; print(len(c.CATALOGUE), *sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"numpy", "pandas", "matplotlib", "pyarrow", "scipy"} & set(run.stdout.split())


def test_every_entry_has_its_function_and_a_name_of_its_own():
    for exhibit in catalogue.CATALOGUE:
        assert callable(getattr(import_module(exhibit.module), exhibit.name)), exhibit
        assert exhibit.caption and exhibit.caption == " ".join(exhibit.caption.split())
    names = [(exhibit.kind, exhibit.name) for exhibit in catalogue.of_study(fake.sources(), HAS)]
    assert len(set(names)) == len(names) and (Kind.FIGURE, "marginal_means") in names


def test_an_exhibit_is_there_when_all_its_sources_are():
    names = [exhibit.name for exhibit in catalogue.of_study({"ladder", "flow"}, HAS)]
    assert names == ["flow", "flow", "ladder"]  # the figure of the ladder asks for the diagnosis too
    assert catalogue.of_study((), HAS) == []
    assert [exhibit.name for exhibit in catalogue.of_study({"deviations"}, HAS)] == ["deviations"]
    assert catalogue.of_study({"deviations"}, ("experiment",)) == []


def test_figures_are_divided_and_none_is_lost():
    figures = [exhibit for exhibit in catalogue.CATALOGUE if exhibit.kind is Kind.FIGURE]
    divided = catalogue.jobs(figures)
    assert list(divided) == ["figures_of_experiment", "figures"]
    assert sorted(e.name for part in divided.values() for e in part) == sorted(e.name for e in figures)


@pytest.fixture
def toy(monkeypatch) -> catalogue.Exhibit:
    """A figure that a stranger adds: a function and an entry."""

    def toy(table, names):
        return Drawn(sentence("A toy.", names), table, "Alternative text of a toy.")

    entry = catalogue.figure("toy", "explore/groups", "Caption of a toy.", ("flow",))
    monkeypatch.setattr(explore, "toy", toy, raising=False)
    monkeypatch.setattr(catalogue, "CATALOGUE", (*catalogue.CATALOGUE, entry))
    return entry


def script(project: Path, name: str, monkeypatch):
    monkeypatch.syspath_prepend(project / "workflow/scripts")
    return import_module(name)


def test_a_new_figure_is_drawn_and_stands_on_the_page_and_in_the_paper(project, tmp_path, monkeypatch, toy):
    tidy, results = tmp_path / "results/clean/flow.csv", tmp_path / "results"
    artefacts.write_csv(fake.flow(), tidy)
    sources = {"flow": str(tidy)}
    for kind, file, function in (
        ("figures", "figures", "draw_figures"),
        ("tables", "tables", "write_tables"),
    ):
        made = script(project, file, monkeypatch)
        wanted = [["flow", "toy"]] if kind == "figures" else []
        getattr(made, function)(sources, results / kind, SETTINGS, *wanted)
    assert {file.name for file in (results / "figures").glob("toy.*")} == {
        "toy.csv", "toy.pdf", "toy.png", "toy.svg",
    }  # fmt: skip
    assert theme.described((results / "figures/toy.svg").read_text("utf-8")) == "Alternative text of a toy."

    templates = project / "workflow/nanotarget/report/templates"
    maker = {"rule": "figures_of_experiment", "script": "workflow/scripts/figures.py"}
    files = [str(tidy), *map(str, results.glob("*/*.csv"))]
    script(project, "page", monkeypatch).write_report(
        {"files": [], "templates": [*templates.glob("*.j2"), templates / "style.css", templates / "page.js"]},
        sources,
        results / "report.html",
        {"study": "x", "title": "x", "synthetic": False, "root_seed": 1, "preregistration": None},
        {"names": SETTINGS, "makers": dict.fromkeys(files, maker)},
    )
    page = (results / "report.html").read_text("utf-8")
    groups = page[page.index('id="groups"') : page.index('id="provenance"')]
    assert "Caption of a toy." in groups and 'alt="Alternative text of a toy."' in groups

    shown = paper.float_of(paper.Shown(toy, toy.legend({"flow": fake.flow()}, theme.Names(False))))
    assert r"\ntFigure{figures/toy.pdf}" in shown and r"\caption{Caption of a toy.}\label{fig:toy}" in shown


def test_the_legend_says_how_many_people_and_which_errors():
    names = theme.Names(False, {"rating": "Rating"}, {"sign": "Signed"}, frozenset({"sign"}), errors="CR2")
    by_name = {e.name: e for e in catalogue.CATALOGUE if e.kind is Kind.FIGURE}
    legend = by_name["amce"].legend(fake.sources(), names)
    assert legend.endswith(
        "n = 500 petitions of 150 respondents. CR2 standard errors, clustered by respondent."
    )
    legend = by_name["effects"].legend(fake.sources(), names)
    assert "Signed 500" in legend and "Standard errors: HC2." in legend
    assert "Equivalence within ±5 percentage points, Signed:" in legend
    assert by_name["flow"].legend(fake.sources(), names) == by_name["flow"].caption


def test_a_new_figure_is_made_by_a_job_and_listed(project, monkeypatch, toy):
    monkeypatch.chdir(project)
    docs = script(project, "docs", monkeypatch)
    found = {
        made.file: made
        for config in docs.studies("config.yaml")
        for made in docs.origins(docs.workflow_of(config))
    }
    assert found["figures/toy.csv"].maker.rule == "figures_of_experiment"
    listed = docs.written()[Path("docs/figures.md")]
    row = "| `figures/toy` | figures_of_experiment, `figures.py` | `clean/flow.csv` | clean, `clean.py` |"
    assert row in listed.splitlines()


def test_a_figure_with_nothing_to_show_holds_its_sentence_and_the_paper_says_it(toy):
    from nanotarget.report import figures

    toy = replace(toy, paper=catalogue.Place.APPENDIX)
    silent = replace(toy, silence=catalogue.no_rows("Nothing.", sample="nobody"))
    names = theme.Names(False)
    drawn = figures.draw(silent, {"flow": fake.flow()}, names)
    assert drawn.description == "Nothing." and len(drawn.data) == len(fake.flow())
    said = paper.floats([paper.Shown(silent, "", "Nothing."), paper.Shown(toy, "")], catalogue.Place.APPENDIX)
    assert said.count("Nothing.") == 1 and re.findall(r"\\ntFigure\{(.*)\}", said) == ["figures/toy.pdf"]


@pytest.mark.parametrize(
    ("name", "source", "flat", "says"),
    [
        ("switches", "switches", {"share_nano": 0.0}, catalogue.ALIKE),
        ("abundance", "abundance", {"rank": 1}, "Nothing to rank"),
        ("frontier", "frontier", {"gain": 0.0}, "A flat frontier"),
        ("learning", "learning_curve", {"gain": 0.0}, "No curve"),
    ],
)
def test_an_exhibit_that_would_be_flat_is_a_sentence(name, source, flat, says):
    (exhibit,) = (e for e in catalogue.CATALOGUE if (e.kind, e.name) == (Kind.FIGURE, name))
    sources, names = fake.sources(), theme.Names(False)
    assert exhibit.sentence(sources, names) == ""
    assert exhibit.sentence(sources | {source: sources[source].assign(**flat)}, names).startswith(says)


def test_a_dose_that_nobody_can_know_says_why():
    (exhibit,) = (e for e in catalogue.CATALOGUE if (e.kind, e.name) == (Kind.FIGURE, "dose"))
    table = fake.validation().assign(estimator="dose", note="fielded by another rule")
    assert exhibit.sentence({"validation": table}, theme.Names(False)) == ""
    unknown = table.assign(estimate=float("nan"))
    said = exhibit.sentence({"validation": unknown}, theme.Names(False))
    assert said == "Nothing to show: fielded by another rule."


def test_an_exhibit_is_listed_with_all_that_made_it():
    draw, make = Maker("draw", "../scripts/draw.py"), Maker("r", "workflow/scripts/s.py")
    page = list_of_exhibits(
        [
            Origin("figures/a.csv", draw, {"x/1.csv": make, "x/2.csv": make}),
            Origin("tables/b.csv", Maker("write", "write.py"), {"x/1.csv": make, "y.csv": draw}),
        ]
    )
    assert page.splitlines()[2:] == [
        "| `figures/a` | draw, `draw.py` | `x/1.csv`, `x/2.csv` | r, `s.py` |",
        "| `tables/b` | write, `write.py` | `x/1.csv`, `y.csv` | r, `s.py`; draw, `draw.py` |",
    ]
