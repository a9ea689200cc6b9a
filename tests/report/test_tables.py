"""Tables: every text escaped, the same cells in HTML and LaTeX, raw numbers in the data."""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
from html.parser import HTMLParser
from xml.etree import ElementTree

import pandas as pd
import pytest

import report_tables as fake
from nanotarget.diagnose.words import NEVER_FIELDED
from nanotarget.report import catalogue, tables, theme
from nanotarget.report.catalogue import Kind
from nanotarget.report.tables import assign, calibrate, clean, diagnose, estimate, parts

NAMES = theme.Names(
    True,
    {"rating": "Rating"},
    {"sign": "Signed <b>it</b>", "support": "Support"},
    frozenset({"sign"}),
    fake.ARMS,
)
SOURCES = fake.Later(fake.sources)
MADE = fake.Later(lambda: fake.tabulated(SOURCES, NAMES))
REAL = fake.Later(lambda: fake.tabulated(SOURCES, theme.Names(False, NAMES.ratings, NAMES.outcomes)))
EMPTY = fake.Later(lambda: fake.tabulated({name: table.iloc[:0] for name, table in SOURCES.items()}, NAMES))
TABLES = [
    "flow", "participants", "design", "amce", "amce_by_outcome", "attribute_tests", "choice_models",
    "groups", "group_tests", "interaction_tests", "reliability", "corrected", "corrected_diagnosis",
    "learners", "funnel", "diagnostics",
    "diagnostics_attributes", "ladder", "frontier", "learning_curve", "diagnostics_groups", "audit",
    "outcomes_by_arm", "effects_by_outcome", "outcomes", "effects",
    "equivalence", "power", "multiplicity", "corrections", "randomization_inference", "scales", "omnibus",
    "robustness", "attrition", "differential_attrition", "lee_bounds", "ipw", "sample", "balance", "cace",
    "checks", "deviations", "subgroups", "odds_ratios", "mobilisation", "lower_tail", "polarisation",
    "gap", "validation", "gate", "projection", "rate", "dissuasion", "fairness",
]  # fmt: skip
FLOATS = [exhibit.name for exhibit in catalogue.CATALOGUE if exhibit.kind is Kind.TABLE and exhibit.paper]


class Cells(HTMLParser):
    """The rows of a page's table as a browser reads them, and every tag that it holds."""

    def __init__(self, page: str):
        super().__init__()
        self.rows: list[list[str]] = []
        self.tags: list[str] = []
        self.open: list[str] = []
        self.inside = False
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag not in ("meta", "col", "br"):
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
            self.inside = True

    def handle_endtag(self, tag):
        assert self.open.pop() == tag
        if tag in ("td", "th"):
            self.inside = False

    def handle_data(self, data):
        if self.inside:
            self.rows[-1][-1] += data


def unlatex(text: str) -> str:
    """Read LaTeX as TeX would print it; fails on anything that the writer does not know."""
    commands = {
        "textbackslash": "\\", "textasciicircum": "^", "textasciitilde": "~", "textless": "<",
        "textgreater": ">", "textbar": "|", "textquotedbl": '"', "textasciigrave": "`",
    }  # fmt: skip
    out, i = "", 0
    while i < len(text):
        if found := re.match(r"\\([a-z]+)\{\}", text[i:]):
            out += commands[found[1]]
            i += found.end()
        elif found := re.match(r"\\([{}$&#%_])", text[i:]):
            out += found[1]
            i += 2
        elif text.startswith("$-$", i):
            out += "−"
            i += 3
        elif text.startswith(r"$\infty$", i):
            out += "∞"
            i += 8
        elif text.startswith(r"$\chi$", i):
            out += "χ"
            i += 6
        elif text.startswith("{}", i):
            i += 2
        else:
            assert text[i] not in '\\{}$&#%_^~<>|"`', f"unescaped {text[i]!r} in {text!r}"
            out += text[i]
            i += 1
    return out


def latex_rows(source: str) -> list[list[str]]:
    """The cells of each row of a longtable, as printed."""
    return body_rows(source.split("\\endhead\n")[1])


def float_rows(source: str) -> list[list[str]]:
    """The cells of each row of a float, which is upright, as printed."""
    assert source.count(r"\begin{table}") == 1 and "landscape" not in source
    return body_rows(source.split("\\midrule\n")[1])


