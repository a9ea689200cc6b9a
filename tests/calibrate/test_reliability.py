"""Reliability and corrected estimates: formulas, independent computations, and surveys of known error."""

import itertools

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import optimize

import response_error
from nanotarget.calibrate.by_group import Grouping
from nanotarget.calibrate.conjoint import Analysis
from nanotarget.calibrate.reliability import (
    FEWEST,
    Agreement,
    Curve,
    Pairs,
    _steps,
    asked_twice,
    by_likeness,
    intraclass,
    options_of,
    straight_line,
)
from nanotarget.calibrate.resampled import Sample, fixed, least_squares, ratio
from nanotarget.calibrate.response_error import Measured, Survey, corrected, groups_of, reliability
from nanotarget.study.response import RESPONSES
from nanotarget.study.seeds import child_rng
from response_error import CHOICE, World, profiles_of, replicate

SMALL = World(respondents=120, error=0.2)


def asked(world, seed, samples=60):
    """A survey whose first task was asked twice, and bootstrap samples of its respondents."""
    rng = child_rng(seed, "reliability")
    levels, lead = world.drawn(world.respondents, world.tasks, rng)
    profiles = profiles_of(world, levels, world.answered(lead, rng))
    again = profiles_of(world, levels[:, :1], world.answered(lead[:, :1], rng))
    people = profiles[["respondent_id"]].drop_duplicates(ignore_index=True)
    people["weight"] = rng.uniform(0.5, 2, len(people))
    profiles["weight"] = people["weight"].to_numpy().repeat(2 * world.tasks)
    again = again[["respondent_id", "task", "profile", "choice"]]
    return Survey(profiles, again, world.design, 2, 2), Sample.of(people, samples, rng)


def test_two_answers_agree_as_often_as_the_error_says():
    """Of two options the formula of Clayton et al.; of three, every way in which two answers can agree."""
    sample = asked(SMALL, 1)[1]
    for options in (2, 3, 5):
        tau = 0.15
        other = tau / (options - 1)
        alike = (1 - tau) ** 2 + (options - 1) * other**2
        found = Agreement("given", options, fixed(alike, sample), 1, 1)
        assert found.error.value[0] == pytest.approx(tau)
        assert found.factor.value[0] == pytest.approx(1 - tau - other)
    assert Agreement("given", 2, fixed(0.755, sample), 1, 1).error.value[0] == pytest.approx(
        (1 - np.sqrt(2 * 0.755 - 1)) / 2
    )
    assert [options_of(RESPONSES["choice"], alike, 3) for alike in (3, 0)] == [3, 4]
    assert options_of(RESPONSES["would_sign"], 1, 1) == 2


def test_agreement_is_a_weighted_mean_clustered_by_respondent():
    survey, sample = asked(SMALL, 2)
    found = asked_twice(survey.profiles, survey.again, RESPONSES["choice"], sample)
    both = survey.profiles.merge(survey.again, on=["respondent_id", "task", "profile"])
    same = (both["choice_x"] == both["choice_y"]).astype(float)
    clusters = {"groups": pd.factorize(both["respondent_id"])[0]}
    model = sm.WLS(same, np.ones(len(same)), weights=both["weight"]).fit(
        cov_type="cluster", cov_kwds=clusters | {"use_correction": False}
    )
    assert found.value[0] == pytest.approx(model.params.iloc[0])
    n = both["respondent_id"].nunique()
    assert found.std_error[0] == pytest.approx(model.bse.iloc[0] * np.sqrt(n / (n - 1)))


def test_bootstrap_samples_are_fits_to_respondents_drawn_again():
    survey, sample = asked(SMALL, 3, samples=3)
    rng = child_rng(3, "columns")
    x = np.column_stack([np.ones(len(survey.profiles)), rng.normal(size=(len(survey.profiles), 2))])
    x = np.column_stack([x, x[:, 1] + x[:, 2]])  # the last column is told by the others
    y, person = survey.profiles["choice"].to_numpy(), sample.person(survey.profiles["respondent_id"])
    found = least_squares(x, y, person, sample)
    assert np.isnan(found.value[3]) and np.isnan(found.samples[:, 3]).all()
    weight = sample.weight[person]
    for draw, values in zip(sample.draws, found.samples, strict=True):
        theirs = sm.WLS(y, x[:, :3], weights=weight * draw[person]).fit().params
        np.testing.assert_allclose(values[:3], theirs, rtol=1e-8, atol=1e-10)
    mean = ratio(sample.totals((weight * y)[:, None], person), sample.totals(weight[:, None], person), sample)
    drawn = [np.average(y, weights=weight * draw[person]) for draw in sample.draws]
    np.testing.assert_allclose(mean.samples[:, 0], drawn)


