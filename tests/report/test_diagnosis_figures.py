"""Figures of the diagnosis: what they draw and say, with good, empty and nasty tables."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from matplotlib.patches import Rectangle
from test_figures import NAMES, faults, points, written

import report_tables as fake
from nanotarget.diagnose.words import QUESTIONS, slope_reading
from nanotarget.report import catalogue, figures, theme
from nanotarget.report.figures import diagnose
from nanotarget.study import artefacts

MANY = {
    **fake.ATTRIBUTES,
    **{f"{fake.LONG} {k}": [f"L{j} {fake.LONG[: 30 * j]}" for j in range(1, 9)] for k in range(5)},
    **{f"Short {k}": ["yes", "no"] for k in range(6)},
}
ONE = {"A": ["only"]}
TABLES = ("diagnostics", "calibration", "ladder", "switches", "abundance", "frontier", "learning_curve")


def sources(attributes=fake.ATTRIBUTES) -> dict[str, pd.DataFrame]:
    made = {name: getattr(fake, name)() for name in TABLES}
    made["diagnostics"], made["switches"] = fake.diagnostics(attributes), fake.switches(attributes)
    return made


def without_variance(made):
    """Nothing varies and nothing differs."""
    for table in made.values():
        kept = ("k", "n", "rank", "n_covariates", "share")
        numbers = [c for c in table.select_dtypes("number") if c not in kept]
        table[numbers] = table[numbers] * 0.0


def without_bounds(made):
    for table in made.values():
        ends = [c for c in table if c.endswith(("low", "high", "error", "replicated"))]
        table[ends] = np.nan


def scaled(factor):
    def change(made):
        for table in made.values():
            numbers = [c for c in table.select_dtypes("float") if not c.startswith(("share", "slope"))]
            rows = table.get("quantity", pd.Series("", table.index)) != "calibration slope"
            table.loc[rows, [c for c in numbers if c != "n"]] *= factor

    return change


def drawn(made, names=NAMES) -> dict[str, figures.Drawn]:
    every = fake.drawn({"flow": fake.flow(), **made}, names)
    del every["flow"]
    return every


def said(figure) -> str:
    return " ".join(text for text, _ in written(figure))


@pytest.mark.parametrize("attributes", [MANY, ONE], ids=["many", "one"])
def test_labels_fit_whatever_the_attributes_are_called(attributes):
    made = drawn(sources(attributes))
    for name in ("variance", "switches"):
        assert faults(made[name].figure) == []
        shown = said(made[name].figure).replace(" ", "")
        assert all(attribute.replace(" ", "") in shown for attribute in attributes)
    shown = said(made["switches"].figure).replace(" ", "")
    if attributes is ONE:  # its one level is everybody's
        assert made["switches"].description.startswith("Nothing to show: nano gives nobody")
    else:
        assert all(level.replace(" ", "") in shown for levels in attributes.values() for level in levels)


@pytest.mark.parametrize("change", [without_variance, without_bounds, scaled(1e5), scaled(1e-3)])
@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_degenerate_numbers_are_drawn_without_clipping_and_without_the_word_nan(change):
    made = sources()
    change(made)
    for name, figure in drawn(made).items():
        assert faults(figure.figure) == [], name
        assert "nan" not in (said(figure.figure) + figure.description).lower().split(), name


def test_an_empty_table_says_why_in_one_line():
    made = {name: artefacts.read_csv(io.StringIO(table.iloc[:0].to_csv(index=False)))
            for name, table in sources().items()}  # fmt: skip
    figures_ = drawn(made)
    for name, figure in figures_.items():
        assert faults(figure.figure) == []
        assert list(figure.data.columns), name
    assert figures_["ladder"].description.startswith("No ladder: ")
    assert figures_["variance"].description.startswith("No variance is split: ")
    for name in ("calibration", "switches", "abundance", "dividend", "frontier", "learning"):
        assert catalogue.NO_PREDICTION in said(figures_[name].figure)
    assert said(figures_["funnel"].figure).count("not evaluated") == 4


def test_the_funnel_shows_the_ceilings_bounds_and_verdicts_of_the_studys_own_goal():
    figure = diagnose.funnel(fake.diagnostics(), NAMES)
    axes = figure.figure.axes[0]
    assert points(axes) == [0.12, 0.03, -0.01, 0.002]
    assert list(figure.data["diagnostic"]) == list(QUESTIONS) and set(figure.data["goal"]) == {"support"}
    shown = said(figure.figure)
    assert "0.120 [0.050, 0.210] INCONCLUSIVE" in shown.replace("  ", " ") and shown.count("FAIL") == 4
    assert "Smallest gain that matters: 0.1" in shown and "Gain over overall-best (rating points)" in shown
    lines = [line.get_xdata()[0] for line in axes.lines if len(set(line.get_xdata())) == 1]
    assert 0.1 in lines and axes.get_xlim()[1] > 0.21
    markers = [line.get_marker() for line in axes.lines if line.get_marker() != "None"]
    assert markers == ["D", "X", "X", "X"]
    # What is not ruled out ends at the upper bound.
    bands = [p for p in axes.patches if isinstance(p, Rectangle)]
    assert [round(p.get_x() + p.get_width(), 3) for p in bands] == [0.21, 0.06, 0.023, 0.051]


@pytest.mark.parametrize("missing", ["row", "verdict"])
def test_a_stage_that_was_not_evaluated_has_no_point(missing):
    table = fake.diagnostics()
    crossover = table["quantity"] == "cross-half gain"
    table = table[~crossover] if missing == "row" else table
    table.loc[crossover.reindex(table.index), "verdict"] = "NOT EVALUATED"
    figure = diagnose.funnel(table, NAMES)
    assert points(figure.figure.axes[0]) == [0.12, 0.03, 0.002]
    assert said(figure.figure).count("not evaluated") == 1
    assert "crossover not evaluated" in figure.description


def test_dissuasion_is_compared_with_overall_worst():
    names = theme.Names(True, goal="dissuade", unit="rating points")
    figure = diagnose.funnel(fake.diagnostics(), names)
    assert set(figure.data["goal"]) == {"dissuade"}
    assert "over overall-worst (rating points)" in said(figure.figure)


def test_parts_of_the_variance_are_stacked_from_zero_to_one_with_negative_ones_left_out():
    table = fake.diagnostics()
    table.loc[table["quantity"] == "common message variance", "estimate"] = -0.1
    figure = diagnose.variance(table, NAMES)
    bars = [p for p in figure.figure.axes[0].patches if isinstance(p, Rectangle)]
    total = 0.13 + 1.2 + 1.4
    assert [round(p.get_width(), 4) for p in bars] == [round(v / total, 4) for v in (0.13, 1.2, 1.4)]
    assert bars[0].get_x() == 0 and bars[-1].get_x() + bars[-1].get_width() == pytest.approx(1)
    assert "Common message 0.0%" in said(figure.figure)
    person = figure.data.iloc[0]
    assert person["share"] == pytest.approx(0.13 / total)
    assert person["share_high"] == pytest.approx((0.13 + 1.96 * 0.04) / total)
    # Attributes in the unit of the whole: percent of the variance.
    assert points(figure.figure.axes[1]) == pytest.approx([3 / total, 1 / total, -1 / total])


def test_parts_of_the_variance_differ_without_colour():
    looks = [(fill, hatch) for _, fill, hatch in diagnose.PARTS.values()]
    grey = [float(np.array(to_rgb(fill)) @ [0.299, 0.587, 0.114]) for fill, _ in looks]
    pairs = [(a, b) for k, a in enumerate(range(4)) for b in range(k + 1, 4)]
    assert all(abs(grey[a] - grey[b]) > 0.12 or looks[a][1] != looks[b][1] for a, b in pairs)


def test_choices_have_no_baseline():
    table = fake.diagnostics()
    table = table[table["quantity"] != "baseline variance"]
    assert "Baseline" not in said(diagnose.variance(table, NAMES).figure)


@pytest.mark.parametrize(("low", "high"), [(0.3, 0.8), (-0.2, 1.8)])
def test_the_slope_is_read_out(low, high):
    table = fake.diagnostics()
    slope = table["quantity"] == "calibration slope"
    table.loc[slope, ["estimate", "conf_low", "conf_high"]] = [(low + high) / 2, low, high]
    figure = diagnose.calibration(fake.calibration(), table, NAMES).figure
    assert f": {slope_reading(low, high)}." in said(figure)


def test_calibration_draws_every_bin_and_the_line_of_perfect_predictions():
    axes = diagnose.calibration(fake.calibration(), fake.diagnostics(), NAMES).figure.axes[0]
    bins = next(line for line in axes.lines if line.get_marker() == "o")
    assert list(bins.get_ydata()) == list(fake.calibration()["observed"])
    ends = [line for line in axes.lines if len(line.get_xdata()) == 2]
    assert any(list(line.get_xdata()) == list(line.get_ydata()) == [-0.31, 0.35] for line in ends)


def test_the_heat_map_marks_overall_best_by_more_than_colour():
    figure = diagnose.switches(fake.switches(), NAMES)
    shown = [text for text, _ in written(figure.figure)]
    assert {"★ Energy", "★ *starred*", "★ 税金"} <= set(shown)
    assert sum(text.startswith("★") for text in shown) == 3 + 1  # and the legend
    frames = [p for p in figure.figure.patches + figure.figure.artists if isinstance(p, Rectangle)]
    assert sum(p.get_linewidth() > 1 for p in frames) == 3
    assert "96% (57%)" in shown and "<1% (<1%)" in shown
    assert "kept least in " in figure.description and fake.NASTY in figure.description


def test_the_number_of_petitions_is_never_said_without_its_null():
    table = fake.diagnostics()
    figure = diagnose.abundance(fake.abundance(), table, NAMES)
    assert "Distinct petitions: 57; with permuted covariates 49 [39, 59]." in said(figure.figure)
    alone = table[table["estimator"] != "permuted"]
    figure = diagnose.abundance(fake.abundance(), alone, NAMES)
    assert "57" not in said(figure.figure) + figure.description
    only = fake.abundance().query("source == 'observed'")
    assert faults(diagnose.abundance(only, alone, NAMES).figure) == []


def test_the_frontier_shows_every_k_beside_nano():
    figure = diagnose.frontier(fake.frontier(), fake.diagnostics(), NAMES)
    axes = figure.figure.axes[0]
    curve = next(line for line in axes.lines if line.get_marker() == "o")
    assert list(curve.get_xdata()) == [1, 2, 3, 5, 8, 13, 20]
    assert list(curve.get_ydata()) == list(fake.frontier()["gain"])
    levels = {line.get_ydata()[0] for line in axes.lines if len(set(line.get_ydata())) == 1}
    assert {0.0, 0.1, 0.002} <= levels
    assert "0.001 with 20 petitions, 0.002 with nano" in figure.description


def test_extrapolated_gains_differ_from_measured_ones_in_shape_and_line():
    axes = diagnose.learning(fake.learning_curve(), fake.diagnostics(), NAMES).figure.axes[0]
    measured = next(line for line in axes.lines if line.get_marker() == "o")
    guessed = next(line for line in axes.lines if line.get_marker() == "D")
    assert list(measured.get_xdata()) == [372, 743, 1115, 1486]
    assert list(guessed.get_xdata())[:2] == [2972, 5944] and len(guessed.get_xdata()) == 3
    assert measured.get_linestyle() == "-" and guessed.get_linestyle() == "None"
    assert guessed.get_markerfacecolor() == "white"
    labels = [tick.get_text() for tick in axes.get_xticklabels()]
    assert "∞" in labels and "1,486" in labels


def test_the_ladder_has_a_row_a_rung_in_every_panel():
    figure = diagnose.ladder(fake.ladder(), fake.diagnostics(), NAMES)
    improvement, slope, gain = figure.figure.axes
    assert points(improvement) == list(fake.ladder()["improvement"])
    assert points(slope) == list(fake.ladder()["slope"]) and points(gain) == list(fake.ladder()["gain"])
    shown = said(figure.figure)
    assert "one covariate: ridge, 1 covariate" in shown and "12 covariates and own answers" in shown


def test_dividend_draws_differences_between_policies_for_the_studys_goal_only():
    figure = diagnose.dividend(fake.diagnostics(), NAMES)
    assert list(figure.data["quantity"].unique()) == [
        "nano - overall_best", "nano - random", "overall_best - random",
    ]  # fmt: skip
    assert len(figure.data) == 9 and set(figure.data["goal"] + figure.data["group"]) == {"supportall"}
    assert "0.100 [0.041, 0.159]" in figure.description
    bands = [p for p in figure.figure.axes[0].patches if isinstance(p, Rectangle)]
    assert {p.get_x() + p.get_width() for p in bands} == {0.1}
    assert not figure.figure.axes[1].patches


def test_without_a_smallest_gain_there_is_no_line_of_it():
    table = fake.diagnostics()
    table = table[table["diagnostic"] != "threshold"]
    made = drawn({**sources(), "diagnostics": table})
    assert not any("matters" in said(figure.figure) for figure in made.values())


def test_the_svg_as_text_is_the_svg_as_file(tmp_path):
    figure = diagnose.funnel(fake.diagnostics(), NAMES).figure
    for description in ("", f"{fake.NASTY}\n{fake.JAPANESE}"):
        theme.save(figure, tmp_path / "funnel", description)
        text = (tmp_path / "funnel.svg").read_text("utf-8")
        assert theme.svg(figure, description) == text and theme.described(text) == description


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("person x message variance, lag 1", "Person × message variance, lag 1"),
        ("kappa: a x b - c", "Kappa: a x b - c"),
        ("nano - overall_best", "Nano − Overall best"),
        ("lag difference", theme.QUANTITIES["lag difference"]),
    ],
)
def test_quantities_are_named_for_people_and_attributes_stay_as_they_are(text, label):
    assert theme.quantity(text) == label
