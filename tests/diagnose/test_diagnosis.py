"""The diagnosis as a whole: what must not change it does not change it, and verdicts follow their rules."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from nanotarget.calibrate.learners import arrays_of, models_from_data
from nanotarget.calibrate.learners.base import TrainingData
from nanotarget.calibrate.learners.crossfit import Crossfit, assign_halves, crossfit, fit_folds
from nanotarget.calibrate.learners.ridge import fit_ridge
from nanotarget.calibrate.regression import holm
from nanotarget.diagnose import Group, Inputs, diagnose
from nanotarget.diagnose.crossover import Crossover
from nanotarget.diagnose.dividend import Dividend, learning_curve
from nanotarget.diagnose.divisions import LEAST, Divisions, Gains
from nanotarget.diagnose.divisions import from_arrays as from_divisions
from nanotarget.diagnose.divisions import to_arrays as to_divisions
from nanotarget.diagnose.folds import (
    LINEAR_PART_OF_CHOICE,
    Change,
    Term,
    shared_choices,
    shared_noise,
    shared_threshold,
)
from nanotarget.diagnose.quantities import DIAGNOSTICS, Quantity, Unit
from nanotarget.diagnose.redivision import Limits, RidgeDivider, dividers, moments_of, redivide
from nanotarget.diagnose.refits import Refitting, from_arrays, to_arrays
from nanotarget.diagnose.rows import Estimate, Sample, Stage, holm_levels
from nanotarget.diagnose.value import Scores
from nanotarget.diagnose.verdict import overall_verdict, stage_verdicts, threshold
from nanotarget.study import artefacts
from nanotarget.study.config import CalibrateConfig, CostsConfig, CovariateConfig, DiagnoseConfig, RungConfig
from nanotarget.study.response import Rating
from worlds import factorial, simulate

DESIGN = factorial((4, 3, 3))
SETTINGS = DiagnoseConfig(sesoi=0.1, bootstraps=60, permutations=0, splits=1)


def world(seed=1, n=240, tasks=4, **more):
    options = {"common": 0.3, "specific": 0.35, "features": 2, "idiosyncratic": 0.2} | more
    return simulate(DESIGN, n, tasks, np.random.default_rng(seed), **options)[0]


def inputs(data, settings=SETTINGS, **more):
    def fit(train, part):
        return fit_ridge(train, 1)

    return Inputs(
        crossfit(data, fit, 4, 1),
        fit_folds(data, assign_halves(data, 1), fit, "half"),
        settings,
        1,
        sizes=(1, 3),
        **more,
    )


def estimates(found, column="estimate"):
    table = found.diagnostics
    return table.set_index(["diagnostic", "quantity", "estimator", "goal", "group"])[column].sort_index()


@pytest.fixture(scope="module")
def base():
    return diagnose(inputs(world()))


def test_a_learner_that_has_not_converged_is_flagged(base):
    assert not any(flag.startswith("learner:") for flag in base.answer["flags"])
    doubtful = diagnose(inputs(world(), warning="the chains have not converged"))
    assert doubtful.answer["flags"] == ["learner: the chains have not converged.", *base.answer["flags"]]


def tables_of(data):
    """The cleaned tables that training data came from."""
    respondents = data.respondents
    profiles = DESIGN.frame(data.levels).assign(
        respondent_id=respondents["respondent_id"].to_numpy()[data.respondent],
        task=data.task,
        rating=data.outcome,
    )
    profiles["profile"] = profiles.groupby(["respondent_id", "task"]).cumcount() + 1
    return profiles, respondents


def test_the_pair_of_attributes_that_interacts_is_found_and_allowed_for():
    data = world(n=400)
    together = (data.levels[:, 0] == 0) & (data.levels[:, 2] == 1)
    found = inputs(replace(data, outcome=data.outcome + 2.0 * together))
    assert found.interactions.p_value < 0.01
    assert found.allowed == (1, ((0, 2),))
    table = diagnose(found).diagnostics
    decisive = table[(table["quantity"] == Quantity.GAIN) & table["ceiling"].notna()]
    assert set(decisive["estimator"]) == {"dr_pairs"}
    assert set(table.loc[table["quantity"] == "cross-half gain", "estimator"]) == {"dr_pairs"}
    assert inputs(data).allowed == (1, ())


def test_what_folds_share_is_nothing_for_a_rule_of_signal_and_all_for_one_of_noise():
    """Halves with one and the same model agree; halves whose rules are noise do not."""
    data = world()
    found = inputs(data)
    everybody, largest = data.weight, np.sqrt(1 + shared_threshold(4))

    def of_choices(halves):
        return Divisions.of(Dividend(found.fitted), Dividend(halves)).shared_noise(everybody)

    same = Crossfit(data, found.halves.fold, [found.fitted.models[0]] * 2)
    assert of_choices(same) == pytest.approx(1, abs=0.05)
    assert Crossover(same, everybody).shared_noise(everybody, 5) == pytest.approx(1, abs=0.01)
    assert Divisions.alone(Dividend(found.fitted)).shared_noise(everybody) == 1
    assert 1 < of_choices(found.halves) < largest
    assert 1 < Crossover(found.halves, everybody).shared_noise(everybody, 5) < np.sqrt(2)
    rng = np.random.default_rng(2)
    noise = [
        Crossfit(data, found.halves.fold, [fit_ridge(reshuffled(data, rng), 1) for _ in range(2)])
        for _ in range(3)
    ]
    factors = [of_choices(halves) for halves in noise]
    assert np.mean(factors) > 1 + 0.6 * (np.sqrt(1 + LINEAR_PART_OF_CHOICE) - 1)
    factors = [Crossover(halves, everybody).shared_noise(everybody, 5) for halves in noise]
    assert np.mean(factors) > 1.25


def signs(values):
    """Return a change that is (2, n) numbers of -1 or 1, by one function of three cells."""
    functions, cells = np.array([[-1.0], [0.0], [1.0]]), (values + 1).astype(int)
    return Change([[Term(functions, cells, np.ones_like(cells))]])


def test_folds_share_the_noise_of_a_linear_rule_and_the_linear_part_of_a_choice():
    """People with covariates z answer noise; the others' answers, regressed on theirs, rule."""
    rng = np.random.default_rng(5)
    draws, folds, people, q = 2000, 6, 180, 6
    fold = np.arange(people) % folds
    z = rng.normal(size=(people, q))
    noise = rng.normal(size=(draws, people))
    told = np.stack([noise[:, fold == k] @ z[fold == k] for k in range(folds)], axis=1)
    learned = (told.sum(axis=1, keepdims=True) - told)[:, fold]
    expected = np.einsum("dnq,nq->dn", learned, z)

    def linear(one, other):
        return shared_noise(one.ravel(), other.ravel(), np.ones(one.size), folds)

    def choices(one, other):
        changes = [signs(np.stack(pair)) for pair in zip(one, other, strict=True)]
        return shared_choices(changes, np.ones(people), folds)

    for rule, factor, counted in (
        (lambda v: v, linear, 1.0),
        (np.sign, choices, LINEAR_PART_OF_CHOICE),
    ):
        scores = noise * rule(expected)
        excess = scores.sum(axis=1).var() / (scores**2).sum(axis=1).mean()
        halves = [rule(told[:, three].sum(axis=1) @ z.T) for three in ([0, 1, 2], [3, 4, 5])]
        found = factor(*halves) ** 2
        assert found == pytest.approx(1 + counted, abs=0.03)
        assert excess == pytest.approx(found, rel=0.07)


