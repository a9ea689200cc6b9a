"""BART and individual effects against cjbart on the candidate conjoint of Saha & Weeks (2022).

cjbart drew 1,000 times; 400 draws tell the same means in less than half of the time.
"""

import logging

import numpy as np
import pandas as pd
import pytest
import yaml

from nanotarget.calibrate.imce import imce
from nanotarget.calibrate.learners import TrainingData
from nanotarget.calibrate.learners.bart import fit_bart
from nanotarget.clean.samples import read_samples
from nanotarget.petitions.design import Design
from nanotarget.study.checks import validate
from nanotarget.study.config import BartConfig
from nanotarget.study.response import Choice

pytestmark = pytest.mark.golden

LOG = logging.getLogger(__name__)
STUDY = "conjoint_candidates_sw2022"


@pytest.fixture(scope="module")
def effects(reference, project):
    """cjbart's and our individual effects, one row a respondent and level."""
    settings = yaml.safe_load((project / "examples" / f"{STUDY}.yaml").read_text(encoding="utf-8"))
    settings["calibration"]["file"] = str(reference / "data" / STUDY / "data.csv.gz")
    config = validate(settings, STUDY)
    design = Design.from_config(config.design)
    sample = read_samples(config, design).calibration
    data = TrainingData.from_tables(
        sample.profiles, sample.respondents, design, Choice, tuple(config.covariates)
    )
    model = fit_bart(data, 1, BartConfig(trees=50, draws=400, burn_in=100, chains=1))
    ours = imce(model, data.respondents, 0.95, 1)
    golden = pd.read_csv(
        reference / "golden/cjbart/sw2022_c1_imce.csv.gz", keep_default_na=False, na_values=[""]
    )
    levels = ours["level"].unique()
    golden = golden.melt("respondent", list(levels), "level", "cjbart")
    golden = golden.rename(columns={"respondent": "respondent_id"})
    both = ours.merge(golden, on=["respondent_id", "level"], validate="1:1")
    assert len(both) == len(ours) == len(golden) == 1191 * 13
    return both


def test_mean_effects_are_those_of_cjbart(effects, reference):
    golden = pd.read_csv(reference / "golden/cjbart/sw2022_c1_amce.csv", keep_default_na=False)
    golden = golden.set_index("level")["amce_cjbart"]
    means = effects.groupby("level")["estimate"].mean()
    difference = means - golden.loc[means.index]
    LOG.info("mean IMCE less cjbart's AMCE:\n%s", difference.round(4).to_string())
    assert difference.abs().max() < 0.005


def test_people_are_ranked_as_cjbart_ranks_them_where_effects_really_differ(effects):
    """cjbart's own correlation between two runs is .82 to .985 a level; most levels hardly vary at all."""
    found = {
        level: (np.corrcoef(part["estimate"], part["cjbart"])[0, 1], part["cjbart"].std())
        for level, part in effects.groupby("level")
    }
    LOG.info("correlation with cjbart, SD of its effects:\n%s", pd.DataFrame(found).T.round(3).to_string())
    assert min(r for r, sd in found.values() if sd > 0.03) > 0.95
    assert np.median([r for r, _ in found.values()]) > 0.4