WORD = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"


def docx_rows(content: bytes) -> list[list[str]]:
    """The cells of each row of a Word table, the head first."""
    with zipfile.ZipFile(io.BytesIO(content)) as package:
        parts_of = {name: ElementTree.fromstring(package.read(name)) for name in package.namelist()}
    rows = parts_of["word/document.xml"].iter(f"{WORD}tr")
    return [["".join(cell.itertext()) for cell in row.iter(f"{WORD}tc")] for row in rows]


def body_rows(source: str) -> list[list[str]]:
    body = source.split("\\bottomrule")[0]
    rows = []
    for line in body.splitlines():
        if line == r"\addlinespace":
            continue
        if found := re.fullmatch(
            r"\\multicolumn\{\d+\}\{@\{\}p\{[\d.]+em\}@\{\}\}\{\\textbf\{(.*)\}\} \\\\\*", line
        ):
            rows.append([unlatex(found[1])])
            continue
        assert line.endswith(r" \\"), line
        rows.append([unlatex(cell) for cell in re.split(r"(?<!\\) & ", line.removesuffix(r" \\"))])
    return rows


def test_a_table_for_every_source():
    assert list(MADE) == TABLES
    assert list(fake.tabulated({"flow": fake.flow()}, NAMES)) == ["flow"]


@pytest.mark.parametrize("name", TABLES)
def test_html_and_latex_hold_the_same_cells_verbatim(name):
    table = MADE[name]
    expected, previous = [], None
    for i in range(len(table)):
        if table.groups and table.groups[i] != previous:
            previous = table.groups[i]
            expected.append([previous])
        expected.append([column.cells[i] for column in table.columns])
    page = Cells(tables.as_page(table))
    assert page.open == []
    assert page.rows[0] == [column.label for column in table.columns]
    assert page.rows[1:] == expected
    assert latex_rows(tables.as_latex(table)) == expected
    if name in FLOATS:
        assert float_rows(tables.as_float(table)) == docx_rows(tables.as_docx(table))[1:] == expected


@pytest.mark.parametrize("name", TABLES)
def test_no_tag_comes_from_the_data_and_nothing_from_the_network(name):
    page = tables.as_page(MADE[name])
    known = {"html", "head", "meta", "title", "style", "body", "div", "table", "caption", "thead", "tbody",
             "tr", "th", "td", "p"}  # fmt: skip
    assert set(Cells(page).tags) <= known
    assert not re.search(r"https?:|src=|href=|url\(", page)


def test_nasty_texts_survive():
    assert fake.NASTY in MADE["amce"].groups and fake.NASTY in MADE["deviations"].columns[3].cells
    text = 'a -- b [c] *d* `e` "f" − ∞ \\ {}$&#%_^~<>|'
    assert unlatex(tables.latex(text)) == text
    assert tables.latex("[x]").startswith("{}") and tables.latex("*x").startswith("{}")
    assert "--" not in tables.latex("a--b")
    assert tables.latex("a\nb\x00c\td") == "a b c d"


def test_control_characters_and_line_breaks_do_not_break_a_row():
    data = pd.DataFrame({"a": ["x\ny", "[z]"], "b": [1, 2]})
    table = tables.Listing({"a": "A", "b": "B"})(data, NAMES)
    assert latex_rows(tables.as_latex(table)) == [["x y", "1"], ["[z]", "2"]]


@pytest.mark.parametrize("name", TABLES)
def test_intervals_and_no_stars(name):
    table = MADE[name]
    own = [cell for column in table.columns if column.numeric for cell in column.cells]
    assert not any("*" in cell for cell in own)
    if "conf_low" in table.data:
        level = "90%" if name == "equivalence" else "95%"
        labels = [column.label for column in table.columns]
        noted = f"{level} interval" in " ".join(table.notes)
        assert f"{level} interval" in labels or noted or name in ("amce_by_outcome", "funnel")


@pytest.mark.parametrize("name", TABLES)
def test_simulated_data_are_noted_on_every_table_and_real_ones_on_none(name):
    for write in (tables.as_page, tables.as_latex):
        assert theme.SIMULATED in write(MADE[name])
        assert theme.SIMULATED not in write(REAL[name])