@pytest.mark.parametrize("folds", [2, 5])
def test_a_tie_for_all_is_shared_by_all_folds_and_divisions_average_it_out(folds):
    """All get what the noise of the others says is better; scored in one division and in many."""
    rng = np.random.default_rng(7)
    draws, people, many = 1500, 120, 30
    noise = rng.normal(size=(draws, people))
    scores = np.empty((many, draws, people))
    for s in range(many):
        fold = rng.permutation(np.arange(people) % folds)
        told = np.stack([noise[:, fold == k].sum(axis=1) for k in range(folds)], axis=1)
        scores[s] = noise * np.sign(told.sum(axis=1, keepdims=True) - told)[:, fold]
    naive = (noise**2).sum(axis=1).mean()
    halves = [np.sign(noise[:, half].sum(axis=1)) for half in (slice(0, 60), slice(60, None))]
    pairs = zip(*halves, strict=True)
    changes = [signs(np.tile(np.array(pair)[:, None], (1, people))) for pair in pairs]
    for count in (1, many):
        true = scores[:count].mean(axis=0).sum(axis=1).var() / naive
        found = shared_choices(changes, np.ones(people), folds, count) ** 2
        assert true == pytest.approx(found, rel=0.07 if count == 1 else 0.2)
        assert count == 1 or found > 0.97 * true


