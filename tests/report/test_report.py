"""The report page: self-contained, escaped, in order, honest about what is missing, same bytes."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import html
import itertools
import re
import subprocess
import sys
import textwrap
from html.parser import HTMLParser

import pandas as pd
import pytest

import report_tables as fake
from nanotarget.assign.assign import pooled_petitions
from nanotarget.diagnose.words import NEVER_FIELDED, QUESTIONS, SEND, in_short
from nanotarget.report import catalogue, outline, tables, theme
from nanotarget.report import page as report
from nanotarget.report.answer import Answer
from nanotarget.report.origins import Maker, Origin
from nanotarget.report.page import Contents, Picture, Sheet
from nanotarget.study import artefacts

NAMES = theme.Names(
    True,
    {"rating": "Rating"},
    {"sign": "Signed", "support": "Support"},
    frozenset({"sign"}),
    fake.ARMS,
    analysed="rating",
    unit="rating points",
)
DIAGNOSIS = ("calibration", "ladder", "switches", "abundance", "frontier", "learning_curve")
CALIBRATION = ("amce", "marginal_means", "learners", "diagnostics", *DIAGNOSIS, "petitions")
PICTURES = [
    "effects", "variance", "calibration", "ladder", "switches", "abundance", "dividend", "frontier",
    "learning", "amce", "marginal_means", "subgroups", "petitions", "flow",
]  # fmt: skip
EXPERIMENT = (
    "effects", "equivalence", "sentences", "randomization_inference", "attrition", "balance", "power",
    "subgroups",
)  # fmt: skip
STUDY = {"study": "x", "title": fake.NASTY, "synthetic": True, "root_seed": 42}
PACKAGES = {"python": "3.11", "nanotarget": "0.1", "numpy": "2.4"}
NUMBERS = pd.DataFrame({"level": [fake.NASTY, fake.JAPANESE], "estimate": [-0.0123456789, 2.0]})
SVG = '<svg width="504pt" height="9pt" xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'


def origin(name: str, folder: str) -> Origin:
    source = {f"stage/{name}.csv": Maker("stage", "workflow/scripts/stage.py")}
    return Origin(f"{folder}/{name}.csv", Maker(folder, f"workflow/scripts/{folder}.py"), source)


def picture(name: str = "flow", svg: str = SVG) -> Picture:
    described, data = f"Alt of {name} {fake.NASTY}", artefacts.csv_text(NUMBERS)
    return Picture(svg, described, f"Caption of {name}", data, origin(name, "figures"))


def contents(calibration=True, experiment=True, registered=True, names=NAMES, **changed) -> Contents:
    wanted = {"flow", *CALIBRATION * calibration, *EXPERIMENT * experiment}
    wanted |= {"audit"} if calibration and experiment else set()
    wanted |= {"deviations"} if experiment and registered else set()
    sources = {name: table for name, table in fake.sources().items() if name in wanted} | changed
    parts = {"calibration": calibration, "experiment": experiment, "registration": registered}
    parts["preferences"] = calibration
    names = dataclasses.replace(names, has=frozenset(part for part, there in parts.items() if there))
    return Contents(
        names=names,
        exhibits=[
            (exhibit, shown(exhibit, sources, names)) for exhibit in catalogue.of_study(sources, names.has)
        ],
        sources=sources,
        verdict=fake.verdict() if calibration else None,
        petition=fake.petition() if calibration else None,
    )


def shown(exhibit, sources, names) -> report.Shown:
    if sentence := exhibit.sentence(sources, names):
        return sentence
    if exhibit.kind is catalogue.Kind.FIGURE:
        return picture(exhibit.name)
    return Sheet(tables.tabulate(exhibit, sources, names), origin(exhibit.name, "tables"))


def test_flags_of_a_survey_without_a_verdict_stand_first(project):
    made = dataclasses.replace(contents(), verdict=None, flags=("never: nobody saw <a> with b.",))
    page = report.render(read_templates(project), STUDY, made, PACKAGES)
    first = page[page.index('id="answer"') : page.index("</section>")]
    assert "<h3>Warnings</h3>" in first and "Nobody saw &lt;a&gt; with b." in first


def of_kind(made: Contents, kind: type) -> list:
    return [shown for _, shown in made.exhibits if isinstance(shown, kind)]


@pytest.fixture(scope="module")
def templates(project) -> dict[str, str]:
    return read_templates(project)


def read_templates(project) -> dict[str, str]:
    folder = project / "workflow/nanotarget/report/templates"
    files = [*folder.glob("*.j2"), folder / "style.css", folder / "page.js"]
    return {file.name: file.read_text("utf-8") for file in files}


@pytest.fixture(scope="module")
def page(templates) -> str:
    return report.render(templates, STUDY, contents(), PACKAGES)


class Reader(HTMLParser):
    """What a browser or screen reader finds on a page."""

    VOID = ("meta", "img", "link", "br", "col", "input")

    def __init__(self, page: str):
        super().__init__()
        self.headings: list[tuple[int, str]] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.tags: list[str] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.tags.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)
        if "id" in found:
            self.ids.append(found["id"])
        if tag == "a":
            self.links.append(found["href"])
        if tag == "img":
            self.images.append(found)
        if re.fullmatch("h[1-6]", tag):
            self.headings.append((int(tag[1]), ""))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not {"style", "script"} & set(self.open):
            self.text += data
        if self.open and re.fullmatch("h[1-6]", self.open[-1]):
            level, text = self.headings[-1]
            self.headings[-1] = (level, text + data)


def within(reader: Reader) -> set[str]:
    """What the links on the page itself lead to."""
    return {link[1:] for link in reader.links if link.startswith("#")}


def test_the_page_needs_no_network_and_runs_no_script_but_its_own(page):
    reader = Reader(page)
    assert not {"link", "iframe", "object"} & set(reader.tags) and reader.tags.count("script") == 1
    assert all(link.startswith(("#", "data:text/csv;")) for link in reader.links)
    assert all(image["src"].startswith("data:image/svg+xml;") for image in reader.images)
    assert not re.search(r"https?://|@import|url\(", page)
    encoded = reader.images[0]["src"].split(",")[1]
    assert base64.b64decode(encoded).decode() == SVG


def test_links_lead_somewhere_and_ids_are_unique(page):
    reader = Reader(page)
    assert len(set(reader.ids)) == len(reader.ids)
    assert within(reader) <= set(reader.ids)
    assert reader.links[0] == "#report" and "report" in reader.ids


def test_headings_are_in_order_and_the_verdict_comes_first(page):
    headings = Reader(page).headings
    assert [level for level, _ in headings].count(1) == 1 and headings[0] == (1, fake.NASTY)
    assert all(b - a <= 1 for (a, _), (b, _) in itertools.pairwise(headings))
    assert [text for level, text in headings if level == 2] == [
        "Verdict: the answer in short",
        "Estimate: what the experiment found",
        "Diagnose: can nano-targeting pay?",
        "Calibrate: what people like in a petition",
        "Explore: what else the data suggest ",
        "Assign: who gets which petition",
        "Clean: who took part",
        "Report: where this comes from",
    ]
    assert page.index("DO NOT DEPLOY") < page.index("Estimate: what the experiment found</h2>")


def test_every_figure_has_its_alternative_text(page):
    images = Reader(page).images
    assert [image["alt"] for image in images] == [f"Alt of {name} {fake.NASTY}" for name in PICTURES]


def test_texts_from_data_and_config_are_escaped(page):
    assert fake.NASTY not in page
    text = Reader(page).text
    assert text.count(fake.NASTY) >= 5
    assert "br" not in Reader(page).tags and "raw" not in Reader(page).tags


def test_explorations_are_marked_and_the_seed_is_named(page):
    text = Reader(page).text
    assert (
        "Explore: what else the data suggest (exploratory)" in text
        and "Root seed 42" in text
        and "numpy 2.4" in text
    )


def test_simulated_data_have_a_banner_and_real_ones_have_none(page, templates):
    assert 'class="banner"' in page and page.index('class="banner"') < page.index("<h1>")
    names = theme.Names(False, NAMES.ratings, NAMES.outcomes, NAMES.binary, NAMES.arms)
    real = report.render(templates, STUDY | {"synthetic": False}, contents(names=names), PACKAGES)
    assert 'class="banner"' not in real and theme.SIMULATED not in real


@pytest.mark.parametrize(
    ("calibration", "experiment", "registered", "sentences"),
    [
        (True, False, False, {"experiment": 2}),
        (True, False, True, {"experiment": 2}),
        (False, True, False, {"calibration": 3, "registration": 1}),
        (True, True, True, {}),
    ],
)
def test_what_a_study_lacks_is_said_in_one_sentence(
    templates, calibration, experiment, registered, sentences
):
    page = report.render(templates, STUDY, contents(calibration, experiment, registered), PACKAGES)
    reader = Reader(page)
    for need, sentence in report.LACKING.items():
        assert reader.text.count(sentence) == sentences.get(need, 0)
    assert page.count('class="missing"') == sum(sentences.values())
    assert within(reader) <= set(reader.ids)
    assert (SEND["DO NOT DEPLOY"] in reader.text) == calibration
    assert ((3, "The experiment") in reader.headings) == experiment


def test_the_findings_are_the_confirmatory_rows_of_the_first_outcome():
    sentences = report.findings(fake.effects(), NAMES)
    assert sentences == [
        "Signed, best − control: 10.0 percentage points (95% interval 0.2 to 19.8; confirmatory): "
        "the first arm is higher.",
        "Signed, nano − control: −12.6 percentage points (95% interval −22.4 to −2.8; confirmatory): "
        "the first arm is lower.",
        "Signed, nano − best: −5.2 percentage points (95% interval −15.0 to 4.6; confirmatory): "
        "the interval includes zero.",
    ]


def test_an_interval_with_zero_is_told_from_evidence_of_no_effect():
    sentences = report.findings(fake.effects(), NAMES, fake.equivalence())
    assert sentences[0].endswith("the first arm is higher.")
    assert sentences[2].endswith(
        "includes zero, and the equivalence test against ±5.0 percentage points says: not testable."
    )


def test_findings_without_a_registration_are_differences_in_means_on_their_own_scale():
    table = fake.effects()
    table = table[table["outcome"] == "support"]
    table.loc[table.index[0], ["std_error", "conf_low", "conf_high"]] = float("nan")
    sentences = report.findings(table, NAMES)
    assert len(sentences) == 3
    assert "the interval cannot be computed" in sentences[0]
    assert sentences[2].startswith(
        "Support, nano − best: −0.130 points (95% interval −0.228 to −0.032; exploratory)"
    )


def test_the_assignment_counts_distinct_petitions():
    assignment = next(s for s in report.sections(contents()) if s.key == "assign")
    assert assignment.lead == [
        "Random: 40 distinct petitions for 120 people.",
        "Overall best: 1 distinct petition for 120 people.",
        "Nano: 4 distinct petitions for 120 people.",
    ]


def test_a_column_figure_is_shown_narrow():
    assert picture("flow").shape == ""
    assert picture("flow", SVG.replace("504pt", "252pt")).shape == "narrow"
    assert picture("flow", re.sub(r'height="[0-9.]+pt"', 'height="700pt"', SVG)).shape == "tall"


def test_two_fresh_processes_write_the_same_bytes(project, tmp_path):
    """Every format: PDF, SVG, PNG, CSV, LaTeX, HTML and the page, whatever Python's hash seed is.

    Every figure is drawn; two, with letters of all fonts, are also written as PDF and PNG, which is slow and
    done for all figures by the whole runs of tests/workflow/test_runs.py.
    """
    code = textwrap.dedent(
        """
        import sys
        from pathlib import Path
        sys.path[:0] = ["tests", "tests/report"]
        import report_tables as fake, test_report as t
        from nanotarget.report import page as report, tables, theme
        from nanotarget.study import artefacts
        folder = Path(sys.argv[1])
        drawn = fake.drawn(fake.drawable(), t.NAMES)
        for name, figure in drawn.items():
            text = theme.svg(figure.figure, figure.description)
            artefacts.write_text(text, folder / f"{name}.svg.txt")
            if name in ("amce", "switches"):
                theme.save(figure.figure, folder / name, figure.description)
            artefacts.write_csv(figure.data, folder / f"{name}.csv")
        for sheet in t.of_kind(t.contents(), t.Sheet):
            artefacts.write_text(tables.as_page(sheet.table), folder / f"{sheet.table.name}.html")
            artefacts.write_text(tables.as_latex(sheet.table), folder / f"{sheet.table.name}.tex")
        page = report.render(t.read_templates(Path()), t.STUDY, t.contents(), t.PACKAGES)
        artefacts.write_text(page, folder / "report.html")
        """
    )
    runs = []
    for seed in ("1", "2"):
        environment = {
            "PYTHONHASHSEED": seed,
            "TZ": f"UTC+{seed}",
            "HOME": str(tmp_path),
            "PATH": "",
            "PYTHONPATH": "workflow",
        }
        command = [sys.executable, "-c", code, str(tmp_path / seed)]
        runs.append(subprocess.Popen(command, cwd=project, env=environment))
    assert [run.wait() for run in runs] == [0, 0]
    digests = [
        {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(folder.iterdir())}
        for folder in (tmp_path / "1", tmp_path / "2")
    ]
    assert digests[0] == digests[1]
    assert len(digests[0]) == 18 * 2 + 2 * 3 + 2 * len(of_kind(contents(), Sheet)) + 1


def test_the_page_counts_nobody_when_nobody_is_assigned():
    empty = pd.DataFrame({"petition_id": [], "text": [], "n_overall_best": []})
    assert report._assigned(pooled_petitions(empty, 10)) == [
        "Overall best: 0 distinct petitions for 0 people."
    ]


def test_the_verdict_comes_first_with_petition_warnings_questions_and_advice(page):
    reader = Reader(page)
    first = reader.text[
        reader.text.index("Verdict: the answer in short") : reader.text.index(
            "Differences between randomised"
        )
    ]
    said = fake.verdict()
    for sentence in [*said["reasons"], *said["advice"], *said["flags"], fake.petition()["text"]]:
        assert first.count(sentence) == 1
    assert said["text"] not in first  # its numbers stand in the list
    assert [text for level, text in reader.headings if level == 3][:4] == [
        "Warnings", "In numbers", "Why: the four questions", "What would change the answer",
    ]  # fmt: skip


def test_the_diagnosis_goes_through_its_stages_in_order(page):
    headings = [text for level, text in Reader(page).headings if level == 3]
    first = headings.index("1 Heterogeneity: Do tastes for petitions differ between people?")
    assert headings[first : first + 5] == [
        "1 Heterogeneity: Do tastes for petitions differ between people?",
        "2 Predictability: Can the differences be seen beforehand?",
        "3 Crossover: Do they change which petition is best?",
        "4 Dividend: Does nano-targeting pay?",
        "The other goal and subgroups ",  # and the mark in a span
    ]
    text = Reader(page).text
    assert (
        text.count("Not enough: the gain is shown to be too small (FAIL).") == 3
        and text.count("Not decided (INCONCLUSIVE).") == 1
    )
    order = [text.index(table) for table in (
        "The diagnosis by attribute", "Which covariates and which learner", "How many petitions",
        "Would more respondents help?", "The other goal and subgroups (exploratory)",
    )]  # fmt: skip
    assert order == sorted(order)


def test_other_goals_and_subgroups_are_exploratory_and_dissuasion_is_never_fielded(templates):
    made = contents()
    assert Reader(report.render(templates, STUDY, made, PACKAGES)).text.count(NEVER_FIELDED) == 2
    others = next(s for s in report.sections(made) if s.key == "diagnose").parts[-1]
    assert others.exploratory and others.lead == [
        report.OF_MANY,
        "Dissuade, everybody: DO NOT DEPLOY. Dissuasion does not pay either.",
        f"Support, support_group: {fake.NASTY}: DO NOT DEPLOY. No.",
        NEVER_FIELDED,
    ]
    ours = fake.diagnostics().query("goal == 'support' and group == 'all'")
    alone = dataclasses.replace(contents(diagnostics=ours), verdict=fake.verdict() | {"others": []})
    assert [p.key for p in next(s for s in report.sections(alone) if s.key == "diagnose").parts] == [
        *QUESTIONS
    ]


def test_a_stage_without_verdict_is_said_not_to_be_evaluated():
    verdict = fake.verdict() | {"stages": {"heterogeneity": "INCONCLUSIVE"}}
    parts = next(
        s for s in report.sections(dataclasses.replace(contents(), verdict=verdict)) if s.key == "diagnose"
    ).parts
    assert [part.lead[0] for part in parts[:4]] == ["Not decided (INCONCLUSIVE)."] + [
        "Not evaluated (NOT EVALUATED)."
    ] * 3


def answer(templates, **changes) -> Reader:
    verdict = fake.verdict() | changes
    return Reader(
        report.render_answer(
            templates, fake.NASTY, verdict, fake.petition(), {"diagnostics": fake.diagnostics()}
        )
    )


def test_the_answer_says_what_binds_how_much_is_possible_and_what_would_change_it(templates):
    reader = answer(templates)
    for sentence in (
        "DO NOT DEPLOY",
        "No: send everybody the overall-best petition.",
        fake.petition()["text"],
        "It earns 5.3 rating points on average, 0.30 points more than a random petition, tested with people",
        *(answer for _, answer in in_short(fake.verdict())),
        *fake.verdict()["advice"],
        *fake.verdict()["flags"],
    ):
        assert sentence in reader.text
    assert NEVER_FIELDED not in reader.text
    assert fake.verdict()["text"] in answer(templates, share_divergent=0.0).text
    assert answer(templates, flags=["lag: moods last."]).text.count("Moods last.") == 1
    against = answer(templates, goal="dissuade").text
    assert NEVER_FIELDED in against and fake.petition()["text"] not in against


def test_the_answer_is_one_page_without_network_or_markup_from_data(templates):
    reader = answer(templates)
    assert not {"link", "iframe", "object", "br"} & set(reader.tags)
    assert reader.links == [] and reader.images == []
    assert reader.text.count(fake.NASTY) >= 2
    assert [level for level, _ in reader.headings] == [1, 2, 3, 3, 3, 3]


def test_the_answer_marks_simulated_data_and_only_those(templates):
    assert "Simulated data" in answer(templates).text
    assert "Simulated data" not in answer(templates, synthetic=False).text


def test_the_strips_of_the_four_questions_share_a_scale_and_stay_on_it():
    said = Answer.of(fake.verdict())
    strips = [question.strip for question in said.questions]
    assert len({(strip.zero, strip.threshold) for strip in strips}) == 1
    assert all(0 < strip.low <= strip.estimate <= strip.high < 100 for strip in strips)
    assert strips[0].estimate > strips[0].threshold > strips[1].estimate > strips[1].zero > strips[2].low
    unknown = fake.verdict() | {"ceilings": {stage: {} for stage in QUESTIONS}}
    assert {question.strip.high for question in Answer.of(unknown).questions} == {None}


def test_every_figure_and_table_carries_its_numbers_and_names_what_made_them(page):
    made = contents()
    reader = Reader(page)
    files = [link.split(",")[1] for link in reader.links if link.startswith("data:")]
    pictures, sheets = of_kind(made, Picture), of_kind(made, Sheet)
    wanted = [picture.data for picture in pictures]
    wanted += [artefacts.csv_text(sheet.table.data) for sheet in sheets]
    assert sorted(base64.b64decode(file).decode() for file in files) == sorted(wanted)
    for exhibit, _ in made.exhibits:
        assert (
            f"{exhibit.kind}/{exhibit.name}.csv, made by rule {exhibit.kind} "
            f"(workflow/scripts/{exhibit.kind}.py) "
            f"from stage/{exhibit.name}.csv (rule stage, workflow/scripts/stage.py)."
        ) in " ".join(reader.text.split())


def test_the_numbers_of_a_figure_are_a_table_too_and_long_ones_are_cut():
    shown = picture("flow").table
    assert '<td class="wide">気候 変動</td>' in shown and '<td class="numeric">-0.0123457</td>' in shown
    assert fake.NASTY not in shown and html.escape(fake.NASTY) in shown
    many = pd.DataFrame({"x": range(report.SHOWN_ROWS + 1)})
    cut = dataclasses.replace(picture("flow"), data=artefacts.csv_text(many)).table
    assert cut.count("<td") == report.SHOWN_ROWS and "The first 100 of 101 rows." in cut


def test_the_policy_of_a_page_allows_its_own_style_and_script_and_nothing_else(page, templates):
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)[1]
    rules = dict(rule.strip().split(" ", 1) for rule in html.unescape(policy).split(";"))
    assert rules["default-src"] == "'none'" and rules["img-src"] == "data:"
    for tag, rule in (("style", "style-src"), ("script", "script-src")):
        inner = re.search(f"<{tag}>(.*?)</{tag}>", page, re.DOTALL)[1]
        digest = base64.b64encode(hashlib.sha256(inner.encode()).digest()).decode()
        assert rules[rule] == f"'sha256-{digest}'"


def outline_of(sections):
    for section in sections:
        yield section
        yield from outline_of(section.parts)


def test_every_exhibit_stands_in_the_section_that_it_declares_and_only_there():
    made = contents()
    anchors = {place: part.key for place, part in outline.places()}
    standing = {
        section.key: [*section.pictures, *section.tables, *section.details]
        for section in outline_of(report.sections(made))
    }
    for exhibit, item in made.exhibits:
        found = [key for key, items in standing.items() if any(item is other for other in items)]
        left_out = exhibit.section == catalogue.VERDICT or exhibit.name in outline.ONLY_IN_THE_PAPER
        assert found == ([] if left_out and isinstance(item, Picture) else [anchors[exhibit.section]])
    places = dict(outline.places())
    assert {exhibit.section for exhibit in catalogue.CATALOGUE} <= {*places, catalogue.VERDICT}
    assert [part.key for part in outline.OUTLINE] == [
        "estimate", "diagnose", "calibrate", "explore", "assign", "clean",
    ]  # fmt: skip


def test_what_has_nothing_to_show_is_one_sentence():
    made = contents(
        ladder=fake.ladder().iloc[:0],
        deviations=fake.deviations().iloc[:0],
        power=fake.sources()["power"].iloc[:0],
    )
    sections = {section.key: section for section in outline_of(report.sections(made))}
    predictability = sections["predictability"]
    assert [sentence[:10] for sentence in predictability.silent] == ["No ladder:"]
    assert len(predictability.pictures) == 1 and not predictability.details
    assert sections["deviations"].silent == ["No deviation."] and not sections["deviations"].tables
    assert [sheet.title for sheet in sections["size"].details] == ["Tests and their families"]


def test_keys_of_the_outline_are_anchors_of_their_own():
    keys = [part.key for _, part in outline.places()]
    assert len(set(keys)) == len(keys) and not {"answer", "report", "provenance"} & set(keys)


def test_explorations_of_a_calibration_alone_are_shown():
    filled = report.sections(contents(experiment=False, dissuasion=fake.sources()["dissuasion"]))
    explored = next(section for section in filled if section.key == "explore")
    assert not explored.missing and [part.key for part in explored.parts] == ["dissuasion"]
