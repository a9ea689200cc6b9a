"""Files for machines say the same as pyproject.toml (`docs.py --check` compares those that are made)."""

import re
import tomllib

import pytest
import yaml

from nanotarget.study.release import author, cited


def version(project):
    return tomllib.loads((project / "pyproject.toml").read_text("utf-8"))["project"]["version"]


def test_the_newest_entry_of_the_changelog_is_the_version(project):
    entries = re.findall(r"^## (\S+)", (project / "CHANGELOG.md").read_text("utf-8"), re.M)
    assert entries[0] == version(project)


def test_a_version_is_put_into_a_citation_once():
    assert cited("title: a\nversion: 1\n# end\n", "2.0.0") == "title: a\nversion: 2.0.0\n# end\n"
    with pytest.raises(ValueError, match="one line"):
        cited("title: a\n", "2.0.0")


def test_an_author_keeps_identifier_and_affiliation():
    person = {"given-names": "A", "family-names": "B", "orcid": "https://orcid.org/0", "affiliation": "U"}
    assert author(person) == {
        "@type": "Person",
        "@id": "https://orcid.org/0",
        "givenName": "A",
        "familyName": "B",
        "affiliation": {"@type": "Organization", "name": "U"},
    }


def test_the_catalogue_finds_what_it_asks_for(project):
    usage = yaml.safe_load((project / ".snakemake-workflow-catalog.yml").read_text("utf-8"))["usage"]
    assert usage["report"] is True and usage["software-stack-deployment"] == {"conda": True}
    assert "(../docs/config.md)" in (project / "config/README.md").read_text("utf-8")


def test_the_interface_lists_what_other_workflows_use(project):
    content = yaml.safe_load((project / "INTERFACE.yaml").read_text("utf-8"))
    assert content["pathvars"]["results"]["default"] == "results/<study>"
    assert "<results>/estimate/effects.csv" in content["outputs"]["effects"]["files"]
    assert {"calibration.file", "experiment.file", "roster.file"} <= set(content["inputs"])


def test_every_package_of_the_lock_is_pinned_by_version_and_hash(project):
    text = (project / "requirements.lock").read_text("utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    assert len(lines) > 50
    pinned = re.compile(r"[\w.\[\]-]+==\S+ .*--hash=sha256:[0-9a-f]{64}")
    assert not [line[:60] for line in lines if not pinned.match(line)]
    assert "--require-hashes -r requirements.lock" in (project / "Makefile").read_text("utf-8")