def reshuffled(data, rng):
    """Everybody's ratings, given by somebody else: what a learner finds in them is noise."""
    order = rng.permutation(len(data.outcome))
    return replace(data, outcome=3 * data.outcome[order])


def test_a_constant_added_to_ratings_changes_levels_only(base):
    data = world()
    found = diagnose(inputs(replace(data, outcome=data.outcome + 5)))
    values = {"random", "nano", "overall_best"}
    for key, before in estimates(base).items():
        after = estimates(found)[key]
        shift = 0.0
        if key[0] == "dividend" and key[1] in values:
            shift = 5.0 if key[3] == "support" else -5.0
        assert after == pytest.approx(before + shift, abs=1e-8, nan_ok=True), key


def test_rescaled_ratings_rescale_every_quantity_by_its_unit(base):
    """In half points a gain doubles, a variance quadruples, and a share stays what it is."""
    data = world()
    found = diagnose(
        inputs(replace(data, outcome=2 * data.outcome), SETTINGS.model_copy(update={"sesoi": 0.2}))
    )
    factors = {Unit.OUTCOME: 2, Unit.SQUARE: 4, Unit.RESPONDENTS: 0.5}
    units = {quantity: quantity.unit for quantity in Quantity}
    assert found.answer["stages"] == base.answer["stages"]
    for key, before in estimates(base).items():
        expected = before * factors.get(units[key[1].partition(": ")[0]], 1)
        assert estimates(found)[key] == pytest.approx(expected, rel=1e-6, abs=1e-9, nan_ok=True), key
    seen = {units[key[1].partition(": ")[0]] for key in estimates(base).index}
    assert seen >= {Unit.OUTCOME, Unit.SQUARE, Unit.SHARE, Unit.RATIO, Unit.PETITIONS}


def test_the_order_of_rows_changes_nothing(base):
    profiles, respondents = tables_of(world())
    shuffled = TrainingData.from_tables(
        profiles.sample(frac=1, random_state=1),
        respondents.sample(frac=1, random_state=2),
        DESIGN,
        Rating,
        world().covariates,
    )
    found = diagnose(inputs(shuffled))
    pd.testing.assert_frame_equal(found.diagnostics, base.diagnostics, rtol=1e-9, atol=1e-9)


def test_a_covariate_without_variation_changes_nothing(base):
    data = world()
    people = data.respondents.assign(same=1.0)
    more = replace(
        data, respondents=people, covariates=(*data.covariates, CovariateConfig(name="same", kind="numeric"))
    )
    found = diagnose(inputs(more))
    pd.testing.assert_frame_equal(found.diagnostics, base.diagnostics, rtol=1e-9, atol=1e-9)


def test_relabelled_levels_change_nothing_but_names(base):
    """Reverse the levels of every attribute; errors that come from posterior draws are simulated."""
    data = world()
    flipped = np.array(DESIGN.shape) - 1 - data.levels
    found = diagnose(inputs(replace(data, levels=flipped)))
    assert estimates(found).to_numpy() == pytest.approx(estimates(base).to_numpy(), abs=1e-7, nan_ok=True)
    drawn = estimates(base).index.get_level_values("diagnostic") == "crossover"
    errors = [estimates(table, "std_error")[~drawn].to_numpy() for table in (found, base)]
    assert errors[0] == pytest.approx(errors[1], abs=1e-7, nan_ok=True)
    before, after = base.switches, found.switches
    for name in DESIGN.names:
        shares = [t.loc[t["attribute"] == name, "share_nano"].to_numpy() for t in (before, after)]
        assert shares[1][::-1] == pytest.approx(shares[0])


