"""Figures: nothing clipped or overlapping, texts verbatim, numbers where they belong, same bytes."""

from __future__ import annotations

import itertools
import json
import re
import warnings
from functools import lru_cache

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.patches import Rectangle
from matplotlib.text import Text

import report_tables as fake
from nanotarget.report import figures, theme
from nanotarget.report.figures import assign, calibrate, clean, estimate, explore

NAMES = theme.Names(
    True,
    {"rating": "Rating of a petition (0 to 10)"},
    {"sign": "Signed the petition", "support": fake.LONG},
    frozenset({"sign"}),
    fake.ARMS,
    analysed="rating",
    unit="rating points",
)
SOURCES = fake.Later(fake.drawable)
NOT_TESTED = fake.equivalence().iloc[:0]
DIAGNOSIS = [
    "funnel", "variance", "calibration", "ladder", "switches", "abundance", "dividend", "frontier",
    "learning",
]  # fmt: skip
FIGURES = [
    "flow", "amce", "marginal_means", "groups", "interactions", "reliability", *DIAGNOSIS, "petitions",
    "effects", "subgroups",
]  # fmt: skip


@pytest.fixture(scope="module")
def drawn() -> dict[str, figures.Drawn]:
    return fake.drawn(SOURCES, NAMES)


@pytest.fixture(scope="module")
def unmarked() -> dict[str, figures.Drawn]:
    """Figures of data that are not simulated."""
    return fake.drawn(SOURCES, theme.Names(False, NAMES.ratings, NAMES.outcomes, NAMES.binary, NAMES.arms))


@lru_cache(maxsize=32)
def drawn_texts(figure) -> list[tuple[Text, object]]:
    """Every text that is really drawn (ticks outside the view are not) with its box in pixels."""
    canvas, found = FigureCanvasAgg(figure), {}
    draw = Text.draw

    def record(self, renderer):
        draw(self, renderer)
        if self.get_text().strip() and self.get_visible():
            found[self] = self.get_window_extent(renderer)

    with pytest.MonkeyPatch.context() as patch, theme.drawing(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        patch.setattr(Text, "draw", record)
        canvas.draw()
    return list(found.items())


def written(figure) -> list[tuple[str, object]]:
    return [(artist.get_text(), box) for artist, box in drawn_texts(figure)]


def faults(figure) -> list[str]:
    """Texts that leave the page or lie on each other by more than a pixel."""
    texts = written(figure)
    width, height = figure.get_size_inches() * figure.dpi
    out = [
        f"clipped: {text}"
        for text, box in texts
        if box.x0 < 0 or box.y0 < 0 or box.x1 > width or box.y1 > height
    ]
    for (a, first), (b, second) in itertools.combinations(texts, 2):
        across = min(first.x1, second.x1) - max(first.x0, second.x0)
        down = min(first.y1, second.y1) - max(first.y0, second.y0)
        if across > 1 and down > 1:
            out.append(f"overlap: {a!r} and {b!r}")
    return out


def test_every_source_has_its_figure(drawn):
    assert list(drawn) == FIGURES
    assert list(fake.drawn({"flow": fake.flow()}, NAMES)) == ["flow"]


@pytest.mark.parametrize("name", FIGURES)
def test_no_text_is_clipped_or_overlaps(drawn, name):
    assert faults(drawn[name].figure) == []


@pytest.mark.parametrize("arms", [2, 5, 9])
@pytest.mark.parametrize("long", [False, True])
def test_flow_has_room_for_any_number_of_arms(arms, long):
    names = [f"{fake.LONG if long else 'arm'} {k}" for k in range(arms)]
    rows = [
        {"sample": "experiment", "step": "No consent", "rule": "in", "arm": arm, "n_before": 1000000,
         "n_excluded": 10, "n_after": 999990}
        for arm in ["all", *names]
    ]  # fmt: skip
    figure = clean.flow(pd.DataFrame(rows), theme.Names(True, arms=tuple(names))).figure
    assert faults(figure) == []
    shown = " ".join(text for text, _ in written(figure))
    assert all(f"{k}" in shown for k in range(arms)) and "Kept: n = 999,990" in shown


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e6])
def test_ticks_and_numbers_keep_apart_at_any_scale(scale):
    table = fake.effects()
    table[["estimate", "std_error", "conf_low", "conf_high"]] *= scale
    assert faults(estimate.effects(table, NOT_TESTED, NAMES).figure) == []


