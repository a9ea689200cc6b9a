"""A small version of `make recovery`: nano does no harm where nobody differs, and gains where people do."""

import pytest

from nanotarget.study.config import BartConfig, CalibrateConfig
from recovery import replicate

SETTINGS = {
    "ridge": CalibrateConfig(learner="ridge"),
    "stagewise": CalibrateConfig(learner="stagewise"),
    "bart": CalibrateConfig(learner="bart", bart=BartConfig(trees=30, draws=150, burn_in=80, chains=1)),
}
HARM = 0.02  # tolerated, in standard deviations of the noise of one rating
SHARE = {
    "ridge": 0.6,
    "stagewise": 0.6,
    "bart": 0.2,
}  # of what the oracle gains; few trees follow slopes badly


def measures(world, label):
    return replicate(world, "rating", 2, SETTINGS[label], n=600, newcomers=300, shape=(5, 4, 3, 3))


@pytest.mark.statistical
@pytest.mark.parametrize("label", SETTINGS)
def test_where_nobody_differs_nano_does_hardly_any_harm(label):
    """A learner may miss the overall-best petition by a little; nano adds hardly any loss to that."""
    found = measures("none", label)
    assert found["oracle_gain"] == pytest.approx(0, abs=1e-9)
    assert found["gain"] > found["gain_own_best"] - HARM
    assert found["gain"] > -0.1
    assert found["regret"] == pytest.approx(-found["gain"])
    assert found["distinct"] <= 6


@pytest.mark.statistical
@pytest.mark.parametrize("label", SETTINGS)
def test_where_people_differ_nano_gains(label):
    found = measures("crossover", label)
    assert found["gain"] > SHARE[label] * found["oracle_gain"] > 0
    assert found["correlation"] > 0.4
    assert found["loss_reduction"] > 0
    assert found["gain"] + found["regret"] == pytest.approx(found["oracle_gain"])