def test_the_scale_of_weights_changes_nothing(base):
    data = world()
    found = diagnose(inputs(replace(data, respondents=data.respondents.assign(weight=3.5))))
    pd.testing.assert_frame_equal(found.diagnostics, base.diagnostics, rtol=1e-9, atol=1e-9)


def doubled(fitted):
    """Every respondent twice, each with half of the weight, in the fold of the original."""
    data = fitted.data
    twice = pd.concat([data.respondents, data.respondents]).assign(weight=0.5)
    twice["respondent_id"] = [f"q{i:05d}" for i in range(len(twice))]
    rows = np.concatenate([np.arange(len(data.task))] * 2)
    respondent = np.concatenate([data.respondent, data.respondent + data.n_respondents])
    copy = replace(
        data,
        levels=data.levels[rows],
        outcome=data.outcome[rows],
        task=data.task[rows],
        respondent=respondent,
        respondents=twice.reset_index(drop=True),
    )
    return Crossfit(copy, fitted.fold[rows], fitted.models)


def test_people_counted_twice_with_half_weights_change_no_mean(base):
    """Not so products of different people, which cannot tell a person from her copy, and what uses them."""
    original = inputs(world())
    copied = replace(original, fitted=doubled(original.fitted), halves=doubled(original.halves))
    found = estimates(diagnose(copied))
    between = ("person x", "common", "noise", "interaction share", "predictable", "cross-message")
    dealt_anew = ("matching gain", "quality loss")
    kept = [key for key in estimates(base).index if not key[1].startswith((*between, *dealt_anew))]
    assert len(kept) > 30
    for key in kept:
        assert found[key] == pytest.approx(estimates(base)[key], abs=1e-8, nan_ok=True), key
    pairs = [m.heterogeneity.coefficients(m.heterogeneity.products, m.counts[:1]) for m in (original, copied)]
    assert pairs[0] == pytest.approx(pairs[1], abs=1e-9)


def test_both_goals_are_mirror_images():
    """Dissuasion of an outcome is support of its opposite."""
    data = world()
    found = diagnose(inputs(data, SETTINGS.model_copy(update={"goal": "dissuade"})))
    mirrored = diagnose(inputs(replace(data, outcome=-data.outcome)))
    for key, value in estimates(mirrored).items():
        other = (*key[:3], "dissuade" if key[3] == "support" else "support", key[4])
        if key[1] not in ("matching gain", "quality loss"):
            assert estimates(found)[other] == pytest.approx(value, abs=1e-7, nan_ok=True), key


@pytest.mark.parametrize("variant", ["share_50", "rung_1"])
def test_refits_are_scored_for_the_goal(variant):
    """To dissuade they are those of the opposite outcome, like all else of the diagnosis."""
    data = world()
    settings = SETTINGS.model_copy(update={"ladder": [RungConfig(name="one", covariates=["z0"])]})
    opposite = replace(data, outcome=-data.outcome)
    down, mirrored, up = (
        Refitting(own, CalibrateConfig(), goal, "ridge", 1).refit(variant)
        for own, goal in (
            (data, settings.model_copy(update={"goal": "dissuade"})),
            (opposite, settings),
            (data, settings),
        )
    )
    for name, values in vars(mirrored).items():
        assert vars(down)[name] == pytest.approx(values, abs=1e-9, nan_ok=True), name
    again = from_arrays(to_arrays({variant: up, "other": down}))
    assert list(again) == [variant, "other"]
    for name, values in vars(up).items():
        assert np.array_equal(vars(again[variant])[name], values, equal_nan=True)
    assert np.abs(up.gains - down.gains).max() > 0.1


def test_a_group_of_all_is_the_whole():
    data = world()
    everybody = Group("g: all", np.ones(data.n_respondents, dtype=bool))
    table = diagnose(inputs(data), [everybody]).diagnostics
    for goal in ("support", "dissuade"):
        own = table[(table["group"] == "g: all") & (table["goal"] == goal)]
        for line in own.itertuples():
            whole = table[
                (table["group"] == "all")
                & (table["goal"] == goal)
                & (table["quantity"] == line.quantity)
                & (table["estimator"] == line.estimator)
            ]
            assert line.estimate == pytest.approx(whole["estimate"].iloc[0])
            if line.diagnostic in ("heterogeneity", "predictability"):
                assert line.ceiling_high == pytest.approx(whole["ceiling_high"].iloc[0], nan_ok=True)
            elif goal == "support" and np.isfinite(line.ceiling):  # bounds of several gains hold together
                assert line.ceiling_high >= whole["ceiling_high"].iloc[0] - 1e-12


