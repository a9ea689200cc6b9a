"""Settings reach rules as parameters alone: a changed one changes those rules that it touches, no other."""

import ast
from pathlib import Path

import pandas as pd
import pytest
import yaml
from snakemake.api import SnakemakeApi
from snakemake.settings.types import ConfigSettings, OutputSettings, Quietness, ResourceSettings

from nanotarget.study.artefacts import read_json
from nanotarget.study.provenance import digest
from nanotarget.study.replication import RECORD


def rules(project, folder, changes):
    """Rules of the reference study with some changes."""
    config = yaml.safe_load((project / "config.yaml").read_text("utf-8"))
    for section, settings in changes.items():
        config[section] = config.get(section, {}) | settings
    file = folder / "study.yaml"
    file.write_text(yaml.safe_dump(config, allow_unicode=True), "utf-8")
    with SnakemakeApi(OutputSettings(quiet={Quietness.ALL})) as api:
        workflow = api.workflow(
            resource_settings=ResourceSettings(cores=1),
            config_settings=ConfigSettings(configfiles=[file]),
            snakefile=Path(project / "Snakefile"),
        )._workflow
    return list(workflow.rules)


def parameters(project, folder, changes):
    """Rule -> its parameters, of the reference study with some changes."""
    return {
        rule.name: {name: value for name, value in rule.params.items() if not callable(value)}
        for rule in rules(project, folder, changes)
    }


@pytest.fixture(scope="module")
def before(project, tmp_path_factory):
    return parameters(project, tmp_path_factory.mktemp("before"), {})


def test_the_recorded_reference_run_had_these_settings(project, before):
    """But for the rules whose parameters hold the path of the config or its braces escaped."""
    recorded = read_json(project / "data/climate_petition" / RECORD)["rules"]
    known = {rule: sha for rule, sha in recorded.items() if rule not in ("answer", "check", "clean", "paper")}
    assert len(known) > 15
    other = [rule for rule, sha in known.items() if digest(before[rule]) != sha]
    assert not other, f"run `make reference` and commit it: {other} have other settings now"


TELL = ("tables", "page", "paper")  # their legends and notes name the kind of errors


@pytest.mark.parametrize(
    ("changes", "touched"),
    [
        (
            {"calibrate": {"se_type": "HC2"}},
            {"conjoint", "interactions", "compare_groups", "response_error", *TELL},
        ),
        ({"diagnose": {"bootstraps": 60}}, {"diagnostics", "dissuasion", "divide"}),
        ({"assign": {"candidates": 7}}, {"uncertainty"}),
        ({"assign": {"permutations": 2}}, {"concentration"}),
        ({"estimate": {"draws": 2000}}, {"deviations", "explorations", "randomization"}),
    ],
)
def test_a_changed_setting_touches_no_other_rule(project, before, tmp_path, changes, touched):
    after = parameters(project, tmp_path, changes)
    changed = {rule for rule in before if before[rule] != after[rule]}
    assert changed - {"manifest"} == touched  # the manifest lists the whole config


def imported(workflow, file):
    """Library files that a file imports, by its syntax tree."""
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("nanotarget"):
            base = workflow / node.module.replace(".", "/")
            names = [base, base / "__init__", *(base / alias.name for alias in node.names)]
            yield from (path for name in names if (path := name.with_suffix(".py")).is_file())


@pytest.fixture(scope="module")
def library(project):
    """Library file or script -> all library files that it imports, directly or not."""
    workflow = project / "workflow"
    files = [*(workflow / "nanotarget").rglob("*.py"), *(workflow / "scripts").glob("*.py")]
    found = {file: set(imported(workflow, file)) for file in files}
    grown = True
    while grown:
        grown = False
        for known in found.values():
            more = set().union(known, *(found[file] for file in known))
            grown |= len(more) > len(known)
            known |= more
    return found


def test_a_rule_depends_on_all_files_that_its_script_imports_and_on_no_other(project, tmp_path, library):
    by_name = {
        "figures",
        "figures_of_experiment",
        "tables",
        "page",
    }  # their scripts import modules by name, too
    for rule in rules(project, tmp_path, {}):
        if rule.script:
            script = project / "workflow/scripts" / Path(rule.script).name
            declared = {Path(file).resolve() for file in rule.input if str(file).endswith(".py")}
            assert declared >= library[script], rule.name
            assert rule.name in by_name or declared == library[script], rule.name


AROUND = 250  # megabytes of Snakemake beside the script of a job on a cluster
UNUSED = {"sample", "simulate"}  # by the run whose costs were kept: chains of trees, and the data themselves


def test_every_rule_asks_for_twice_of_what_it_was_measured_to_take(project, tmp_path):
    cost = pd.read_csv(project / "data/climate_petition/runtimes.csv", index_col="rule")
    asked = {rule.name: rule.resources for rule in rules(project, tmp_path, {}) if rule.script}
    assert set(asked) == set(cost.index) | UNUSED, "run the study and type `make runtimes`"
    for name, (seconds, megabytes) in cost.iterrows():
        assert asked[name]["mem_mb"].value >= 2 * megabytes + AROUND, name
        assert 60 * asked[name]["runtime"].value >= 20 * seconds, name  # a node may be busy
