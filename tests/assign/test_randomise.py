"""Who is randomised to which arm: shares, blocks, probabilities, and a ledger that is never changed."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nanotarget.assign import randomise as drawing
from nanotarget.assign.ledger import (
    LEDGER_COLUMNS,
    SEALED_COLUMNS,
    append_to_ledger,
    read_ledger,
    sealed,
)
from nanotarget.assign.randomise import places, randomise, round_at_random, shares, wanted
from nanotarget.clean.blocks import blocks_of
from nanotarget.study import artefacts
from nanotarget.study.config import RosterArmConfig
from nanotarget.study.problems import InputError

EQUAL = [RosterArmConfig(name="control"), RosterArmConfig(name="best"), RosterArmConfig(name="nano")]
UNEQUAL = [
    RosterArmConfig(name="control", share=0.1),
    RosterArmConfig(name="best", share=0.35),
    RosterArmConfig(name="nano", share=0.55),
]
NOBODY = pd.DataFrame(columns=SEALED_COLUMNS, dtype="str")


def people(blocks, first=0):
    """People p0, p1, ... in these blocks."""
    ids = [f"p{first + i}" for i in range(len(blocks))]
    return pd.DataFrame({"respondent_id": ids, "block": list(blocks)}).astype("str")


def record(*drawn):
    return pd.concat(drawn, ignore_index=True)[LEDGER_COLUMNS].astype("str")


def by_id(drawn):
    """Sorted rows as a ledger has them: texts, whatever they are in memory."""
    return drawn.astype(dict.fromkeys(LEDGER_COLUMNS, "str")).sort_values("respondent_id", ignore_index=True)


def counts(drawn, arms, by="block"):
    return pd.crosstab(drawn[by], drawn["arm"]).reindex(columns=[a.name for a in arms], fill_value=0)


blocked = st.lists(st.sampled_from("uvwxyz"), min_size=1, max_size=60)
armed = st.lists(st.floats(0.01, 1), min_size=2, max_size=5).map(
    lambda parts: [RosterArmConfig(name=f"a{i}", share=part) for i, part in enumerate(parts)]
)


@given(blocks=blocked, arms=armed, seed=st.integers(0, 10**6))
@settings(deadline=None)
def test_counts_are_less_than_one_from_the_shares_in_every_block_and_in_total(blocks, arms, seed):
    drawn = randomise(people(blocks), arms, NOBODY, seed)
    found = counts(drawn, arms)
    exact = found.sum(axis=1).to_numpy()[:, None] * shares(arms)
    assert (np.abs(found.to_numpy() - exact) < 1 + 1e-5).all()
    assert (np.abs(found.sum().to_numpy() - len(blocks) * shares(arms)) < 1 + 1e-5).all()
    assert not drawn["known"].any()


@pytest.mark.parametrize("n", [1, 2, 3, 20, 31, 3113])
def test_complete_randomisation_gives_floor_or_ceiling(n):
    found = counts(randomise(people([""] * n), UNEQUAL, NOBODY, 4), UNEQUAL).loc[""].to_numpy()
    exact = n * shares(UNEQUAL)
    assert found.sum() == n
    assert (found >= np.floor(exact)).all()
    assert (found <= np.ceil(exact)).all()


def test_shares_are_relative_and_equal_without_any():
    assert shares(EQUAL).tolist() == pytest.approx([1 / 3] * 3)
    assert shares([RosterArmConfig(name="a", share=1), RosterArmConfig(name="b", share=3)]).tolist() == [
        0.25,
        0.75,
    ]


@pytest.mark.statistical
@pytest.mark.parametrize("arms", [EQUAL, UNEQUAL], ids=["equal", "unequal"])
@pytest.mark.parametrize("blocks", ["", "uvwxyzzzvvv"], ids=["complete", "blocked"])
def test_everybody_has_the_probability_of_the_share(arms, blocks):
    """Also people in a block of their own, and arms whose share is less than one person."""
    group, seeds = people(blocks or [""] * 8), 500
    hits = np.zeros((len(group), len(arms)))
    for seed in range(seeds):
        arm = randomise(group, arms, NOBODY, seed).set_index("respondent_id")["arm"]
        drawn = arm.loc[group["respondent_id"]].to_numpy()
        hits += drawn[:, None] == np.array([a.name for a in arms])
    error = np.sqrt(shares(arms) * (1 - shares(arms)) / seeds)
    assert np.abs((hits / seeds - shares(arms)) / error).max() < 4.5


@pytest.mark.statistical
def test_two_waves_keep_the_probabilities_and_draw_independently():
    first, both, seeds = people("uuv"), people("uuvuvv"), 400
    hits, together = np.zeros((6, 3)), 0
    names = np.array([a.name for a in EQUAL])
    for seed in range(seeds):
        wave = randomise(first, EQUAL, NOBODY, seed)
        arm = randomise(both, EQUAL, record(wave), seed)["arm"].to_numpy()
        hits += arm[:, None] == names
        alone = randomise(people("wwx", first=3), EQUAL, record(wave), seed)["arm"].to_numpy()
        together += (alone == wave["arm"].to_numpy()).all()
    assert np.abs(hits / seeds - 1 / 3).max() < 4.5 * np.sqrt(2 / 9 / seeds)
    assert together / seeds < 0.2  # the same stream in both waves would make it 1


def test_rounding_keeps_rows_neighbours_and_expectations():
    rng = np.random.default_rng(5)
    sizes = np.array([1, 4, 7, 2])
    exact = sizes[:, None] * rng.dirichlet(np.ones(4), size=4)
    rounded = np.array([round_at_random(exact, rng) for _ in range(6000)])
    assert (rounded.sum(axis=2) == sizes).all()
    assert (np.abs(rounded - exact) < 1 + 1e-5).all()
    assert (np.abs(rounded.sum(axis=1) - exact.sum(axis=0)) < 1 + 1e-5).all()
    assert np.abs(rounded.mean(axis=0) - exact).max() < 4.5 * 0.5 / np.sqrt(6000)


def test_nearly_whole_numbers_are_rounded_too():
    exact = 3 * np.array([[0.333333, 0.333333, 0.333334], [0.333333333, 0.333333333, 0.333333334]])
    assert round_at_random(exact, np.random.default_rng(0)).sum(axis=1).tolist() == [3, 3]


def test_new_people_fill_what_lacks_and_full_arms_get_nobody():
    share = np.array([0.25, 0.25, 0.5])
    assert wanted(np.array([4]), np.array([[2, 2, 0]]), share).tolist() == [[0, 0, 4]]
    assert wanted(np.array([4]), np.array([[9, 1, 2]]), share).tolist() == [[0, 0.5, 3.5]]
    assert wanted(np.array([8]), np.array([[0, 0, 0]]), share).tolist() == [[2, 2, 4]]


def test_people_in_the_ledger_keep_their_arm_whatever_the_seed_and_the_shares():
    first = randomise(people("uuvvvw"), EQUAL, NOBODY, 1)
    later = randomise(people("vvvvvvuuwx"), UNEQUAL, record(first), 2)  # some moved to another block
    assert later["known"].tolist() == [True] * 6 + [False] * 4
    pd.testing.assert_frame_equal(
        by_id(later).loc[by_id(later)["known"], LEDGER_COLUMNS], record(by_id(first))
    )


def test_people_who_left_the_roster_still_count():
    ledger = people([""] * 10).assign(arm=["control"] * 5 + ["best"] * 5)
    drawn = randomise(people([""] * 5, first=10), EQUAL, ledger[LEDGER_COLUMNS], 3)
    assert drawn["arm"].tolist() == ["nano"] * 5
    assert set(drawn["respondent_id"]) == {f"p{i}" for i in range(10, 15)}


@given(blocks=blocked, seed=st.integers(0, 10**6), order=st.randoms(use_true_random=False))
@settings(deadline=None)
def test_the_order_of_people_and_ledger_changes_nothing(blocks, seed, order):
    old = record(randomise(people(blocks[: len(blocks) // 2]), UNEQUAL, NOBODY, seed))
    group = people(blocks)
    rows, lines = list(range(len(group))), list(range(len(old)))
    order.shuffle(rows)
    order.shuffle(lines)
    pd.testing.assert_frame_equal(
        by_id(randomise(group, UNEQUAL, old, seed)),
        by_id(randomise(group.iloc[rows], UNEQUAL, old.iloc[lines], seed)),
    )


def test_the_draw_depends_on_the_seed_and_on_who_is_there():
    group = people([""] * 60)
    drawn = [randomise(group, EQUAL, NOBODY, seed)["arm"].tolist() for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_ids_that_share_a_hash_are_told_apart(monkeypatch):
    """Ranks and places stay those of the people, whatever their order."""
    coarse = drawing.hashes
    monkeypatch.setattr(drawing, "hashes", lambda *of: coarse(*of) % np.uint64(3))
    group, old = people("uuvvuuvvuv"), record(randomise(people("uuvv"), UNEQUAL, NOBODY, 1))
    drawn = randomise(group, UNEQUAL, old, 1)
    assert drawn["known"].tolist() == [True] * 4 + [False] * 6
    pd.testing.assert_frame_equal(by_id(drawn).iloc[:4][LEDGER_COLUMNS], by_id(old))
    pd.testing.assert_frame_equal(
        by_id(drawn), by_id(randomise(group.iloc[::-1], UNEQUAL, old.iloc[::-1], 1))
    )
    assert places(group["respondent_id"], group["respondent_id"].iloc[::-1]).tolist() == list(range(10))[::-1]


def test_blocks_are_named_after_their_levels_and_a_missing_value_is_a_level():
    table = pd.DataFrame(
        {
            "party": pd.Categorical(["Left", None], ["Left", "Right"]),
            "region": pd.Categorical(["North", "South"], ["North", "South"]),
        }
    )
    assert blocks_of(table, ["party", "region"]).tolist() == [
        "party: Left; region: North",
        "party: (missing); region: South",
    ]
    assert blocks_of(table, []).tolist() == ["", ""]


def test_a_ledger_only_grows(tmp_path):
    path = str(tmp_path / "new folder" / "arms.csv")
    assert read_ledger(path, EQUAL).empty
    odd = people(["party: Don't, know; x", 'party: "Left"', ""]).assign(
        respondent_id=["007", "NA", "Zoë, the 2nd"]
    )
    append_to_ledger(path, read_ledger(path, EQUAL), randomise(odd, EQUAL, NOBODY, 1))
    before = artefacts.sha256(path), (tmp_path / "new folder/arms.csv").read_bytes()
    again = randomise(odd, EQUAL, read_ledger(path, EQUAL), 2)
    assert again["known"].all()
    append_to_ledger(path, read_ledger(path, EQUAL), again)
    assert artefacts.sha256(path) == before[0]
    more = pd.concat([odd.iloc[:1], people("uvw")])
    drawn = randomise(more, EQUAL, read_ledger(path, EQUAL), 2)
    append_to_ledger(path, read_ledger(path, EQUAL), drawn)
    after = (tmp_path / "new folder/arms.csv").read_bytes()
    assert after.startswith(before[1])
    assert after.count(b"\n") == 7
    assert read_ledger(path, EQUAL)["respondent_id"].tolist() == [*again["respondent_id"], "p0", "p1", "p2"]


def test_columns_that_people_added_to_the_ledger_stay(tmp_path):
    path = tmp_path / "arms.csv"
    old = pd.DataFrame({"respondent_id": ["p0"], "arm": ["nano"], "block": [""], "invited": ["Monday"]})
    sealed(old).to_csv(path, index=False)
    first = path.read_text().splitlines()
    drawn = randomise(people(["", ""]), EQUAL, read_ledger(str(path), EQUAL), 1)
    append_to_ledger(str(path), read_ledger(str(path), EQUAL), drawn)
    assert path.read_text().splitlines()[:2] == first and "Monday" in first[1]


def test_a_failed_write_leaves_the_ledger_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "arms.csv"
    sealed(pd.DataFrame({"respondent_id": ["p0"], "arm": ["nano"], "block": [""]})).to_csv(path, index=False)
    before = path.read_text()
    ledger = read_ledger(str(path), EQUAL)
    drawn = randomise(people(["", ""]), EQUAL, ledger, 1)
    monkeypatch.setattr(artefacts.Path, "replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        append_to_ledger(str(path), ledger, drawn)
    assert path.read_text() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_damaged_ledger_is_refused(tmp_path):
    path = tmp_path / "arms.csv"
    path.write_bytes(b"")
    with pytest.raises(InputError, match="the file is empty"):
        read_ledger(str(path), EQUAL)


@pytest.mark.parametrize("edit", ["arm", "block", "respondent_id", "removed", "swapped", "unsealed"])
def test_an_edited_ledger_is_refused_where_it_was_edited(tmp_path, edit):
    path = tmp_path / "arms.csv"
    append_to_ledger(str(path), NOBODY, randomise(people(["x"] * 9), EQUAL, NOBODY, 1))
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    assert read_ledger(str(path), EQUAL)["arm"].tolist() == table["arm"].tolist()
    if edit == "removed":
        table = table.drop(index=4)
    elif edit == "swapped":
        table = table.iloc[[0, 1, 2, 3, 5, 4, 6, 7, 8]]
    elif edit == "unsealed":
        table.loc[4, "seal"] = ""
    else:
        others = {"arm": "best" if table.loc[4, "arm"] != "best" else "nano"}
        table.loc[4, edit] = others.get(edit, "other")
    table.to_csv(path, index=False)
    with pytest.raises(InputError, match=r"column 'seal', row 6: the ledger was edited here"):
        read_ledger(str(path), EQUAL)