def test_the_data_are_the_tidy_numbers():
    pd.testing.assert_frame_equal(MADE["effects"].data.drop(columns="p_redrawn"), fake.effects())
    amce = MADE["amce"].data
    assert list(amce["quantity"].unique()) == ["amce", "marginal_mean"]
    assert list(amce["estimate"]) == [*fake.amce()["estimate"], *fake.marginal_means()["estimate"]]


def test_amce_names_reference_levels_and_pairs_each_level_with_its_mean():
    level, effect, interval, mean, *_ = MADE["amce"].columns
    assert [e == "reference" for e in effect.cells] == [k in (0, 3, 7) for k in range(9)]
    assert level.cells[1] == "Transport" and effect.cells[1] == "−0.013" and mean.cells[1] == "4.987"
    assert interval.cells[0] == "" and interval.cells[1] == "[−0.111, 0.085]"


def test_a_restricted_design_shows_both_estimators_and_what_cannot_be_estimated():
    restricted = fake.amce(estimator="restricted")
    restricted.loc[1, ["estimate", "std_error", "conf_low", "conf_high"]] = float("nan")
    both = pd.concat([fake.amce(), restricted], ignore_index=True)
    columns = {c.label: c.cells for c in calibrate.amce(both, fake.marginal_means(), NAMES).columns}
    assert columns["Estimator"] == ["Main effects"] * 9 + ["Restricted design"] * 9
    assert columns["AMCE"][9] == "reference" and columns["AMCE"][10] == "–"


def test_two_outcomes_are_told_apart_in_the_headings():
    both = {
        "amce": pd.concat([fake.amce(), fake.amce("choice")], ignore_index=True),
        "marginal_means": pd.concat(
            [fake.marginal_means(), fake.marginal_means("choice")], ignore_index=True
        ),
    }
    groups = list(dict.fromkeys(fake.tabulated(both, NAMES)["amce"].groups))
    assert groups[0] == "Rating: Sector" and groups[3] == "choice: Sector" and len(groups) == 6


def test_effects_carry_label_and_deviation():
    table = fake.effects()
    table.loc[0, "deviation"] = "D1; D2"
    labels = estimate.effects(table, SOURCES["randomization_inference"], NAMES).columns[-1].cells
    assert labels[:3] == ["confirmatory (deviates: D1; D2)", "secondary", "confirmatory"]
    assert MADE["effects"].columns[4].cells[0] == "<0.001"


def test_suppressed_cells_show_no_number():
    columns = {column.label: column.cells for column in MADE["subgroups"].columns}
    assert columns["Estimate"][0] == "suppressed"
    assert columns["95% interval"][0] == columns["n"][0] == "–"


def test_groups_stay_together_even_when_rows_come_mixed():
    mixed = fake.flow().sample(frac=1, random_state=1)
    groups = clean.flow(mixed, NAMES).groups
    assert len(list(dict.fromkeys(groups))) == sum(
        a != b for a, b in zip(groups, [None, *groups], strict=False)
    )


def test_an_empty_table_says_so():
    empty = estimate.deviations(fake.deviations().iloc[:0], NAMES)
    assert len(empty) == 0 and empty.notes == ["No deviation."]
    assert Cells(tables.as_page(empty)).open == []
    assert latex_rows(tables.as_latex(empty)) == []


@pytest.mark.parametrize("name", [name for name in TABLES if name != "deviations"])
def test_a_source_without_rows_makes_a_table_without_rows(name):
    table = EMPTY[name]
    assert len(table) == 0
    assert latex_rows(tables.as_latex(table)) == [] and Cells(tables.as_page(table)).open == []


def test_chosen_columns_show_each_kind_of_number_in_its_way():
    table = pd.DataFrame(
        {"outcome": ["sign"], "chi2_p": [1e-5], "n": [1234.0], "share": [0.12345], "ok": [True]}
    )
    columns = {"share": "Share", "n": "People", "chi2_p": "p", "ok": "Fine"}
    made = tables.Listing(columns, "outcome")(table, NAMES)
    assert [(c.label, c.cells[0]) for c in made.columns] == [
        ("Share", "0.123"),
        ("People", "1,234"),
        ("p", "<0.001"),
        ("Fine", "True"),
    ]
    assert list(made.groups) == ["Signed <b>it</b>"]


