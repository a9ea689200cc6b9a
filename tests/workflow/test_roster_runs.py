"""A roster is randomised, recorded and exported as a user does it, twice."""

import io
import json

import pandas as pd
import pytest

from forked import snakemake_forked
from running import copy_project, spare
from tiny_study import await_fielding, tiny_study

pytestmark = pytest.mark.workflow
RUN = ["--cores", "1", "--configfile", "study.yaml"]


@pytest.fixture(scope="module")
def roster(project, tmp_path_factory):
    """Randomise a roster, twice, then run all of the study with people who came and left."""
    folder = tmp_path_factory.mktemp("roster")
    study = tiny_study()
    await_fielding(study)
    spare(study.config)
    study.config["design"]["attributes"][0]["levels"][0] = "-Energy"
    study.calibration["sector"] = study.calibration["sector"].replace("Energy", "-Energy")
    study.roster.loc[3, "personal"] = "No"
    everyone, kept = study.roster, {}
    study.roster = everyone.iloc[:20]
    for wave, target in (("first", "assign"), ("same", "assign"), ("second", "all")):
        if wave == "second":
            study.roster = everyone.iloc[2:].sample(frac=1, random_state=1)
            project = dividing(project, folder / "copy")
        study.write(folder)
        result = snakemake_forked(project, folder, target, *RUN)
        assert result.returncode == 0, result.stdout
        kept[wave] = {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in [folder / "ledger/arms.csv", *(folder / "results/tiny").glob("**/assign/**/*.*")]
            if path.is_file()
        }
    return project, folder, kept


def dividing(project, folder):
    """Copy the project, and let the copy divide this roster among jobs."""
    parts = copy_project(project, folder) / "workflow/nanotarget/clean/parts.py"
    before = parts.read_text("utf-8")
    parts.write_text(before.replace("LARGE = 64_000_000", "LARGE = 1_000"), "utf-8")
    assert parts.read_text("utf-8") != before
    return folder


def own_ids(results):
    """Return the raw ids of the roster by the pseudonyms that artefacts hold."""
    return pd.read_parquet(results / "private/clean/roster_ids.parquet").set_index("respondent_id")["id"]


def test_whoever_was_randomised_keeps_the_arm(roster):
    _, folder, kept = roster
    first, second = kept["first"]["ledger/arms.csv"], kept["second"]["ledger/arms.csv"]
    assert first.count(b"\n") == 21
    assert second.startswith(first)
    assert second.count(b"\n") == 42
    arms, recorded = (
        pd.read_csv(io.BytesIO(content), dtype="str", keep_default_na=False, index_col="respondent_id")
        for content in (kept["second"]["results/tiny/private/assign/arms.csv"], second)
    )
    assert len(arms) == 39
    arms.index = arms.index.map(own_ids(folder / "results/tiny"))
    pd.testing.assert_frame_equal(arms, recorded.loc[arms.index, arms.columns])
    everybody = recorded["arm"].value_counts()  # 41 people in shares of 1 : 2 : 2
    assert everybody["control"] in (8, 9)
    assert everybody["nano"] in (16, 17)


def test_a_rerun_randomises_nobody_and_writes_the_same_bytes(roster):
    project, folder, kept = roster
    assert kept["first"] == {name: kept["same"][name] for name in kept["first"]}
    assert "Nothing to be done" in snakemake_forked(project, folder, "all", *RUN, "--dry-run").stdout
    result = snakemake_forked(project, folder, "assign", *RUN, "--forcerun", "randomise")
    assert result.returncode == 0, result.stdout
    for name, content in kept["second"].items():
        assert (folder / name).read_bytes() == content


def test_the_export_holds_the_petition_of_everybodys_arm(roster):
    _, folder, _ = roster
    results = folder / "results/tiny"
    fielding = pd.read_csv(results / "private/assign/fielding.csv", dtype="str", keep_default_na=False)
    columns = ["respondent_id", "arm", "policy", "petition_id", "sector", "job", "cost", "petition_text"]
    assert list(fielding.columns) == columns
    assert (fielding.loc[fielding["arm"] == "control", columns[2:]] == "").all(axis=None)
    assignments = pd.read_parquet(results / "private/assign/assignments.parquet")
    assert assignments.groupby("respondent_id").size().tolist() == [4] * 39  # under every policy
    assignments["respondent_id"] = assignments["respondent_id"].map(own_ids(results))
    assert (
        fielding["respondent_id"].is_monotonic_increasing and fielding["respondent_id"].str.match("r").all()
    )
    treated = fielding[fielding["arm"] != "control"].merge(assignments, on=["respondent_id", "policy"])
    assert len(treated) == (fielding["arm"] != "control").sum()
    assert treated["sector"].str.removeprefix("'").tolist() == treated["Sector"].astype("str").tolist()
    assert not fielding["sector"].str.startswith("-").any()
    best = assignments[(assignments["policy"] == "overall_best")]["petition_id"].unique()
    refused = assignments[assignments["respondent_id"] == "r4"]["petition_id"]
    assert refused.unique().tolist() == best.tolist()
    manifest = json.loads((results / "manifest.json").read_text(encoding="utf-8"))
    made = {row["path"]: row["rule"] for row in manifest["artefacts"]}
    assert made["private/clean/roster.parquet/part-00000.parquet"] == "clean"
    assert made["private/assign/assignments.parquet/part-00000.parquet"] == "choose"
    assert not (results / "private/assign/slices").exists()
    assert made["private/assign/arms.csv"] == made["assign/arm_balance.csv"] == "randomise"
    assert made["private/assign/fielding.csv"] == "fielding"
    assert "Balance of the roster" in (results / "report.html").read_text(encoding="utf-8")