def by_hand(columns, choice, first, second, weight):
    """Corrected mean of a level and effect of another one, by nothing that the package has.

    Args:
        columns: (n, 2 tasks, k) constant and dummies; choice: (n, 2 tasks) of each petition.
        first, second: (n,) sides chosen of the task asked twice.
        weight: (n,).
    """
    factor = np.sqrt(2 * np.average(first == second, weights=weight) - 1)
    shown = columns[:, :, 3] * weight[:, None]
    mean = (shown * choice).sum() / shown.sum()
    root = np.sqrt(np.repeat(weight, columns.shape[1]))
    x, y = columns.reshape(-1, columns.shape[2]) * root[:, None], choice.ravel() * root
    return np.array([0.5 + (mean - 0.5) / factor, np.linalg.lstsq(x, y, rcond=None)[0][2] / factor])


def test_corrected_estimates_and_their_errors_by_hand_and_by_jackknife():
    # So few errors that every bootstrap sample can be corrected.
    survey, sample = asked(World(respondents=120, error=0.1), 4, samples=400)
    measured = [Measured.of(survey, "choice", own) for own in groups_of(survey, [], sample)]
    table = corrected(survey, CHOICE, measured)
    mean = table.query("quantity == 'marginal_mean' and attribute == 'a0' and level == 'l3'")
    effect = table.query("quantity == 'amce' and level == 'l2' and reference == 'l0' and attribute == 'a0'")
    rows = pd.concat([mean, effect])
    assert set(table["method"]) == {"repeated"}
    n = len(sample.ids)
    dummies = pd.get_dummies(survey.profiles[["a0", "a1", "a2", "a3"]], drop_first=True, dtype=float)
    columns = np.column_stack([np.ones(len(dummies)), dummies]).reshape(n, 10, -1)
    answers = survey.profiles["choice"].to_numpy().reshape(n, 10)
    first, second = answers[:, 0], survey.again["choice"].to_numpy()[::2]
    parts = (columns, answers, first, second, sample.weight)
    np.testing.assert_allclose(rows["estimate"], by_hand(*parts), rtol=1e-9)
    without = np.array([by_hand(*(np.delete(part, i, axis=0) for part in parts)) for i in range(n)])
    spread = np.sqrt(((without - without.mean(axis=0)) ** 2).sum(axis=0) * (n - 1) / n)
    np.testing.assert_allclose(rows["std_error"], spread, rtol=0.05)
    np.testing.assert_allclose(rows["boot_std_error"], rows["std_error"], rtol=0.15)


def test_without_error_nothing_is_corrected():
    survey, sample = asked(SMALL, 5)
    given = survey._replace(given=1.0)
    table = corrected(given, CHOICE, [Measured.of(given, "choice", groups_of(given, [], sample)[0])])
    for raw, own in (("raw", "estimate"), ("raw_std_error", "std_error"), ("raw_low", "conf_low")):
        np.testing.assert_allclose(table[own], table[raw], rtol=1e-9)


def test_answers_at_random_are_not_corrected():
    survey, sample = asked(World(respondents=120, error=0.5), 6)
    measured = [Measured.of(survey, "choice", groups_of(survey, [], sample)[0])]
    assert measured[0].used is None
    table = corrected(survey, CHOICE, measured)
    assert table["estimate"].isna().all() and table["raw"].notna().all()
    notes = reliability(survey, "choice", measured)["note"]
    assert notes.str.contains("hardly more often than by chance").all()


