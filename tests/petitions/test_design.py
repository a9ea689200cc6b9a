"""The factorial design: ids, feasibility, probabilities, texts."""

import itertools
import json

import numpy as np
import pytest

from nanotarget.petitions.design import DESIGN_COLUMNS, Design, Shown, overview
from nanotarget.petitions.policy import random
from nanotarget.petitions.score import best_petitions
from nanotarget.petitions.utilities import part_worths
from nanotarget.study.config import HIDDEN, AttributeConfig, DesignConfig
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


def drawn(design, n=4000, seed=3):
    return design.draw(n, np.random.default_rng(seed))


def test_a_survey_run_as_designed_adds_nothing_to_the_design():
    for seed in range(20):
        design = make_design(prohibited=TIED)
        assert design.as_shown(drawn(design, 600, seed)) is design


def test_what_was_never_shown_is_no_petition():
    design = make_design()
    levels = drawn(design)
    shown = design.as_shown(levels[(levels[:, 0] != 1) | (levels[:, 2] != 3)])
    assert shown.shown.never == (((0, frozenset({1})), (2, frozenset({3}))),)
    assert shown.n_feasible == 24 - 3 and not shown.is_feasible(np.array([[1, 0, 3]]))[0]
    free = DesignConfig.model_validate({**make_config(), "never_shown": "assign"})
    assert Design.from_config(free).as_shown(levels[levels[:, 2] != 3]).n_feasible == 24
    assert shown.declared.n_feasible == 24


def make_config(**of_last):
    attributes = [
        {"name": f"a{i}", "levels": [f"level {j}" for j in range(k)]} for i, k in enumerate((2, 3, 4))
    ]
    return {"attributes": [*attributes[:2], attributes[2] | of_last]}


def test_a_level_that_was_never_shown_is_in_no_petition_however_little_people_like_the_others():
    design = make_design()
    levels = drawn(design)
    shown = design.as_shown(levels[levels[:, 1] != 2])
    assert shown.shown.never == (((1, frozenset({2})),),)
    worth = np.array([[0, 1, -1.0, -1, 0, 3, 2, 1, 0]])
    assert best_petitions(part_worths(worth, design))[0, 1] == 2
    assert best_petitions(part_worths(worth, shown))[0, 1] != 2


def test_too_little_data_excludes_nothing():
    design = make_design()
    levels = drawn(design, 40)
    assert design.as_shown(levels[(levels[:, 0] != 1) | (levels[:, 2] != 3)]) is design


def test_dependent_attributes_have_the_combinations_and_shares_that_were_shown():
    config = {**make_config(), "dependent": [["a0", "a2"]]}
    design = Design.from_config(DesignConfig.model_validate(config))
    levels = drawn(make_design())
    levels[levels[:, 0] == 0, 2] %= 2
    shown = design.as_shown(levels)
    assert [block.attributes for block in shown.blocks] == [(0, 2), (1,)]
    assert shown.n_feasible == 3 * 6 and shown.shown.never == ()
    joint = shown.joint_probabilities((0, 2))
    np.testing.assert_allclose(joint[0], np.bincount(levels[levels[:, 0] == 0, 2], minlength=4) / 4000)
    assert (shown.draw(500, np.random.default_rng(1))[:, [0, 2]] != [0, 3]).any(axis=1).all()


def test_an_attribute_that_follows_from_another_adds_no_petition():
    config = make_config(derived_from=["a1"])
    design = Design.from_config(DesignConfig.model_validate(config))
    levels = drawn(make_design())
    levels[:, 2] = levels[:, 1]
    shown = design.as_shown(levels)
    assert shown.n_feasible == 6 and shown.derived == ((2, (1,)),)
    again = design.with_shown(json.loads(json.dumps(shown.shown.to_data())))
    assert again == shown and Shown.from_data(shown.shown.to_data()) == shown.shown


@pytest.mark.parametrize(("hidden", "petitions"), [("allowed", 24), ("option", 30)])
def test_a_policy_hides_an_attribute_only_if_that_is_an_option(hidden, petitions):
    design = Design.from_config(DesignConfig.model_validate(make_config(hidden=hidden)))
    levels = drawn(make_design())
    levels[::3, 2] = 4
    shown = design.as_shown(levels)
    assert shown.attributes[2].levels[-1] == HIDDEN and shown.n_feasible == petitions
    assert shown.level_probabilities(2)[-1] == pytest.approx((levels[:, 2] == 4).mean())
    worth = np.array([[0, 1, 0, 1, 2, 0, 1, 2, 3, 9.0]])  # everybody likes it hidden
    chosen = best_petitions(part_worths(worth, shown))[0]
    assert chosen[2] == (4 if hidden == "option" else 3)
    given = random(400, shown, np.random.default_rng(2))
    assert (given[:, 2] == 4).any() == (hidden == "option")
    assert (
        "level" in shown.texts(np.array([[0, 0, 4]]))[0] and "a2" not in shown.texts(np.array([[0, 0, 4]]))[0]
    )


def test_the_basis_of_functions_follows_from_the_levels_alone():
    """Each function is uncorrelated with the indicators of all levels before its own: no rotation is left."""
    design = make_design(probabilities={2: [0.4, 0.3, 0.2, 0.1]})
    for block in design.blocks:
        size = len(block.cells)
        products = np.eye(size) @ (block.probabilities[:, None] * block.functions())
        assert np.triu(products, 1) == pytest.approx(0, abs=1e-12)
        assert (products[np.arange(size - 1), np.arange(size - 1)] > 0).all()
