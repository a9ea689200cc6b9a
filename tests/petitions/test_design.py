"""The factorial design: ids, feasibility, probabilities, texts."""

import itertools

import numpy as np
import pytest

from nanotarget.petitions.design import DESIGN_COLUMNS, Design, overview
from nanotarget.study.config import AttributeConfig, DesignConfig
from nanotarget.study.problems import InputError


def make_design(shape=(2, 3, 4), prohibited=(), randomisation="rejection", probabilities=None, text=None):
    attributes = [
        AttributeConfig(
            name=f"a{i}",
            levels=[f"level {j}" for j in range(size)],
            probabilities=(probabilities or {}).get(i),
        )
        for i, size in enumerate(shape)
    ]
    return Design.from_config(
        DesignConfig(
            attributes=attributes,
            prohibited=list(prohibited),
            randomisation=randomisation,
            petition_text=text,
        )
    )


TIED = [{"a0": ["level 0"], "a2": ["level 1", "level 3"]}]


def test_petition_ids_are_the_row_major_index_of_the_full_grid():
    design = make_design()
    grid = np.array(list(itertools.product(range(2), range(3), range(4))))
    assert design.petition_ids(grid).tolist() == list(range(24))
    assert (design.petition_levels(np.arange(24)) == grid).all()


def test_a_prohibition_changes_no_petition_id():
    free, tied = make_design(), make_design(prohibited=TIED)
    levels = np.array([[1, 2, 3], [0, 1, 2]])
    assert (free.petition_ids(levels) == tied.petition_ids(levels)).all()


def test_feasible_grid_equals_enumeration():
    design = make_design(prohibited=[*TIED, {"a0": ["level 1"], "a1": ["level 2"], "a2": ["level 0"]}])
    grid = np.array(list(itertools.product(range(2), range(3), range(4))))
    wanted = [
        not (g[0] == 0 and g[2] in (1, 3)) and not (g[0] == 1 and g[1] == 2 and g[2] == 0) for g in grid
    ]
    assert design.is_feasible(grid).tolist() == wanted
    assert design.n_feasible == sum(wanted)
    assert [block.attributes for block in design.blocks] == [(0, 1, 2)]


def test_rejection_makes_feasible_combinations_proportional_to_the_product():
    design = make_design(prohibited=TIED, probabilities={0: [0.3, 0.7]})
    block = design.blocks[0]
    assert block.attributes == (0, 2)
    weight = np.array([{0: 0.3, 1: 0.7}[int(a)] * 0.25 for a, _ in block.cells])
    assert np.allclose(block.probabilities, weight / weight.sum())


def test_sequential_draws_later_levels_among_those_still_allowed():
    design = make_design(prohibited=TIED, randomisation="sequential")
    probability = {
        tuple(cell): p for cell, p in zip(design.blocks[0].cells, design.blocks[0].probabilities, strict=True)
    }
    assert probability[(0, 0)] == pytest.approx(0.5 / 2)
    assert probability[(1, 0)] == pytest.approx(0.5 / 4)
    assert sum(probability.values()) == pytest.approx(1)
    assert design.level_probabilities(0) == pytest.approx([0.5, 0.5])


@pytest.mark.parametrize("randomisation", ["rejection", "sequential"])
def test_drawn_petitions_have_the_declared_probabilities(randomisation):
    design = make_design(prohibited=TIED, randomisation=randomisation)
    drawn = design.draw(40_000, np.random.default_rng(5))
    assert design.is_feasible(drawn).all()
    for attribute in range(3):
        p = design.level_probabilities(attribute)
        observed = np.bincount(drawn[:, attribute], minlength=len(p)) / len(drawn)
        assert np.abs(observed - p).max() < 5 * np.sqrt(0.25 / len(drawn))


def test_prohibitions_that_leave_nothing_are_an_input_error():
    design = make_design(prohibited=[{"a0": ["level 0", "level 1"], "a1": ["level 0", "level 1", "level 2"]}])
    with pytest.raises(InputError, match="no combination of a0, a1 is left"):
        _ = design.n_feasible


def test_codes_and_frame_are_inverse_with_awkward_names():
    names = ["Job", 'say "hi" <br>', "気候 $x_1$"]
    levels = ["Seek Better Job", "Job", "100 %_&"]
    design = Design.from_config(
        DesignConfig(attributes=[AttributeConfig(name=name, levels=levels) for name in names])
    )
    petitions = design.draw(50, np.random.default_rng(1))
    frame = design.frame(petitions)
    assert list(frame.columns) == names
    assert (design.codes(frame.sample(frac=1, random_state=2).sort_index()) == petitions).all()


def test_codes_refuse_what_is_no_level():
    design = make_design()
    frame = design.frame(design.petition_levels(np.arange(3))).astype(object)
    frame.iloc[1, 0] = "something else"
    with pytest.raises(ValueError, match="a0"):
        design.codes(frame)


def test_texts_fill_the_template_and_leave_data_alone():
    design = make_design(text="We want {{ petition['a0'] }}, {{ petition['a2'] | upper }}.")
    assert design.texts(np.array([[1, 0, 3]])) == ["We want level 1, LEVEL 3."]
    evil = Design.from_config(
        DesignConfig(
            attributes=[AttributeConfig(name="x", levels=["{{ 7 * 7 }}", "b"])],
            petition_text="{{ petition['x'] }}",
        )
    )
    assert evil.texts(np.array([[0]])) == ["{{ 7 * 7 }}"]


@pytest.mark.parametrize(
    "template",
    [
        "{{ petition['a9'] }}",
        "{{ petition.__class__.__mro__ }}",
        "{{ petition['a0'].__class__.__mro__[1].__subclasses__() }}",
        "{% for i in range(999999999) %}x{% endfor %}",
        "{{ nothing }}",
        "{{ unclosed",
        "{% include 'config.yaml' %}",
    ],
)
def test_templates_cannot_reach_out_of_the_sandbox(template):
    with pytest.raises(InputError, match=r"design\.petition_text"):
        make_design(text=template).texts(np.array([[0, 0, 0]]))


def test_the_overview_has_every_level_and_one_feasible_example():
    design = make_design(prohibited=TIED, text="{{ petition['a0'] }}\n<br>")
    found = overview(design, 3)
    assert list(found) == list(DESIGN_COLUMNS)
    assert list(zip(found["attribute"], found["level"], strict=True)) == [
        (a.name, level) for a in design.attributes for level in a.levels
    ]
    assert np.allclose(found.groupby("attribute")["probability"].sum(), 1)
    example = found[found["example"]]
    assert list(example["attribute"]) == design.names
    chosen = dict(zip(example["attribute"], example["level"], strict=True))
    assert set(example["petition_text"]) == {f"{chosen[design.names[0]]}\n<br>"}
    assert set(found.loc[~found["example"], "petition_text"]) == {""}
    codes = [[a.levels.index(chosen[a.name]) for a in design.attributes]]
    assert design.is_feasible(np.array(codes)).all()
    assert overview(design, 3).equals(found)
    assert any(not overview(design, seed).equals(found) for seed in range(4, 9))
