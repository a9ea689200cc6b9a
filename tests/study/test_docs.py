"""What the documents name is there: links, commands, artefacts, keys of the config."""

import re

import pytest
from test_reference import keys

from nanotarget import cli
from nanotarget.study.checks import read_study
from nanotarget.study.config import Study
from nanotarget.study.problems import InputError
from tiny_study import await_fielding, tiny_study


def pages(project):
    return [
        project / name for name in ("README.md", "CONTRIBUTING.md", "data/README.md", "config/README.md")
    ] + sorted((project / "docs").glob("*.md"))


def code_spans(path):
    return set(re.findall(r"`([^`\n]+)`", path.read_text("utf-8")))


def test_every_link_to_a_file_has_its_file(project):
    found = [
        (page, target)
        for page in pages(project)
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text("utf-8"))
    ]
    assert len(found) > 30
    assert not [(page.name, target) for page, target in found if not (page.parent / target).exists()]


def test_the_index_lists_every_page(project):
    index = (project / "docs/README.md").read_text("utf-8")
    listed = set(re.findall(r"\]\(([^)]+)\)", index))
    assert {path.name for path in (project / "docs").glob("*.md")} - {"README.md"} <= listed
    assert "(docs/README.md)" in (project / "README.md").read_text("utf-8")


def test_every_make_target_that_is_named_exists(project):
    makefile = (project / "Makefile").read_text("utf-8")
    targets = set(re.search(r"^\.PHONY: (.*)$", makefile, re.M).group(1).split())
    named = {
        name
        for page in pages(project)
        for name in re.findall(r"(?:`|^)(?:CORES=1 )?make ([a-z]+)", page.read_text("utf-8"), re.M)
    }
    assert {"docs", "verify", "assign"} <= named
    assert named <= targets


def test_the_test_command_of_the_readme_is_what_ci_runs(project):
    runs = (project / ".ci/run").read_text("utf-8").splitlines()
    assert "make test" in runs
    assert re.search(r"^make test +#", (project / "README.md").read_text("utf-8"), re.M)


def test_make_and_the_command_offer_the_same_targets_in_the_same_words(project):
    offered = re.findall(r"^#: (\w+): (.*)$", (project / "Makefile").read_text("utf-8"), re.M)
    assert dict(offered) == cli.TARGETS and [name for name, _ in offered] == list(cli.TARGETS)


def test_the_pictures_of_the_readme_are_there_and_small(project):
    readme = (project / "README.md").read_text("utf-8")
    shown = re.findall(r"!\[([^]]*)\]\(([^)]*)\)", readme)
    assert len(shown) == 2 and all("simulated" in text for text, _ in shown)
    assert all((project / path).stat().st_size < 200_000 for _, path in shown)


def test_every_published_data_set_has_its_citation_and_its_way_into_place(project):
    page = (project / "docs/examples.md").read_text("utf-8")
    for config in (project / "examples").glob("*.yaml"):
        assert page.count(f"`{config.stem}`") == 2, config
    assert page.count("doi:[") >= 8


def test_every_artefact_that_the_fielding_page_names_is_made_by_a_rule(project):
    rules = "".join(path.read_text("utf-8") for path in (project / "workflow/rules").glob("*.smk"))
    named = {
        span
        for span in code_spans(project / "docs/fielding.md")
        if re.search(r"/\w+\.(csv|html|parquet)$|SHA", span)
    }
    named -= {"data/my_study/arms.csv", "sha256sum -c SHA256SUMS"}
    assert len(named) > 8
    made = {name: f"<results>/{name}".replace("<results>/private/", "<private>/") for name in named}
    absent = [name for name, path in made.items() if path not in rules and name != "diagnose/answer.html"]
    assert not absent
    assert 'diagnose/answer.html"' in rules


def test_every_key_that_the_fielding_page_names_is_in_the_schema(project):
    known = {key.replace("[]", "") for key in keys(Study)}
    sections = "|".join(Study.model_fields)
    named = {
        span
        for span in code_spans(project / "docs/fielding.md")
        if re.fullmatch(rf"(?:{sections})\.[a-z_.]+", span)
    }
    assert {"experiment.delivered", "roster.ledger"} <= named
    assert named <= known


@pytest.mark.parametrize("policy", ["best_min", "nano_min"])
@pytest.mark.parametrize("section", ["roster", "experiment"])
def test_no_arm_can_field_dissuasion(tmp_path, section, policy):
    study = tiny_study()
    if section == "roster":
        await_fielding(study)
    study.config["assign"] = {"policies": ["nano", policy]}
    assert getattr(read_study(study.write(tmp_path)), section)  # on paper it can be looked at
    study.config[section]["arms"][2]["policy"] = policy
    with pytest.raises(InputError, match="policy"):
        read_study(study.write(tmp_path))
