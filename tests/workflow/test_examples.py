"""Every example study on real data, held to the numbers of R."""

import json
from functools import cache

import numpy as np
import pandas as pd
import pytest
import yaml

from forked import snakemake_forked
from nanotarget.calibrate.learners import model_from_data
from nanotarget.petitions.design import Design
from nanotarget.study import artefacts
from nanotarget.study.config import AttributeConfig, DesignConfig
from running import spare

pytestmark = pytest.mark.workflow


# A conjoint of choices and an experiment run whole here, a conjoint of ratings as the reference study does
# (test_runs.py); of the others the stages that the tests below look at.
WHOLE = ["conjoint_climate_bs2013", "exp_levendusky_2016"]
STAGES = {name: ["all"] for name in WHOLE} | {
    "conjoint_candidates_hhy2014_rating": ["conjoint", "diagnose"],
    "conjoint_candidates_sw2022": ["conjoint", "assign"],
    "conjoint_immigration_hhy2014": ["conjoint", "assign"],
    "exp_hillstrom_2008": ["estimate"],
}


@pytest.fixture(scope="module")
def results_of(project, reference, tmp_path_factory):
    """Give a function that runs an example on the reference data, once; returns its results."""
    folder = tmp_path_factory.mktemp("examples")

    @cache
    def run(name):
        config = yaml.safe_load((project / f"examples/{name}.yaml").read_text(encoding="utf-8"))
        for sample in ("calibration", "experiment"):
            if sample in config:
                config[sample]["file"] = config[sample]["file"].replace("../shared", str(reference))
        spare(config)
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(config, allow_unicode=True), encoding="utf-8")
        options = ["--cores", "2", "--configfile", f"{name}.yaml"]
        result = snakemake_forked(project, folder, *STAGES[name], *options)
        assert result.returncode == 0, result.stdout
        return folder / "results" / name

    return run


def test_every_example_is_run(project):
    assert set(STAGES) == {path.stem for path in (project / "examples").glob("*.yaml")}


def compare(ours, golden, keys, columns):
    """Return the number of numbers compared and the largest relative difference."""
    merged = golden.merge(ours, on=keys, suffixes=("_golden", ""), validate="1:1")
    assert len(merged) == len(golden)
    differences = [
        ((merged[column] - merged[f"{column}_golden"]).abs() / merged[f"{column}_golden"].abs()).max()
        for column in columns
    ]
    return len(merged) * len(columns), max(differences)


CONJOINTS = {
    "conjoint_climate_bs2013": ["choice"],
    "conjoint_candidates_sw2022": ["choice"],
    "conjoint_immigration_hhy2014": ["choice"],
    "conjoint_candidates_hhy2014_rating": ["choice", "rating"],
}


@pytest.mark.golden
@pytest.mark.parametrize("study", CONJOINTS)
def test_artefacts_of_real_conjoints_hold_the_numbers_of_r(results_of, reference, study):
    ours = pd.read_csv(
        results_of(study) / "calibrate/amce.csv",
        dtype={"level": str},
        keep_default_na=False,
        na_values=[""],
    )
    ours = ours[ours["estimator"] == "main_effects"]
    for outcome in CONJOINTS[study]:
        golden = pd.read_csv(
            reference / f"golden/{study}__amce_estimatr_{outcome}.csv",
            dtype={"level": str},
            keep_default_na=False,
            na_values=[""],
        )
        golden = golden[golden["se_type"] == "cluster_stata_CR1"].drop(columns="se_type")
        count, worst = compare(
            ours[ours["outcome"] == outcome],
            golden,
            ["attribute", "level"],
            ["estimate", "std_error", "statistic", "conf_low", "conf_high"],
        )
        assert count == 5 * len(golden)
        assert worst < 1e-8