def test_headings_use_the_room_beside_short_labels():
    short = fake.subgroups().assign(group="g", grouping="a_rather_long_name_of_a_grouping")
    shown = [text for text, _ in written(explore.subgroups(short, NAMES).figure)]
    assert any("a_rather_long_name_of_a_grouping" in text for text in shown)


def test_texts_of_data_are_shown_verbatim_and_never_as_mathematics(drawn):
    figure = drawn["subgroups"].figure
    assert all(not artist.get_parse_math() for artist, _ in drawn_texts(figure))
    shown = " ".join(text for text, _ in written(figure))
    assert fake.NASTY in shown


def test_long_labels_and_many_levels_make_the_figure_taller(drawn):
    effects = fake.amce()
    short = effects[effects["attribute"] == "Sector"]
    small = calibrate.amce(short, NAMES).figure.get_size_inches()
    large = drawn["amce"].figure.get_size_inches()
    many = pd.concat([short.assign(level=short["level"] + f" {k}") for k in range(30)])
    huge = calibrate.amce(many, NAMES).figure
    assert small[0] == large[0] == theme.PAGE_WIDTH
    assert small[1] < large[1] < huge.get_size_inches()[1]
    assert faults(huge) == []


def test_flow_keeps_attrition_apart_from_exclusions():
    rows = [
        ("In the raw file", None, 110, 0),
        ("No consent", "in", 110, 10),
        (clean.OBSERVED, "y", 100, 3),
    ]
    table = pd.DataFrame(
        [
            {"sample": "experiment", "step": step, "rule": rule, "arm": arm, "n_before": before,
             "n_excluded": lost, "n_after": before - lost}
            for step, rule, before, lost in rows
            for arm in ("all", "nano", "none")
        ]
    )  # fmt: skip
    shown = [text for text, _ in written(clean.flow(table, NAMES).figure)]
    assert "Excluded: n = 10" in shown and "n = 100" in shown
    assert "Outcome missing: 3" in shown and "Outcome observed: n = 97" in shown
    assert not any("In the raw file" in text or "none" in text for text in shown)


def points(axes) -> list[float]:
    """Estimates that a panel shows, from top to bottom."""
    marked = [line for line in axes.lines if line.get_marker() != "None" and len(line.get_xdata()) == 1]
    shown = [(line.get_ydata()[0], line.get_xdata()[0]) for line in marked]
    return [x for _, x in sorted(shown)]


def test_amce_shows_the_numbers_of_both_outcomes_and_open_reference_levels():
    effects = pd.concat([fake.amce("sign"), fake.amce()], ignore_index=True)
    figure = calibrate.amce(effects, NAMES).figure
    choice, rating = figure.axes
    own = fake.amce()["estimate"]
    assert points(rating) == list(own) and points(choice) == pytest.approx(list(100 * own))
    marked = [line for line in rating.lines if len(line.get_xdata()) == 1]
    fills = [(line.get_xdata()[0] == 0, to_rgb(line.get_markerfacecolor()) == (1, 1, 1)) for line in marked]
    assert fills.count((True, True)) == 3 and fills.count((False, False)) == len(fills) - 3
    shown = [text for text, _ in written(figure)]
    assert "a Signed the petition" in shown and "Effect (percentage points)" in shown
    assert faults(figure) == []


def test_marginal_means_show_the_numbers_of_their_table(drawn):
    assert points(drawn["marginal_means"].figure.axes[0]) == list(fake.marginal_means()["estimate"])