def test_equivalence_says_its_bound_and_its_level():
    columns = {c.label: c.cells for c in MADE["equivalence"].columns}
    assert columns["Bound"] == ["±0.050"] * 3 and "90% interval" in columns
    assert columns["Verdict"] == ["inconclusive", "equivalent", "not testable"]


def test_a_single_row_is_a_table_too():
    # Two arms and one outcome: pandas names a group after a list of one by a tuple.
    table = estimate.effects(fake.effects().iloc[:1], SOURCES["randomization_inference"], NAMES)
    assert len(table) == 1


def cells(table: tables.Table) -> dict[str, list[str]]:
    return {column.label: list(column.cells) for column in table.columns}


def test_the_diagnosis_shows_what_a_reader_needs_and_holds_everything():
    table, shown = MADE["diagnostics"], cells(MADE["diagnostics"])
    assert list(dict.fromkeys(table.groups)) == [
        "What would matter", "1 Heterogeneity", "2 Predictability", "3 Crossover", "4 Dividend",
    ]  # fmt: skip
    deciding = [q for q in shown["Quantity"] if q.endswith("(decides)")]
    assert deciding == [
        "Person × message variance (decides)", "Calibration slope (decides)",
        f"{theme.quantity('cross-half gain')} (decides)", "Nano − Overall best (decides)",
    ]  # fmt: skip
    assert [v for v in shown["Verdict"] if v] == ["INCONCLUSIVE", "FAIL", "FAIL", "FAIL"]
    heterogeneity = shown["Quantity"].index(deciding[0])
    assert shown["Ceiling on the gain"][heterogeneity] == "0.120"
    assert shown[diagnose.BOUNDS][heterogeneity] == "[0.050, 0.210]"
    assert shown["Ceiling on the gain"].count("") == len(table) - 4
    # The gain in all its estimators, other contrasts in one, no value of a policy, no attribute.
    assert sum(q.startswith("Nano − Overall best") for q in shown["Quantity"]) == 3
    assert shown["Quantity"].count("Nano − Random") == 1 and "Nano" not in shown["Quantity"]
    assert not any("Sector" in quantity for quantity in shown["Quantity"])
    assert shown["Estimate"][shown["Quantity"].index("Distinct petitions")] == "57.0"
    mains = fake.diagnostics().query("goal == 'support' and group == 'all'")
    assert len(table.data) == len(mains)


def test_the_diagnosis_by_attribute_has_a_row_an_attribute():
    shown = cells(MADE["diagnostics_attributes"])
    assert shown["Attribute"] == list(fake.ATTRIBUTES)
    assert shown["Person × message variance"][0] == "0.030 [0.006, 0.054]"
    assert shown["Kappa"][1] == "0.300 [0.202, 0.398]"


@pytest.mark.parametrize("name", ["A: b", "a - b", "a x b", "line\nbreak"])
def test_an_attribute_may_be_called_as_it_likes(name):
    table = fake.diagnostics({name: ["x"], "B": ["y"]})
    assert diagnose.diagnostics_attributes(table, NAMES).columns[0].cells == [name, "B"]
    assert not any(name in q for q in diagnose.diagnostics(table, NAMES).columns[0].cells)


def test_other_goals_and_groups_are_apart_and_exploratory():
    table = MADE["diagnostics_groups"]
    assert list(dict.fromkeys(table.groups)) == [
        "Dissuade, everybody", f"Support, support_group: {fake.NASTY}",
    ]  # fmt: skip
    assert "exploratory" in table.title and NEVER_FIELDED in table.notes
    assert cells(table)["Verdict"] == ["INCONCLUSIVE", "FAIL", "FAIL", "FAIL"] * 2
    only = fake.diagnostics().query("goal == 'support'")
    assert NEVER_FIELDED not in diagnose.diagnostics_groups(only, NAMES).notes
    dissuading = theme.Names(False, goal="dissuade")
    assert NEVER_FIELDED in diagnose.diagnostics(fake.diagnostics(), dissuading).notes
    assert len(diagnose.diagnostics(fake.diagnostics(), dissuading)) == 4