def test_likeness_is_a_correlation_of_utilities():
    """1 for the same task, -1 for the same one with sides changed; slopes are those of differences."""
    survey, sample = asked(SMALL, 7)
    one = survey.profiles[survey.profiles["task"] == 1]
    turned = one.assign(task=7, profile=3 - one["profile"])
    twice = pd.concat([one, one.assign(task=6), turned])
    twice = twice.sort_values(["respondent_id", "task", "profile"], ignore_index=True)
    pairs = Pairs.of(twice, survey.design, "choice", sample)
    share = np.array([0.4, 0.3, 0.2, 0.1])
    found = pairs.likeness(share)[0]
    differs = (pairs.unlike[0] > 0).any(axis=1)
    assert set(np.round(found[differs], 12)) == {1.0, -1.0}
    pairs = Pairs.of(survey.profiles, survey.design, "choice", sample)
    slopes = pairs.likeness(share)[1]
    for a in range(4):
        h = 1e-6 * np.eye(4)[a]
        numeric = (pairs.likeness(share + h)[0] - pairs.likeness(share - h)[0]) / 2e-6
        np.testing.assert_allclose(slopes[:, a], numeric, atol=1e-5)
    # Against utilities: levels drawn anew for many people have this correlation.
    rng = child_rng(7, "utilities")
    person = pairs.person[11]
    mine = sample.person(survey.profiles["respondent_id"]) == person
    codes = survey.design.codes(survey.profiles[mine]).reshape(-1, 2, 4)
    where = [(i, j) for i in range(5) for j in range(i + 1, 5)]
    worths = [rng.normal(0, np.sqrt(s), (40_000, size)) for s, size in zip(share, SMALL.shape, strict=True)]
    lead = np.array([sum(w[:, c[0, a]] - w[:, c[1, a]] for a, w in enumerate(worths)) for c in codes])
    simulated = [np.corrcoef(lead[i], lead[j])[0, 1] for i, j in where]
    own = pairs.person == person
    np.testing.assert_allclose(np.sort(pairs.likeness(share)[0][own]), np.sort(simulated), atol=0.02)


def test_the_curve_is_the_least_squares_one_and_its_error_that_of_a_jackknife():
    survey, sample = asked(World(respondents=150, weight=(0.9, 0.6), shape=(3, 3), error=0.1), 8, samples=200)
    pairs = Pairs.of(survey.profiles, survey.design, "choice", sample)
    curve = Curve.fitted(pairs, sample)

    def fitted(weight):
        def loss(at):
            likeness = pairs.likeness(np.array([1.0, np.exp(at[1])]))[0]
            return np.sum(weight[pairs.person] * (pairs.same - at[0] * 2 / np.pi * np.arcsin(likeness)) ** 2)

        return optimize.minimize(loss, [0.5, 0.0], method="Nelder-Mead").x[0]

    assert curve.square.value[0] == pytest.approx(fitted(sample.weight), abs=1e-3)
    left_out = [fitted(np.where(np.arange(150) == one, 0, sample.weight)) for one in range(150)]
    spread = np.sqrt(((np.array(left_out) - np.mean(left_out)) ** 2).sum())
    assert curve.square.std_error[0] == pytest.approx(spread, rel=0.1)
    assert np.std(curve.square.samples) == pytest.approx(curve.square.std_error[0], rel=0.25)
    table = by_likeness(curve, sample)
    assert table["n"].sum() == len(pairs.same) and (table["n"] >= FEWEST).all()
    assert (table["expected"].diff().dropna() > 0).all()


@pytest.mark.parametrize(
    ("counts", "steps"),
    [
        ([900, 800, 500, 60, 50], [0, 1, 2, 3, 4]),
        ([900, 800, 86, 13, 2], [0, 1, 2, 2, 2]),
        ([9, 0, 70, 0, 51], [0, 0, 0, 0, 1]),
        ([9, 0, 0, 3, 1], [0, 0, 0, 0, 0]),
        ([60, 0, 0, 0, 0], [0, 0, 0, 0, 0]),
    ],
)
def test_tenths_with_few_pairs_join_their_neighbours(counts, steps):
    assert _steps(np.array(counts)).tolist() == steps


