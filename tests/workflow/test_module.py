"""Another workflow uses this one as a module (docs/modules.md), with one study or two."""

from pathlib import Path

import pytest
import yaml
from snakemake.api import SnakemakeApi
from snakemake.settings.types import OutputSettings, Quietness, ResourceSettings

from running import copy_project, snakemake, spare
from tiny_study import tiny_study

pytestmark = pytest.mark.workflow

MODULE = """
import yaml
from pathlib import Path

module {name}:
    snakefile: "{snakefile}"
    config: yaml.safe_load(Path("{config}").read_text("utf-8"))
    pathvars: results="made/{name}"

use rule * from {name} as {name}_*
"""
OWN = """
import beside  # a module of the workflow that uses ours is still found


rule counted:
    default_target: True
    input: rules.tiny_clean.output.flow
    output: "steps.txt"
    shell: "wc -l < {input} > {output}"
"""


def write_study(folder, name):
    study = tiny_study()
    spare(study.config)
    study.config["study"] = name
    study.write(folder).rename(folder / f"{name}.yaml")


def test_a_rule_of_another_workflow_uses_what_ours_makes(project, tmp_path):
    """In a clone whose name has a space, from a folder beside it, into a folder of the other one's choice."""
    clone, folder = copy_project(project, tmp_path / "a clone"), tmp_path / "other workflow"
    folder.mkdir()
    write_study(folder, "tiny")
    (folder / "beside.py").write_text("")
    module = MODULE.format(name="tiny", snakefile="../a clone/Snakefile", config="tiny.yaml")
    (folder / "Snakefile").write_text(module + OWN)
    (folder / "python env").symlink_to((clone / "python env").resolve())
    result = snakemake(folder, "--cores", "2")
    assert result.returncode == 0, result.stdout + result.stderr
    assert int((folder / "steps.txt").read_text()) > 5
    assert (folder / "made/tiny/private/clean/experiment.parquet").is_file() and not (
        clone / "results"
    ).exists()


def test_two_studies_in_one_workflow_do_not_mix(project, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = ""
    for name in ("first", "second"):
        write_study(tmp_path, name)
        text += MODULE.format(name=name, snakefile=project / "Snakefile", config=f"{name}.yaml")
    Path("Snakefile").write_text(text)
    with SnakemakeApi(OutputSettings(quiet={Quietness.ALL})) as api:
        workflow = api.workflow(
            resource_settings=ResourceSettings(cores=1), snakefile=Path("Snakefile")
        )._workflow
        rules = {rule.name: rule for rule in workflow.rules}
    for name in ("first", "second"):
        listed = [str(file) for file in rules[f"{name}_manifest"].input]
        made = [file for file in listed if file.startswith("made/")]
        assert len(made) > 100 and all(file.startswith(f"made/{name}/") for file in made)
        code = [file for file in listed if file.endswith(".py")]
        assert code and all(Path(file).is_file() for file in code)


def test_a_module_with_a_wrong_config_gets_our_message(project, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_study(tmp_path, "tiny")
    config = yaml.safe_load(Path("tiny.yaml").read_text("utf-8"))
    Path("tiny.yaml").write_text(yaml.safe_dump(config | {"covariats": []}), "utf-8")
    Path("Snakefile").write_text(
        MODULE.format(name="tiny", snakefile=project / "Snakefile", config="tiny.yaml")
    )
    with pytest.raises(BaseException, match="covariats"), SnakemakeApi(OutputSettings()) as api:
        api.workflow(resource_settings=ResourceSettings(cores=1), snakefile=Path("Snakefile"))._workflow.rules  # noqa: B018