def test_endlessly_many_respondents_are_told_from_an_unknown_number():
    shown = cells(MADE["learning_curve"])
    assert shown["Respondents"] == ["372", "743", "1,115", "1,486", "2,972", "5,944", "∞"]
    assert shown["Share of the study"] == ["25%", "50%", "75%", "100%", "–", "–", "–"]


def test_ladder_and_frontier_show_gains_with_their_bounds():
    ladder = cells(MADE["ladder"])
    assert ladder["Gain"][1] == "0.010" and ladder[diagnose.BOUNDS][1] == "[−0.023, 0.043]"
    assert (
        ladder["Share predictable"][3] == "30%" and ladder["Looks at"][-1] == "12 covariates and own answers"
    )
    assert ladder["Improvement (SE)"][1] == "0.0020 (0.0015)"
    frontier = cells(MADE["frontier"])
    assert frontier["Petitions"][-1] == "20" and frontier[diagnose.BOUNDS][1] == "[−0.031, 0.051]"


def test_a_missing_number_says_why_in_a_footnote():
    table = MADE["ipw"]
    assert cells(table)["Estimate"][1] == "– (a)" and cells(table)["Estimate"][0] == "0.100"
    assert f"(a) The outcome does not vary in '{fake.NASTY}'." in table.notes


def test_what_all_rows_share_needs_no_mark_and_marks_do_not_run_out():
    assert parts.footnotes(["assumes x", "assumes x"]) == (["", ""], ["Assumes x."])
    assert parts.footnotes(["", "b.", "c", "b."]) == (["", " (a)", " (b)", " (a)"], ["(a) B.", "(b) C."])
    marks, notes = parts.footnotes([f"n{i}" for i in range(60)])
    assert marks[25:28] == [" (z)", " (aa)", " (bb)"] and len(set(marks)) == len(notes) == 60


@pytest.mark.parametrize("name", ["subgroups", "odds_ratios", "mobilisation", "gate", "fairness"])
def test_every_suppressed_row_says_so_and_shows_no_estimate(name):
    table, shown = MADE[name], cells(MADE[name])
    hidden = list(table.data["suppressed"])
    assert 0 < sum(hidden) < len(hidden)
    assert [cell == "suppressed" for cell in shown["Estimate"]] == hidden
    assert all(shown["95% interval"][i] == shown["n"][i] == "–" for i, h in enumerate(hidden) if h)
    assert parts.SUPPRESSED in table.notes


def test_balance_shows_arms_side_by_side_with_their_sizes():
    shown = cells(MADE["balance"])
    assert list(shown)[:6] == ["Covariate", "Level", "All", "control", "best", "nano"]
    assert shown["nano"] == ["101", "40.90", "45.0%"] and shown["control"] == ["100", "41.20", "50.0%"]
    assert shown["d, nano − best"] == ["", "−0.10", "−0.10"]


def test_holm_thresholds_follow_the_order_of_the_p_values():
    table = fake.effects()
    table.loc[:, "family"] = "main family"
    table = table[:4].assign(p_value=[0.2, 0.001, 0.04, float("nan")])
    made = estimate.multiplicity(table, NAMES)
    shown = cells(made)
    assert list(made.groups) == ["main family"] * 3
    assert shown["p"] == ["0.001", "0.040", "0.200"]
    assert shown["Holm's threshold"] == ["0.0167", "0.0250", "0.0500"]
    assert MADE["multiplicity"].groups[0] == "Signed <b>it</b>: Difference in means"


def test_p_values_of_redraws_stand_beside_differences_in_means_only():
    shown = cells(MADE["effects"])
    differences = [estimator == "Difference in means" for estimator in shown["Estimator"]]
    known = [pd.notna(p) for p in MADE["effects"].data["p_redrawn"]]
    assert sum(known) == 5  # of six differences one could not be redrawn
    assert [cell != "" for cell in shown["p, redrawn"]] == known
    assert all(d for d, k in zip(differences, known, strict=True) if k)


def test_lee_bounds_are_one_row_with_both_ends():
    table = MADE["lee_bounds"]
    assert len(table) == 6 and len(table.data) == 12
    assert cells(table)["Answered, first arm"][0] == "95.0%"
    assert cells(table)["Contrast"][1].endswith(" (a)")