@pytest.mark.golden
@pytest.mark.parametrize(
    "study",
    # 64,000 customers; tests/golden compares what the library makes of them with the same numbers.
    ["exp_levendusky_2016", pytest.param("exp_hillstrom_2008", marks=pytest.mark.long)],
)
def test_artefacts_of_real_experiments_hold_the_numbers_of_r(results_of, reference, study):
    ours = pd.read_csv(results_of(study) / "estimate/effects.csv")
    golden = pd.read_csv(reference / f"golden/{study}__effects.csv")
    for mine, theirs in (("dim", "dim_joint"), ("lin", "lin_joint")):
        rows = golden[(golden["estimator"] == theirs) & (golden["se_type"] == "HC2")]
        rows = rows.rename(columns={"p_holm_within_outcome": "p_adjusted"})[
            ["outcome", "contrast", "estimate", "std_error", "conf_low", "conf_high", "p_value", "p_adjusted"]
        ]
        count, worst = compare(
            ours[ours["estimator"] == mine], rows, ["outcome", "contrast"], list(rows.columns[2:])
        )
        assert count == 6 * len(rows)
        assert worst < 1e-8


@pytest.mark.golden
def test_the_best_petition_of_a_restricted_design_was_possible(results_of, reference):
    prohibited = pd.read_csv(reference / "data/conjoint_immigration_hhy2014/prohibited_pairs.csv")
    assert len(prohibited) == 22
    results = results_of("conjoint_immigration_hhy2014")
    petitions = pd.read_csv(results / "private/assign/petitions.csv")
    assert petitions["n_overall_best"].gt(0).sum() == 1
    levels = petitions.rename(
        columns={"CountryOfOrigin": "Country of Origin", "ReasonForApplication": "Reason for Application"}
    )
    for _, pair in prohibited.iterrows():
        hit = (levels[pair["attribute_1"]].str.lower() == pair["level_1"].lower()) & (
            levels[pair["attribute_2"]].str.lower() == pair["level_2"].lower()
        )
        assert not hit.any()
    check = json.loads((results / "check.json").read_text())
    assert "936960" in json.dumps(check)


@pytest.mark.golden
def test_the_best_of_336_petitions_is_found_by_enumeration(results_of):
    results = results_of("conjoint_candidates_sw2022")
    settings = artefacts.read_json(results / "private/calibrate/model/model.json")
    design = Design.from_config(
        DesignConfig(
            attributes=[AttributeConfig(name=a["name"], levels=a["levels"]) for a in settings["attributes"]]
        )
    )
    model = model_from_data(
        settings, artefacts.read_npz(results / "private/calibrate/model/model.npz"), design
    )
    people = artefacts.read_parquet(results / "private/clean/calibration_respondents.parquet")
    grid = design.petition_levels(np.arange(336))
    values = model.utilities(people).utilities_of_all(grid)
    petitions = pd.read_csv(results / "private/assign/petitions.csv")
    best = petitions.loc[petitions["n_overall_best"] > 0, "petition_id"]
    assert best.tolist() == [design.petition_ids(grid)[values.mean(axis=0).argmax()]]
    assignments = artefacts.read_parquet(results / "private/assign/assignments.parquet")
    nano = (
        assignments[assignments["policy"] == "nano"].set_index("respondent_id").loc[people["respondent_id"]]
    )
    assert (nano["petition_id"].to_numpy() == values.argmax(axis=1)).all()


@pytest.mark.golden
def test_nothing_of_the_reference_study_leaks_into_another_one(results_of):
    whole = [results_of(name) for name in WHOLE]
    pages = {path: path.read_text(encoding="utf-8") for made in whole for path in made.rglob("*.html")}
    assert {path.parent for path in pages if path.name == "report.html"} == set(whole)
    for path, page in pages.items():
        assert "climate_petition" not in page, path
        assert "Citizens" not in page, path
    conjoint, experiment = whole
    assert not (conjoint.parent / "climate_petition").exists()
    assert not (experiment / "calibrate").exists()
    assert not (conjoint / "estimate").exists()
