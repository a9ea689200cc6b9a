"""A small version of the simulated experiments: their rates, and a summary that adds up."""

import json

import numpy as np
import pandas as pd
import pytest

import design_tables
import designs
from experiment import ALPHA, WORLDS, analyse, read, run_batch, summarise
from nanotarget import estimate

REPLICATIONS = 150
FAR = 4.5  # Monte Carlo errors that chance hardly ever explains


@pytest.mark.statistical
@pytest.mark.parametrize("world", ["weak null", "blocked", "constant effects"])
def test_redraws_reject_and_cover_as_often_as_they_should(world):
    redrawn = summarise(analyse(world, 1, REPLICATIONS, only_redrawn=True))
    assert set(redrawn["estimator"]) == {"ri"}
    error = 100 * np.sqrt(ALPHA * (1 - ALPHA) / REPLICATIONS)
    assert (redrawn["covered"] > 95 - FAR * error).all()
    null = redrawn[redrawn["truth"] == 0]
    assert (null["rejected"] < 5 + FAR * error).all()
    assert (redrawn["family"] < 5 + FAR * error).all()
    assert (redrawn["bias"].abs() < FAR * redrawn["bias_error"]).all()
    if world == "constant effects":
        assert redrawn.loc[redrawn["contrast"] == "nano - control", "rejected"].item() > 50


def test_a_batch_is_kept_whole_and_follows_from_its_number(tmp_path):
    run_batch(tmp_path / "0.json", "at the margin", 3, replications=2)
    kept = read(tmp_path)
    assert json.loads((tmp_path / "0.json").read_text())["data"] == "synthetic"
    again = analyse("at the margin", 3, 2)
    pd.testing.assert_frame_equal(kept, again, check_dtype=False, rtol=1e-9, atol=1e-9)
    assert set(kept["estimator"]) == {"dim", "lin", "ri", "tost"}
    assert not again["estimate"].equals(analyse("at the margin", 4, 2)["estimate"])


def test_the_summary_counts():
    rows = pd.DataFrame(
        {
            "world": "w",
            "estimator": "dim",
            "contrast": ["b - a", "c - a", "b - a", "c - a"],
            "outcome": ["y0", "y0", "y1", "y1"],
            "batch": 0,
            "truth": [0.0, 1.0, 0.0, 1.0],
            "estimate": [0.5, 1.0, 0.0, 2.0],
            "p_value": [0.01, 0.01, 0.5, np.nan],
            "p_adjusted": [0.02, 0.02, 0.5, np.nan],
            "conf_low": [0.1, 0.5, -1.0, np.nan],
            "conf_high": [0.9, 1.5, 1.0, np.nan],
        }
    )
    first, second = summarise(rows).to_dict("records")
    assert (first["rejected"], first["covered"], first["bias"], first["family"]) == (50, 50, 0.25, 50)
    assert (second["rejected"], second["covered"], second["bias"]) == (100, 100, 0.5)
    assert first["rejected_error"] == pytest.approx(100 * np.sqrt(0.25 / 2))


def test_every_world_says_what_is_true():
    """The mean of many draws is the true mean of each arm."""
    rng = np.random.default_rng(1)
    n = 60_000
    arm, cluster = np.arange(n) % 3, np.arange(n)
    for name, world in WORLDS.items():
        if world.missing:  # the means of those who stay are not the truth: that is what these worlds are for
            continue
        y = world.draw(arm, cluster, rng.normal(size=n), rng)
        means, spread = (pd.Series(y).groupby(arm).agg(how).to_numpy() for how in ("mean", "sem"))
        shift = means - np.array(world.means)
        # Differences between arms are what is true; a level that all share is not.
        assert (np.abs(shift - shift[0])[1:] < FAR * np.hypot(spread[0], spread[1:])).all(), name


def test_every_estimator_is_asked_in_every_design():
    assert set(estimate.__all__) - set(designs.NO_ANALYSIS) == set(designs.ANALYSES)
    assert set(designs.NO_ANALYSIS) <= set(estimate.__all__)


def test_what_a_design_refuses_has_its_reason_and_sums_add_up():
    known = design_tables.supported()
    assert list(known.columns) == list(designs.DESIGNS)
    refused = known.apply(lambda cells: cells.str.startswith("refused: "))
    reasons = known.to_numpy()[refused.to_numpy()]
    assert len(reasons) and all(len(reason) > len("refused: ") + 5 for reason in reasons)
    main = ["`dim`", "`lin`", "`ri`", "`ipw`", "`aipw`", "`lee` (fraction)", "`cace`"]
    assert not refused.loc[main].any(axis=None)
    assert known.loc["`dim`", ["complete", "clustered within"]].tolist() == ["HC2", "CR2; errors"]
    rows = designs.batch("clustered within", 0, replications=2)
    assert rows["n"].eq(2).all() and (rows["covered"] + rows["missed"] <= 2).all()
    table = design_tables.summarise(rows)
    assert table["rejected"].between(0, 100).all()
    assert (table["bias"] * 2 - rows["error"].to_numpy()).abs().max() < 1e-12
