"""The raw export of a simulated survey reads as the survey itself."""

import pandas as pd
import pytest
import yaml

from nanotarget.clean.samples import read_samples
from nanotarget.clean.shown import check_design
from nanotarget.cli import write_example
from nanotarget.propose import propose, verified_config
from nanotarget.study.checks import validate


@pytest.fixture(scope="module")
def surveys(tmp_path_factory):
    """Tidy profiles of both exports, from proposals that leave nobody out, and the second proposal."""
    folder = tmp_path_factory.mktemp("exports")
    read = {}
    for raw in (False, True):
        path = folder / f"{raw}.csv"
        write_example(path, False, raw)
        text = verified_config(propose([str(path)]), "example")
        settings = yaml.safe_load(text)
        settings["calibration"]["exclusions"] = [
            *([{"step": "Preview", "rule": "in", "column": "Status", "values": ["Survey Preview"]}] * raw),
            {"step": "Duplicate respondent", "rule": "duplicate", "column": "RecipientEmail"},
        ]
        config = validate(settings, "example")
        names = [a.name for a in config.design.attributes]
        profiles = read_samples(config, check_design(config.design, "example")).calibration.profiles
        read[raw] = profiles[["respondent_id", "task", "profile", "choice", *sorted(names)]]
    return read | {"proposal": text}


def test_the_raw_export_says_the_same(surveys):
    tidy, raw = surveys[False], surveys[True]
    chosen = tidy.dropna(subset="choice").astype(str).reset_index(drop=True)
    assert len(chosen) > 4000
    kept = raw[raw["respondent_id"].isin(set(tidy["respondent_id"]))]
    pd.testing.assert_frame_equal(kept.astype(str).reset_index(drop=True), chosen)


def test_the_tutorial_shows_what_is_proposed(surveys, project):
    tutorial = (project / "docs/tutorial.md").read_text(encoding="utf-8")
    block = tutorial.split("```yaml\n")[1].split("```")[0]
    lines = [line.split(" # guess")[0] for line in surveys["proposal"].splitlines()]
    assert [line for line in block.splitlines() if line not in lines] == []