@pytest.mark.parametrize(("pairs", "alike"), [(False, 0.99), (True, 0.9)])
def test_rules_from_shared_moments_are_those_of_the_learner(pairs, alike, tmp_path):
    """In the study's own division; interactions are taken over, single levels are fitted amid them."""
    data = world(n=400)
    together = (data.levels[:, 0] == 0) & (data.levels[:, 2] == 1)
    data = replace(data, outcome=data.outcome + 2.0 * together * pairs)
    fitted = crossfit(data, lambda train, part: fit_ridge(train, 1, True), 4, 1)
    assert np.isfinite([model.fit["penalty_interactions"] for model in fitted.models]).any() == pairs
    artefacts.write_json([model.settings() for model in fitted.models], tmp_path / "models.json")
    written = artefacts.read_json(tmp_path / "models.json")
    read = models_from_data(written, arrays_of(fitted.models), DESIGN)
    moments = moments_of(fitted.data)
    divider = RidgeDivider(replace(fitted, models=read), Scores(fitted), ["support", "dissuade"], moments)
    whole = divider.divide(fitted.fold, everybody=True)
    for goal, found in divider.divide(fitted.fold, everybody=False).items():
        own = Dividend(fitted.for_goal(goal))
        assert (found.nano == own.petitions[Quantity.NANO]).all(axis=1).mean() > alike
        assert np.array_equal(found.best, own.petitions[Quantity.OVERALL_BEST])
        assert found.gains.mean() == pytest.approx(own.gains().mean(), abs=0.02)
        assert np.array_equal(found.nano, whole[goal].nano)
        assert found.rules is None and len(whole[goal].rules.nano) == 4


def test_divisions_go_on_until_others_would_give_nearly_the_same_and_files_keep_them():
    data = world(n=400)
    found = inputs(data)
    both = dividers(found.fitted, found.halves, None)
    divided = redivide(*both, data, Limits(4, 200), 1)
    everybody = Sample.of(data.weight)
    for goal, own in divided.items():
        for kind, gain in ((own.folds, own.dividend(everybody)), (own.halves, own.crossover(everybody))):
            assert LEAST <= len(kind.scores) < 200
            assert np.sqrt(kind.spread(data.weight) / len(kind.scores)) <= 0.1 * gain.std_error
        again = from_divisions(to_divisions(divided), data.design)[goal]
        assert again.dividend(everybody) == own.dividend(everybody)
        assert again.crossover(everybody) == own.crossover(everybody)
    other = redivide(*both, data, Limits(4, 200), 2)["support"].dividend(everybody)
    gain = divided["support"].dividend(everybody)
    assert abs(other.value - gain.value) < 0.5 * gain.std_error
    assert redivide(*both, data, Limits(4, 3), 1)["support"].folds.scores.shape == (3, 400)


def test_the_reference_of_the_config_names_the_limit_of_divisions_that_fit_anew():
    assert f"at most {LEAST}." in DiagnoseConfig.model_fields["splits"].description


@pytest.mark.parametrize("folds", [3, 5, 10])
def test_the_gain_of_all_lies_on_the_line_through_folds_and_halves(folds):
    rng, n = np.random.default_rng(3), 200
    limit, lost = rng.normal(0.5, 1, n), rng.normal(0.1, 0.2, n)

    def gains(own_folds):
        share = 1 - 1 / own_folds
        noise = rng.normal(size=(4, n))
        scores = limit - lost / share + noise - noise.mean(axis=0)
        return Gains(scores, np.ones((4, n)), own_folds)

    weight = rng.uniform(0.5, 2, n)
    divisions = Divisions(gains(folds), gains(2), [])
    found, of_folds = divisions.of_all(Sample.of(weight)), divisions.dividend(Sample.of(weight))
    assert found.value == pytest.approx(np.average(limit - lost, weights=weight), abs=1e-12)
    errors = [Estimate.mean(s, weight).std_error for s in (limit - lost, limit - lost / (1 - 1 / folds))]
    assert found.std_error == pytest.approx(of_folds.std_error * errors[0] / errors[1], rel=1e-9)
    assert Divisions(gains(2), gains(2), []).of_all(Sample.of(weight)) is None


