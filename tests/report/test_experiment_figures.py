"""Figures of the experiment and explorations: what they draw and say, with good, equal and empty tables."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.patches import Rectangle
from test_figures import faults, points, written

import experiment_tables as made
import report_tables as fake
from nanotarget.clean.flow import FLOW_COLUMNS
from nanotarget.report import catalogue, figures, theme
from nanotarget.report.figures import calibrate, clean, estimate, explore

NAMES = theme.Names(
    True,
    {"rating": "Rating of a petition (0 to 10)"},
    {"sign": "Signed", "support": fake.LONG},
    frozenset({"sign"}),
    made.ARMS,
    analysed="rating",
    unit="rating points",
)
FIGURES = [
    "participants", "design", "imces", "effects", "randomization", "specifications", "bounds", "subgroups",
    "tail", "polarisation", "gap", "validation", "dilution", "dose", "targeting", "dissuasion",
]  # fmt: skip
SOURCES = fake.Later(made.sources)


def of_one_outcome() -> dict[str, pd.DataFrame]:
    return {
        name: table[table["outcome"].isna() | (table["outcome"] == "support")]
        if "outcome" in table
        else table
        for name, table in SOURCES.items()
    }


def drawn_from(sources, names=NAMES, *wanted) -> dict[str, figures.Drawn]:
    found = fake.drawn({"flow": fake.flow(), **sources}, names, *wanted)
    found.pop("flow", None)
    return found


@pytest.fixture(scope="module")
def drawn() -> dict[str, figures.Drawn]:
    return drawn_from(SOURCES)


@pytest.fixture(scope="module")
def real() -> dict[str, figures.Drawn]:
    names = theme.Names(False, NAMES.ratings, NAMES.outcomes, NAMES.binary, NAMES.arms)
    return drawn_from(SOURCES, names)


@pytest.fixture(scope="module")
def alike() -> dict[str, pd.DataFrame]:
    """Nano gives everybody the overall-best petition."""
    return made.sources(differ=False)


def said(figure) -> str:
    return " ".join(text for text, _ in written(figure))


def solid(text: str) -> str:
    return "".join(text.split())


def test_every_source_has_its_figures(drawn):
    assert list(drawn) == FIGURES


@pytest.mark.parametrize("name", FIGURES)
def test_no_text_is_clipped_or_overlaps(drawn, name):
    assert faults(drawn[name].figure) == []
    assert "nan" not in (said(drawn[name].figure) + " " + drawn[name].description).lower().split()


@pytest.mark.parametrize("name", FIGURES)
def test_simulated_data_are_marked_and_real_ones_are_not(drawn, real, name):
    mark = theme.SIMULATED.upper()
    assert said(drawn[name].figure).count(mark) == 1
    assert mark not in said(real[name].figure)


@pytest.mark.parametrize("name", ["participants", "randomization", "dose"])
def test_files_are_the_same_bytes(drawn, tmp_path, name):
    theme.save(drawn[name].figure, tmp_path / "a")
    theme.save(drawn_from(SOURCES, NAMES, name)[name].figure, tmp_path / "b")
    for suffix in theme.FORMATS:
        assert (tmp_path / f"a.{suffix}").read_bytes() == (tmp_path / f"b.{suffix}").read_bytes()


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_empty_tables_say_why_in_one_line():
    for name, figure in drawn_from({k: made.reread(t.iloc[:0]) for k, t in SOURCES.items()}).items():
        texts = [text for text, _ in written(figure.figure) if text != theme.SIMULATED.upper()]
        assert " ".join(texts) == figure.description, name
        assert faults(figure.figure) == [] and figure.description.startswith("No"), name


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_where_nano_is_overall_best_for_all_the_figures_say_so(alike):
    found = drawn_from(alike)
    assert all(faults(figure.figure) == [] for figure in found.values())
    assert found["targeting"].description == "No curve: nobody is promised more than anybody else."
    assert found["dilution"].description == found["dose"].description == catalogue.ALIKE
    assert "No slope: nobody is promised more than" in said(found["validation"].figure)


@pytest.mark.parametrize("scale", [1e-4, 1e6])
def test_numbers_of_any_size_keep_apart(scale):
    columns = ["estimate", "std_error", "conf_low", "conf_high", "effect_low", "effect_high", "naive",
               "shrunken", "shrunken_low", "shrunken_high", "predicted", "predicted_low", "predicted_high",
               "mean", "q05", "q25", "q50", "q75", "q95"]  # fmt: skip
    scaled = {
        name: table.assign(**{c: table[c] * scale for c in columns if c in table})
        for name, table in of_one_outcome().items()
    }
    for name, figure in drawn_from(scaled).items():
        assert faults(figure.figure) == [], name


def test_what_cannot_be_estimated_leaves_its_place_empty():
    numbers = ["estimate", "std_error", "statistic", "p_value", "conf_low", "conf_high", "effect_low",
               "effect_high", "naive", "shrunken", "shrunken_low", "shrunken_high"]  # fmt: skip
    blank = {
        name: table.assign(**{c: np.nan for c in numbers if c in table}, note="why")
        for name, table in of_one_outcome().items()
    }
    del blank["design"], blank["imces"], blank["participants"]
    for name, figure in drawn_from(blank).items():
        assert faults(figure.figure) == [], name
        assert "nan" not in (said(figure.figure) + " " + figure.description).lower().split(), name


def test_participants_are_counted_at_every_stage(drawn):
    shown = said(drawn["participants"].figure)
    table = SOURCES["participants"]
    assert "Assessed n = 390" in shown and "Excluded: n = 30" in shown and "Randomised n = 360" in shown
    for stage, label in (("received", "Received: {}"), ("failed check", "After treatment: {}")):
        for n in table.loc[(table["stage"] == stage) & (table["arm"] != "all"), "n"]:
            assert label.format(n) in shown
    for stage in ("not completed", "analysed"):
        rows = table[(table["stage"] == stage) & (table["arm"] != "all") & (table["outcome"] == "sign")]
        assert len(rows) == 3 and all(f"Signed: {n}" in shown for n in rows["n"])
    assert solid(fake.NASTY) in solid(shown)


def test_deliveries_and_checks_that_nobody_logged_are_not_counted():
    table = made.participants(made.people().assign(delivered=pd.NA, passed=pd.NA))
    shown = said(clean.participants(table, NAMES).figure)
    assert "Received" not in shown and "not logged" not in shown and "check" not in shown
    assert "Randomised: 120" in shown and "Outcome missing" in shown


def test_people_who_are_in_no_arm_are_not_lost():
    table = SOURCES["participants"]
    table = table[table["stage"] != "excluded"]
    assert "In no arm: 30" in said(clean.participants(table, NAMES).figure)


@pytest.mark.parametrize("arms", [2, 5, 9])
def test_participants_have_room_for_any_number_of_arms(arms):
    names = tuple(f"{fake.LONG} {k}" for k in range(arms))
    first = SOURCES["participants"]
    one = first[first["arm"] == made.BEST]
    table = pd.concat([first[first["arm"] == "all"], *(one.assign(arm=name) for name in names)])
    figure = clean.participants(table, theme.Names(True, outcomes=NAMES.outcomes, arms=names)).figure
    assert faults(figure) == []
    assert said(figure).count("Analysed") == arms


def test_the_design_shows_every_level_with_its_share_and_the_text_of_the_example(drawn):
    shown = solid(said(drawn["design"].figure))
    for attribute, levels in fake.ATTRIBUTES.items():
        assert all(solid(text) in shown for text in (attribute, *levels))
    assert (
        shown.count("33.3%") == 3 and shown.count("25%") == 4 and shown.count("50%") == 2 + 1
    )  # "50% of ..."
    text = SOURCES["design"].loc[SOURCES["design"]["example"], "petition_text"].iloc[0]
    assert "\n" in text and all(solid(line) in shown for line in text.splitlines())
    filled = [a for a in drawn["design"].figure.artists if getattr(a, "get_marker", str)() == "o"]
    inked = [a.get_markerfacecolor() == theme.INK for a in filled]
    assert sum(inked) == 3 + 1  # one an attribute, and the legend's


def test_effects_of_levels_show_their_quantiles(drawn):
    axes, table = drawn["imces"].figure.axes[0], SOURCES["imces"]
    assert points(axes) == list(table["q50"])
    boxes = [(p.get_x(), p.get_x() + p.get_width()) for p in axes.patches if isinstance(p, Rectangle)]
    assert np.allclose(boxes, table[["q25", "q75"]])
    positive = theme.whole_percent(table["share_positive"].iloc[0])
    assert f"{positive} / " in said(drawn["imces"].figure)


def test_the_observed_statistic_stands_in_its_distribution(drawn):
    tests, bins = SOURCES["randomization_inference"], SOURCES["randomization_distribution"]
    axes = drawn["randomization"].figure.axes
    assert len(axes) == len(tests) == 6
    for ax, (_, test) in zip(axes, tests.iterrows(), strict=True):
        assert [line.get_xdata()[0] for line in ax.lines] == [test["statistic"]]
        own = bins[(bins["outcome"] == test["outcome"]) & (bins["contrast"] == test["contrast"])]
        bars = {hatch: [p for p in ax.patches if bool(p.get_hatch()) == hatch] for hatch in (False, True)}
        area = {hatch: sum(p.get_height() * p.get_width() for p in own) for hatch, own in bars.items()}
        assert area[False] == pytest.approx(1) and own["draws"].sum() > 0
        # The tails are the p value but for the bins that the observed statistic and its mirror lie in.
        assert abs(area[True] - test["p_value"]) < 0.1
        assert all(p.get_width() == pytest.approx(estimate.COARSE) for p in ax.patches)
    data = drawn["randomization"].data
    assert len(data) == len(bins) and set(tests["p_value"]) == set(data["p_value"])


def curves(figure) -> list:
    """The axes of a specification curve that show estimates; those of the choices have no frame."""
    return [axes for axes in figure.axes if axes.axison]


def heights(axes) -> list[float]:
    return [line.get_ydata()[0] for line in axes.lines if len(line.get_xdata()) == 1]


def test_the_specification_curve_shows_every_specification_once_in_order_and_its_choices(drawn):
    table = SOURCES["robustness"]
    table = theme.in_units(table[table["scale"] == "difference"], NAMES)
    figure = drawn["specifications"].figure
    shown = [y for axes in curves(figure) for y in heights(axes)]
    assert sorted(shown) == pytest.approx(sorted(table["estimate"].dropna()))
    for axes in curves(figure):
        assert heights(axes) == pytest.approx(sorted(heights(axes)))
    labels = [text for text, _ in written(figure)]
    assert "HC3 errors" in labels and "Covariate-adjusted (Lin)" in labels
    below = next(axes for axes in figure.axes if not axes.axison)
    first = table[(table["outcome"] == "sign") & (table["contrast"] == table["contrast"].iloc[0])]
    made = sum(len(line.get_xdata()) for line in below.lines)
    told = [
        column for column in estimate.CHOICES if table.loc[table["outcome"] == "sign", column].nunique() > 1
    ]
    assert made == len(first) * len(told)  # one choice of each kind


def test_many_contrasts_are_shown_three_abreast():
    table = SOURCES["robustness"]
    one = table[(table["contrast"] == table["contrast"].iloc[0]) & (table["outcome"] == "sign")]
    many = pd.concat([one.assign(contrast=f"b{k} - a") for k in range(7)])
    figure = estimate.specifications(many, NAMES).figure
    assert faults(figure) == []
    assert sum(len(heights(axes)) for axes in curves(figure)) == (many["scale"] == "difference").sum()
    assert len({round(axes.get_position().x0, 3) for axes in curves(figure)}) == 3


def test_bounds_show_both_ends_and_who_is_trimmed(drawn):
    table = SOURCES["lee_bounds"]
    own = table[(table["trimming"] == "fraction") & (table["outcome"] == "sign")]
    ends = own.pivot_table(index="contrast", columns="bound", values="estimate", sort=False)
    axes = drawn["bounds"].figure.axes[0]
    boxes = [(p.get_x(), p.get_x() + p.get_width()) for p in axes.patches if isinstance(p, Rectangle)]
    assert np.allclose(boxes, 100 * ends[["lower", "upper"]])  # percentage points
    assert points(axes) == pytest.approx(list(100 * own["naive"].drop_duplicates()))
    assert "trims –" in said(drawn["bounds"].figure)  # nobody is missing of the other outcome


def test_subgroups_show_raw_and_shrunken_estimates_below_each_other(drawn):
    table = SOURCES["subgroups"]
    own = table[(table["outcome"] == "sign") & ~table["suppressed"].astype(bool)]
    axes = drawn["subgroups"].figure.axes
    for panel, (_, cells) in zip(axes, own.groupby("contrast", sort=False), strict=False):
        assert points(panel) == pytest.approx(list(100 * cells[["estimate", "shrunken"]].to_numpy().ravel()))
    raw = fake.subgroups().drop(columns=["shrunken", "shrunken_low", "shrunken_high"])
    plain = explore.subgroups(raw, NAMES).figure
    assert "Shrunken" not in said(plain)


def test_suppressed_cells_of_validation_show_no_number():
    hidden = SOURCES["validation"].copy()
    rows = hidden["group"] == "divergent"
    numbers = ["estimate", "std_error", "conf_low", "conf_high", "n"]
    hidden.loc[rows, numbers] = np.nan
    hidden.loc[rows, "suppressed"] = True
    assert said(explore.dilution(hidden, NAMES).figure).count(explore.HIDDEN) == 4


def test_dose_shows_the_groups_in_order_with_their_sizes(drawn):
    table = SOURCES["validation"]
    own = table[
        (table["estimator"] == "dose") & (table["quantity"] == "effect") & (table["outcome"] == "sign")
    ]
    axes = drawn["dose"].figure.axes[0]
    line = next(line for line in axes.lines if line.get_marker() == "o")
    assert list(line.get_ydata()) == pytest.approx(list(100 * own["estimate"]))
    labels = [label.get_text() for label in axes.get_xticklabels()]
    groups = own["group"].str.replace(" or more", "+")
    assert labels == [f"{g}\n{n}" for g, n in zip(groups, own["n"].astype(int), strict=True)]


def test_validation_compares_only_what_is_on_one_scale(drawn):
    table = SOURCES["validation"].groupby(["outcome", "quantity"]).first()
    sign, _, support, slope = drawn["validation"].figure.axes
    assert points(sign) == pytest.approx([100 * table.loc[("sign", "theta"), "estimate"]])
    gain, less, learner = (
        table.loc[("support", q)] for q in ("theta", "theta - dividend", "theta - mean predicted gain")
    )
    expected = [gain["predicted"], gain["estimate"], less["estimate"], learner["estimate"]]
    assert points(support) == expected and gain["predicted"] == 0.3
    assert [line.get_xdata()[0] for line in slope.lines if len(set(line.get_xdata())) == 1][-1] == 1.0
    assert said(drawn["validation"].figure).count("on another scale") == 1


def test_targeting_curves_end_at_everybody(drawn):
    curve = SOURCES["targeting_curve"]
    axes = drawn["targeting"].figure.axes
    assert len(axes) == 6
    own = curve[(curve["outcome"] == "sign") & (curve["contrast"] == curve["contrast"].iloc[0])]
    line = next(line for line in axes[0].lines if len(line.get_xdata()) > 2)
    assert (
        list(line.get_ydata()) == pytest.approx(list(100 * own["estimate"])) and line.get_ydata()[-1] == 0.0
    )


def test_dissuasion_shows_both_ends_and_says_that_it_is_never_fielded(drawn):
    table = SOURCES["dissuasion"].set_index(["group", "quantity"])
    values, support, dissuasion, asymmetry, gaps, ceilings = drawn["dissuasion"].figure.axes
    policies = ["nano", "overall_best", "overall_worst", "nano_worst"]
    assert points(values) == [table.loc[("all", p), "estimate"].item() for p in policies]
    assert [len(points(axes)) for axes in (support, dissuasion, asymmetry)] == [2, 2, 2]
    assert len(points(gaps)) == 6 and len(points(ceilings)) == 8
    assert drawn["dissuasion"].figure.get_size_inches()[1] < 9
    assert said(drawn["dissuasion"].figure).count("never fielded") == 2


def test_a_single_chart_has_the_width_of_a_column():
    table = SOURCES["validation"]
    figure = explore.dose(table[table["outcome"] == "sign"], NAMES).figure
    assert figure.get_size_inches()[0] == theme.COLUMN_WIDTH and faults(figure) == []


def test_a_study_without_an_example_text_shows_its_design():
    table = SOURCES["design"].assign(petition_text=np.nan, example=False)
    assert faults(calibrate.design(table, NAMES).figure) == []


def test_counts_of_few_people_are_suppressed_in_both_flows():
    flow = pd.DataFrame(
        [("experiment", "In the raw file", None, arm, np.nan, 0, np.nan) for arm in ("all", *NAMES.arms)]
        + [("experiment", "Speeder", "below 180", arm, np.nan, np.nan, 100) for arm in ("all", *NAMES.arms)],
        columns=FLOW_COLUMNS,
    )
    drawn = clean.flow(flow, NAMES)
    shown = said(drawn.figure)
    assert "Speeder: suppressed" in shown and "Excluded: suppressed" in shown and "n = 100" in shown
    assert "recorded suppressed, kept 100" in drawn.description and "nan" not in shown
    table = SOURCES["participants"]
    gone = table["stage"].isin(["assessed", "excluded", "not completed"])
    shown = said(clean.participants(table.assign(n=table["n"].astype("float64").mask(gone)), NAMES).figure)
    assert "suppressed" in shown and "nan" not in shown and "In no arm" not in shown