def test_sentences_stand_under_the_equivalence_tests():
    assert fake.NASTY in MADE["equivalence"].notes


def test_shrunken_odds_ratios_are_exponentials():
    assert cells(MADE["odds_ratios"])["Shrunken"][0] == "1.221"


def test_participants_stand_by_arm():
    shown = cells(MADE["participants"])
    assert shown["Stage"] == ["Assessed", "Excluded", "Randomised", "Analysed"]
    assert shown["Everybody"][0] == "1,000" and shown["nano"][3] == "1,003"


def test_the_audit_says_what_follows_if_other_petitions_were_fielded():
    differing = fake.audit()
    assert assign.audit(differing, NAMES).notes == [assign.DISAGREED]
    assert assign.audit(differing.assign(share_agree=0.95), NAMES).notes == []
    assert assign.audit(differing.assign(share_agree=float("nan")), NAMES).notes == []


def test_effects_stand_by_outcome_with_errors_intervals_and_the_people_of_both_arms():
    table = MADE["effects_by_outcome"]
    shown = cells(table)
    assert list(shown) == ["", "Signed <b>it</b>, percentage points", "Support, points"]
    assert list(dict.fromkeys(table.groups)) == ["best − control", "nano − control", "nano − best"]
    first = [[column.cells[i] for column in table.columns] for i in range(14)]
    assert [row[0] for row in first if table.groups[first.index(row)]][:7] == [
        "Difference in means", "Standard error", "Interval", "p", "p, Holm", "p, redrawn", "Status",
    ]  # fmt: skip
    sign = fake.effects().iloc[0]
    assert first[0][1] == f"{100 * sign['estimate']:.1f}" and first[1][1] == "(5.0)"
    people = shown["Signed <b>it</b>, percentage points"][shown[""].index("Respondents in the two arms")]
    assert people == "194"  # twice 97, not the 500 of all arms
    pd.testing.assert_frame_equal(table.data, fake.effects())


def test_outcomes_by_arm_have_n_mean_deviation_median_and_shares():
    table = MADE["outcomes_by_arm"]
    rows = {(g, label): i for i, (g, label) in enumerate(zip(table.groups, cells(table)[""], strict=True))}
    assert list(cells(table)) == ["", "control", "best", "nano", "All"]
    support = [rows["Support", label] for label in ("n", "Mean", "Standard deviation", "Median")]
    assert [table.columns[1].cells[i] for i in support] == ["97", "0.400", "0.490", "0.000"]
    assert table.columns[1].cells[rows["Signed <b>it</b>", "Yes"]] == "40.0%"


def test_the_sample_stands_by_arm_with_the_population_and_how_far_arms_are_apart():
    shown = cells(MADE["sample"])
    assert list(shown)[2:6] == ["All", "control", "best", "nano"] and list(shown)[-1] == "Largest d"
    assert not any(label.startswith(estimate.APART) for label in shown)


def test_amce_by_outcome_have_errors_in_brackets_and_say_how_many_people():
    both = pd.concat([fake.amce("sign"), fake.amce()], ignore_index=True)
    table = calibrate.amce_by_outcome(both, NAMES)
    shown = cells(table)
    assert list(shown) == ["Level", "Signed <b>it</b>, percentage points", "Rating, points"]
    assert shown["Rating, points"][:2] == ["reference", "−0.013 (0.050)"]
    assert shown["Signed <b>it</b>, percentage points"][1] == "−1.3 (5.0)"
    assert "n = 500 petitions of 150 respondents." in table.notes[0]


def test_a_word_table_has_the_same_bytes_each_time_and_no_day():
    once, again = (tables.as_docx(MADE["sample"]) for _ in range(2))
    assert hashlib.sha256(once).digest() == hashlib.sha256(again).digest()
    with zipfile.ZipFile(io.BytesIO(once)) as package:
        assert {info.date_time for info in package.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    nasty = tables.Listing({"a": "A"})(pd.DataFrame({"a": ["x\x00<y>"]}), NAMES)
    assert docx_rows(tables.as_docx(nasty)) == [["A"], ["x <y>"]]