def test_the_straight_line_is_that_of_means_by_number_of_differences():
    survey, sample = asked(World(respondents=100), 9)
    pairs = Pairs.of(survey.profiles, survey.design, "choice", sample)
    levels = survey.design.codes(survey.profiles).reshape(100, 5, 2, 4)
    choice = survey.profiles["choice"].to_numpy().reshape(100, 5, 2)[:, :, 0]
    differ = [
        (n, sum(not np.array_equal(t[i, :, a], t[j, :, a]) for a in range(4)), c[i] == c[j], sample.weight[n])
        for n, (t, c) in enumerate(zip(levels, choice, strict=True))
        for i, j in itertools.combinations(range(5), 2)
    ]
    table = pd.DataFrame(differ, columns=["id", "unlike", "same", "weight"]).query("unlike > 0")
    means, errors = [], []
    for _, own in table.groupby("unlike"):
        model = sm.WLS(own["same"].astype(float), np.ones(len(own)), weights=own["weight"]).fit(
            cov_type="cluster", cov_kwds={"groups": pd.factorize(own["id"])[0], "use_correction": False}
        )
        n = own["id"].nunique()
        means.append(model.params.iloc[0])
        errors.append(model.bse.iloc[0] * np.sqrt(n / (n - 1)))
    numbers = np.sort(table["unlike"].unique())
    line = sm.WLS(means, sm.add_constant(numbers.astype(float)), weights=1 / np.square(errors)).fit()
    assert straight_line(pairs, sample).value[0] == pytest.approx(line.params[0], rel=1e-8)


def test_of_numbers_the_part_that_stays_is_found():
    """Variances 4 between people, 1 of petitions, 2 of error: correlations of 5/7 and of 1/3."""
    rng = child_rng(10, "icc")
    n = 4000
    person = np.repeat(np.arange(n), 2)
    keys = pd.DataFrame(
        {"respondent_id": [f"r{i:05}" for i in person], "task": 1, "profile": np.tile([1, 2], n)}
    )
    stays = 2 * rng.normal(size=n)[person] + rng.normal(size=2 * n)
    first, second = (keys.assign(rating=5 + stays + np.sqrt(2) * rng.normal(size=2 * n)) for _ in range(2))
    people = keys[["respondent_id"]].drop_duplicates(ignore_index=True).assign(weight=1.0)
    sample = Sample.of(people, 50, rng)
    found = intraclass(first, second, "rating", sample)
    np.testing.assert_allclose(found.value, [5 / 7, 1 / 3], atol=4 * found.std_error.max())
    assert (found.std_error < 0.03).all()
    np.testing.assert_allclose(intraclass(first, first, "rating", sample).value, 1)


def test_known_errors_are_found_with_and_without_a_task_asked_twice(monkeypatch):
    """Small version of docs/validation_answers.md."""
    monkeypatch.setattr(response_error, "MANY", 60_000)
    rows = pd.DataFrame(
        [row for error in (0.1, 0.3) for draw in range(2) for row in replicate(World(error=error), draw)]
    )
    rows["true"] = np.repeat([0.1, 0.3], 4)
    assert ((rows["error"] - rows["true"]).abs() < 3 * rows["std_error"]).all()
    assert rows[["marginal_mean_delta", "amce_delta", "marginal_mean_boot", "amce_boot"]].mean().min() > 0.85
    assert rows["amce_raw"].mean() < 0.5


def test_groups_differ_by_what_each_has_after_its_own_correction():
    survey, sample = asked(World(respondents=200), 11)
    inside = np.arange(200) < 90
    code = np.where(inside, 0, 1).repeat(10)
    grouping = Grouping("side", ["left", "right"], code, np.array([False, False]))
    groups = groups_of(survey, [grouping], sample)
    measured = [Measured.of(survey, "choice", own) for own in groups]
    table = corrected(survey, Analysis("choice", "CR1", null=0.5), measured)
    own = table[(table["grouping"] == "side") & (table["quantity"] == "amce")]
    parts = {
        (group, minus): rows.reset_index(drop=True)
        for (group, minus), rows in own.groupby(["group", "minus"])
    }
    right, left, both = parts["right", ""], parts["left", ""], parts["right", "left"]
    np.testing.assert_allclose(both["estimate"], right["estimate"] - left["estimate"])
    np.testing.assert_allclose(both["std_error"], np.hypot(right["std_error"], left["std_error"]))
    again = survey.again[survey.again["respondent_id"].isin(sample.ids[inside])]
    alone = survey._replace(profiles=survey.profiles[code == 0], again=again)
    people = pd.DataFrame({"respondent_id": sample.ids[inside], "weight": sample.weight[inside]})
    only = Sample.of(people, 60, child_rng(1, "alone"))
    theirs = corrected(alone, CHOICE, [Measured.of(alone, "choice", groups_of(alone, [], only)[0])])
    theirs = theirs[theirs["quantity"] == "amce"].reset_index(drop=True)
    np.testing.assert_allclose(left["estimate"], theirs["estimate"])
    np.testing.assert_allclose(left["std_error"], theirs["std_error"])