def test_bounds_of_several_gains_decide_as_the_steps_of_holm():
    gains = [Estimate(value, 1.0) for value in (3.0, 2.0, -2.2, 1.7, 0.1)]
    levels = holm_levels(gains, 0.0)
    decided = [
        low > 0 or high < 0 for low, high in (g.interval(v) for g, v in zip(gains, levels, strict=True))
    ]
    one_sided = [min(g.p_above(0.0), 1 - g.p_above(0.0)) for g in gains]
    assert decided == list(holm(np.array(one_sided)) < 0.05)
    assert decided == [True, False, False, False, False]
    assert levels[0] == pytest.approx(1 - 0.05 / 5) and levels[2] == pytest.approx(1 - 0.05 / 4)


def test_identities(base):
    row = estimates(base)

    def of(quantity, estimator="dr_q1", diagnostic="dividend"):
        return row[(diagnostic, quantity, estimator, "support", "all")]

    gain = of(Quantity.GAIN)
    assert of("matching gain") - of("quality loss") == pytest.approx(gain)
    assert of("order 2 - order 1", "dr") == pytest.approx(of(Quantity.GAIN, "dr_q2") - gain)
    parts = [
        of(name, "cross_task", "heterogeneity")
        for name in (
            "baseline variance",
            "common message variance",
            "person x message variance",
            "noise variance",
        )
    ]
    data = world()
    assert sum(parts) == pytest.approx(data.outcome.var(), rel=1e-9)
    assert base.frontier["gain"].iloc[0] == 0
    assert base.frontier["value"].iloc[0] == pytest.approx(of("overall_best"))


def test_without_covariates_heterogeneity_still_answers():
    data = replace(world(), covariates=())
    found = diagnose(inputs(data), [Group("g: half", np.arange(data.n_respondents) % 2 == 0)])
    assert found.answer["stages"] == {
        "heterogeneity": "PASS",
        "predictability": "NOT EVALUATED",
        "crossover": "NOT EVALUATED",
        "dividend": "NOT EVALUATED",
    }
    assert found.answer["overall"] == "COLLECT MORE"
    assert "may be used for targeting" in found.answer["text"]
    assert set(found.diagnostics["diagnostic"]) == {"threshold", "heterogeneity", "dividend"}
    for table in (found.calibration, found.switches, found.frontier, found.learning_curve, found.ladder):
        assert table.empty


def test_choices_are_in_probabilities():
    data = world(n=300, outcome="choice", common=0.3, specific=0.6, idiosyncratic=0)
    found = diagnose(inputs(data))
    row = estimates(found)
    assert ("heterogeneity", "baseline variance", "cross_task", "support", "all") not in row.index
    total = sum(
        row[("heterogeneity", name, "cross_task", "support", "all")]
        for name in ("common message variance", "person x message variance", "noise variance")
    )
    assert total == pytest.approx(0.125)  # half of the variance of a choice between two petitions
    assert row[("predictability", "discordance win rate", "pairs", "support", "all")] > 0.5
    assert 0 < found.answer["gain"] < 0.5