def test_amce_of_a_restricted_design_draws_the_estimator_that_allows_for_it():
    restricted = fake.amce(estimator="restricted").assign(estimate=lambda t: t["estimate"] * 2)
    restricted.loc[1, ["estimate", "std_error", "conf_low", "conf_high"]] = float("nan")
    both = pd.concat([fake.amce(), restricted], ignore_index=True)
    assert points(calibrate.amce(both, NAMES).figure.axes[0]) == list(restricted["estimate"].dropna())


def test_effects_show_every_row_once_and_the_band_of_the_smallest_effect_only_where_it_is_tested(drawn):
    sign, support = drawn["effects"].figure.axes
    table, tests = fake.effects(), fake.equivalence()
    of = {outcome: own["estimate"] for outcome, own in table.groupby("outcome")}
    assert points(sign) == pytest.approx(list(100 * of["sign"]))  # percentage points
    assert points(support) == pytest.approx(list(of["support"]))
    bands = [p for p in sign.patches if isinstance(p, Rectangle)]
    assert [(p.get_x(), p.get_x() + p.get_width()) for p in bands] == [(-5, 5)]
    assert not [p for p in support.patches if isinstance(p, Rectangle)]
    assert "Difference (percentage points)" in [text for text, _ in written(drawn["effects"].figure)]
    data = drawn["effects"].data
    assert list(data.loc[data["estimator"] == "tost", "verdict"]) == list(tests["verdict"])
    alone = estimate.effects(table, NOT_TESTED, NAMES).figure.axes[0]
    assert not [p for p in alone.patches if isinstance(p, Rectangle)]


def test_what_cannot_be_estimated_leaves_its_row_empty():
    table = fake.effects()
    columns = ["estimate", "std_error", "statistic", "p_value", "conf_low", "conf_high", "df"]
    table.loc[(table.index == 0) | (table["outcome"] == "support"), columns] = float("nan")
    figure = estimate.effects(table, NOT_TESTED, NAMES).figure
    sign, support = figure.axes
    assert points(sign) == pytest.approx(
        list(100 * table.loc[table["outcome"] == "sign", "estimate"].dropna())
    )
    assert points(support) == [] and faults(figure) == []


def test_suppressed_cells_show_no_number(drawn):
    shown = [text for text, _ in written(drawn["subgroups"].figure)]
    assert shown.count("too few people to show") == 1
    assert not any(re.search(r"\bnan\b", text) for text in shown)


def test_petition_frequencies_name_no_petition(drawn):
    data = drawn["petitions"].data
    assert list(data.columns) == ["policy", "rank", "petitions", "n_assigned"]
    assert dict(data.groupby("policy")["n_assigned"].sum()) == {
        "random": 120,
        "overall_best": 120,
        "nano": 120,
    }
    assert list(data.loc[data["policy"] == "nano", "n_assigned"]) == [60, 30, 20, 10]


@pytest.mark.parametrize("name", FIGURES)
def test_simulated_data_are_marked_on_every_figure_and_real_ones_on_none(drawn, unmarked, name):
    mark = theme.SIMULATED.upper()
    assert [text for text, _ in written(drawn[name].figure)].count(mark) == 1
    assert mark not in [text for text, _ in written(unmarked[name].figure)]


def test_files_are_the_same_bytes_whatever_the_users_settings_are(drawn, tmp_path):
    theme.save(drawn["petitions"].figure, tmp_path / "a")
    with matplotlib.rc_context(
        {"svg.fonttype": "none", "savefig.dpi": 50, "font.size": 20, "pdf.fonttype": 3}
    ):
        theme.save(assign.petitions(fake.petitions(), NAMES).figure, tmp_path / "b")
    for suffix in theme.FORMATS:
        content = (tmp_path / f"a.{suffix}").read_bytes()
        assert content == (tmp_path / f"b.{suffix}").read_bytes()
        assert b"Matplotlib v" not in content and b"CreationDate" not in content and b"dc:date" not in content
    pdf = (tmp_path / "a.pdf").read_bytes()
    assert b"/FontFile2" in pdf and b"/Type3" not in pdf
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


@pytest.mark.parametrize(
    "text", ["支持する", "支持这份请愿书", "청원을 지지", "أؤيد العريضة", "Ich stimme zu – ŁódźΩЖ"]
)
def test_the_fonts_have_the_letters_of_many_scripts(text):
    assert theme.without_glyph([text]) == []


def test_a_script_without_glyphs_stays_text_in_the_svg_and_is_told(tmp_path, caplog):
    figure = figures.page.sentence("ठहर जाओ", NAMES)
    theme.save(figure, tmp_path / "hindi")
    svg = (tmp_path / "hindi.svg").read_text("utf-8")
    assert "जाओ" in svg and "no glyph for" in caplog.text and set(theme.boxes(svg)) == set("ठहरजाओ")
    theme.save(figures.page.sentence(fake.JAPANESE, NAMES), tmp_path / "japanese")
    assert theme.boxes((tmp_path / "japanese.svg").read_text("utf-8")) == ""
    assert b"NotoSansCJKjp" in (tmp_path / "japanese.pdf").read_bytes()


def test_neighbouring_colours_differ_in_grey():
    linear = [np.array(to_rgb(c)) for c in theme.PALETTE]
    grey = [float(c @ [0.299, 0.587, 0.114]) for c in linear]
    assert min(abs(a - b) for a, b in itertools.pairwise(grey)) > 0.12
    assert len(set(theme.MARKERS)) == len(theme.MARKERS) >= len(theme.PALETTE)
    assert len(set(estimate.LABELS.values())) == 3


@pytest.mark.parametrize("text", [fake.LONG, fake.NASTY, "x" * 300, fake.JAPANESE * 20, "", "a  b"])
def test_wrapped_lines_fit_and_lose_nothing(text):
    lines = theme.wrap(text, 1.0)
    assert all(theme.text_width(line) <= 1.0 for line in lines)
    assert "".join(lines).replace(" ", "") == "".join(text.split())


@pytest.mark.parametrize(
    ("value", "places", "text"),
    [
        (0.1234, 2, "0.12"),
        (-0.1234, 2, "−0.12"),
        (-0.0001, 2, "0.00"),
        (-1234.5, 1, "−1,234.5"),
        (float("nan"), 2, "–"),
        (None, 2, "–"),
        (float("inf"), 2, "∞"),
        (3113, 0, "3,113"),
    ],
)
def test_numbers(value, places, text):
    assert theme.number(value, places) == text


def test_decimals_show_two_digits_of_the_median_error():
    assert theme.decimals([0.001, 0.05, 0.2]) == 3
    assert theme.decimals([1.3]) == 1
    assert theme.decimals([20.0]) == 0
    assert theme.decimals([float("nan"), 0.0]) == 3
    assert theme.p_value(0.0004) == "<0.001"
    assert theme.p_value(0.04) == "0.040"
    assert theme.percent(0.95) == "95%" and theme.percent(0.975) == "97.5%"


def test_names_come_from_the_config():
    settings = {
        "synthetic": False,
        "has": ["calibration"],
        "ratings": {"rating": {"column": "r", "range": [0, 10]}, "choice": {"column": "c"}},
        "outcomes": [
            {"name": "sign", "kind": "binary", "label": None},
            {"name": "s", "kind": "continuous", "label": "S"},
        ],
        "arms": [{"name": "a"}],
        "covariates": [],
        "subgroups": [],
        "alpha": 0.1,
        "confidence": 0.8,
        "goal": "dissuade",
        "analysed": "rating",
        "profiles": 2,
    }
    names = theme.Names.from_settings(json.loads(json.dumps(settings)))
    assert list(names.ratings) == ["choice", "rating"]
    assert [names.of(o) for o in ("sign", "s", "unknown")] == ["sign", "S", "unknown"]
    assert names.binary >= {"sign", "choice"} and "rating" not in names.binary
    assert names.level == 0.9 and names.confidence == 0.8
    assert names.goal == "dissuade" and names.unit == "rating points"
    assert names.indifference == {"choice": 0.5}
    empty = settings | {"ratings": None, "outcomes": [], "arms": []}
    assert theme.Names.from_settings(empty).ratings == {}