def stages(**changes):
    found = {name: Stage(name, 0.3, 0.2, 0.4, significant=True, learned=True) for name in DIAGNOSTICS}
    return found | {name: replace(found[name], **change) for name, change in changes.items()}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ("PASS", "PASS", "PASS", "PASS")),
        ({"dividend": {"low": 0.05}}, ("PASS", "PASS", "PASS", "INCONCLUSIVE")),
        (
            {"crossover": {"low": 0.02}, "dividend": {"low": -0.1, "high": 0.05}},
            ("PASS", "PASS", "PASS", "FAIL"),
        ),
        # What rules of half the data gain, those of all may gain, too.
        ({"dividend": {"low": -0.1, "high": 0.05}}, ("PASS", "PASS", "PASS", "INCONCLUSIVE")),
        # A rule that learned nothing proves nothing ...
        (
            {
                "predictability": {"significant": False, "learned": False},
                "crossover": {"low": 0, "high": 0},
                "dividend": {"low": 0, "high": 0},
            },
            ("PASS", "INCONCLUSIVE", "INCONCLUSIVE", "INCONCLUSIVE"),
        ),
        # ... unless there is nothing to learn.
        (
            {
                "predictability": {"significant": False, "learned": False, "high": 0.05},
                "crossover": {"low": 0, "high": 0},
                "dividend": {"low": 0, "high": 0},
            },
            ("PASS", "FAIL", "FAIL", "FAIL"),
        ),
        ({"heterogeneity": {"significant": False}}, ("INCONCLUSIVE", "PASS", "PASS", "PASS")),
        (
            {
                "predictability": {"evaluated": False},
                "crossover": {"evaluated": False},
                "dividend": {"evaluated": False},
            },
            ("PASS", "NOT EVALUATED", "NOT EVALUATED", "NOT EVALUATED"),
        ),
    ],
)
def test_verdicts_of_stages(changes, expected):
    assert tuple(stage_verdicts(stages(**changes), 0.1).values()) == expected


@pytest.mark.parametrize(
    ("said", "overall"),
    [
        (("PASS", "PASS", "PASS", "PASS"), ("DEPLOY", None)),
        (("INCONCLUSIVE", "PASS", "PASS", "PASS"), ("DEPLOY", None)),
        (("PASS", "FAIL", "FAIL", "FAIL"), ("DO NOT DEPLOY", "predictability")),
        (("PASS", "PASS", "INCONCLUSIVE", "INCONCLUSIVE"), ("COLLECT MORE", "crossover")),
        (("FAIL", "NOT EVALUATED", "NOT EVALUATED", "NOT EVALUATED"), ("DO NOT DEPLOY", "heterogeneity")),
        (("PASS", "NOT EVALUATED", "NOT EVALUATED", "NOT EVALUATED"), ("COLLECT MORE", "predictability")),
    ],
)
def test_overall_verdicts(said, overall):
    assert overall_verdict(dict(zip(DIAGNOSTICS, said, strict=True))) == overall


def test_the_gain_that_breaks_even_counts_where_it_is_larger():
    costs = CostsConfig(value=2.0, calibration=900, message=10, audience=1000)
    settings = DiagnoseConfig(sesoi=0.3, costs=costs)
    assert threshold(settings, 11) == (0.5, 0.5)  # (900 + 10 * 10) / (2 * 1000)
    assert threshold(settings.model_copy(update={"sesoi": 0.6}), 11) == (0.6, 0.5)
    without = settings.model_copy(update={"costs": costs.model_copy(update={"audience": None})})
    assert threshold(without, 11) == (0.3, None)


def test_the_learning_curve_finds_its_limit():
    """Scores that follow limit - c / n exactly."""
    rng = np.random.default_rng(1)
    limit, loss = 0.4 + rng.normal(size=50), 0.1 + rng.normal(size=50)
    gains = {share: limit - loss / share for share in (0.25, 0.5, 0.75, 1.0)}
    table = pd.DataFrame(learning_curve(gains, Sample.of(np.ones(50)), 800))
    last = table[table["n"].isna()].iloc[0]
    assert last["gain"] == pytest.approx(limit.mean())
    assert last["std_error"] == pytest.approx(limit.std(ddof=1) / np.sqrt(50))
    assert table["n"].tolist()[:6] == [200, 400, 600, 800, 1600, 3200]


def test_variants_follow_the_learner():
    settings = DiagnoseConfig(ladder=[RungConfig(name="one", covariates=["z0"])])
    shares = ["share_25", "share_50", "share_75"]
    assert settings.variants(["ridge"]) == {"shares": shares, "rungs": ["rung_1"]}
    assert settings.variants(["ridge", "bart"])["shares"] == [*shares, "share_100"]
    assert DiagnoseConfig().variants(["ridge"]) == {"shares": shares}
