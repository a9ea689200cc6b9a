"""Pages that are written from models and rules: complete, current, and harmless whatever the text."""

import json
import re
import subprocess
import sys
import typing

import jsonschema
import pytest
import yaml

from nanotarget.study.config import ColumnValues, ExclusionConfig, GroupConfig, Study
from nanotarget.study.fields import Section
from nanotarget.study.preregistration import Analysis, Registration
from nanotarget.study.reference import put_between, reference
from running import copy_project

PAGES = {"config": Study, "preregistration": Registration}


def sections(annotation):
    """The section in an annotation, if there is one, and what is written behind its key."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation, ""
    inner = [sections(part) for part in typing.get_args(annotation)]
    kind, behind = next((found for found in inner if found[0]), (None, ""))
    return kind, ("[]" if typing.get_origin(annotation) is list else "") + behind


def keys(model, path="", stop=()):
    """All keys of a model as a file would write them; none inside the models of `stop`."""
    for name, field in model.model_fields.items():
        yield f"{path}{name}"
        kind, behind = sections(field.annotation)
        if kind and kind not in stop:
            yield from keys(kind, f"{path}{name}{behind}.", stop)


def rows(page):
    """Key -> the other cells of its row."""
    found = {}
    for line in page.splitlines():
        if line.startswith("| `"):
            key, *cells = re.split(r"(?<!\\)\|", line.strip("|"))
            assert key.strip(" `") not in found
            found[key.strip(" `")] = [cell.strip() for cell in cells]
            assert len(cells) == 3
    return found


@pytest.mark.parametrize("name", PAGES)
def test_every_key_has_a_row_and_a_meaning(project, name):
    listed = rows((project / f"docs/{name}.md").read_text("utf-8"))
    shared = {
        "config": {"rows": ColumnValues, "exclusion": ExclusionConfig, "group": GroupConfig},
        "preregistration": {"analysis": Analysis, "exclusion": ExclusionConfig},
    }[name]
    wanted = set(keys(PAGES[name], stop=set(shared.values())))
    for title, kind in shared.items():
        wanted |= set(keys(kind, f"{title}."))
    assert len(wanted) > 40
    assert set(listed) == wanted
    assert all(meaning for *_, meaning in listed.values())


@pytest.mark.parametrize("name", PAGES)
def test_editors_get_the_schema_of_the_model(project, name):
    schema = json.loads((project / f"docs/{name}.schema.json").read_text("utf-8"))
    assert set(schema["properties"]) == set(PAGES[name].model_fields)
    assert schema["additionalProperties"] is False
    example = {"config": "config.yaml", "preregistration": "data/climate_petition/preregistration.yaml"}[name]
    content = yaml.safe_load((project / example).read_text("utf-8"))
    validator = jsonschema.Draft202012Validator(schema)
    assert validator.is_valid(content)
    assert not validator.is_valid(content | {"no_such_key": 1})


@pytest.mark.parametrize("name", PAGES)
def test_every_link_within_a_page_has_its_heading(project, name):
    page = (project / f"docs/{name}.md").read_text("utf-8")
    anchors = {
        re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")
        for title in re.findall(r"^#+ (.*)$", page, re.M)
    }
    wanted = set(re.findall(r"\]\(#([^)]+)\)", page))
    assert wanted
    assert wanted <= anchors


def test_kinds_bounds_and_defaults_are_said():
    schema = {
        "title": "test",
        "required": ["a"],
        "properties": {
            "a": {"type": "integer", "minimum": 1, "maximum": 3, "description": "A number."},
            "b": {"enum": ["x", None], "default": "x"},
            "c": {"type": "array", "minItems": 2, "maxItems": 2, "default": [], "items": {"type": "string"}},
            "d": {"type": "object", "default": {}, "properties": {"e": {"type": ["string", "null"]}}},
        },
    }
    listed = rows(reference(schema, ""))
    assert listed == {
        "a": ["a whole number, at least 1, at most 3", "**required**", "A number."],
        "b": ["`x`, nothing", "`x`", ""],
        "c": ["a list, each (text), exactly 2", "nothing", ""],
        "d": ["a mapping", "see its keys", ""],
        "d.e": ["text or nothing", "", ""],
    }


def test_texts_cannot_break_out_of_their_cell():
    text = "a|b <img src=x> *c* `d<e|f` \n| `z` | & 日本"
    page = reference({"title": "t", "properties": {"k": {"type": "string", "description": text}}}, "")
    assert rows(page)["k"][-1] == r"a\|b &lt;img src=x> \*c\* `d<e\|f` \| `z` \| &amp; 日本"
    assert "<img" not in page


def test_only_what_stands_between_the_markers_is_replaced():
    marked = "before\n<!-- begin n (made by `make docs`) -->\nold\n<!-- end n -->\nafter\n"
    once = put_between(marked, "n", "new\n")
    assert once == marked.replace("old", "new")
    assert put_between(once, "n", "new\n") == once
    for broken in (marked.replace("end n", "end m"), marked + marked, "\n".join(marked.splitlines()[::-1])):
        with pytest.raises(ValueError, match="markers"):
            put_between(broken, "n", "new\n")


def check(folder):
    command = [sys.executable, "workflow/scripts/docs.py", "--check"]
    environment = {"PYTHONPATH": str(folder / "workflow"), "PATH": "/usr/bin:/bin", "HOME": str(folder)}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def test_what_is_committed_is_what_is_written(project, tmp_path):
    folder = copy_project(project, tmp_path / "a b")
    result = check(folder)
    assert result.returncode == 0, result.stdout + result.stderr


def test_a_new_key_and_a_new_artefact_make_the_pages_stale(project, tmp_path):
    folder = copy_project(project, tmp_path / "project")
    model = folder / "workflow/nanotarget/study/config.py"
    model.write_text(model.read_text("utf-8").replace("Title for people", "Title for all"), "utf-8")
    catalogue = folder / "workflow/nanotarget/report/catalogue.py"
    text = catalogue.read_text("utf-8")
    first = "CATALOGUE: tuple[Exhibit, ...] = (\n"
    catalogue.write_text(text.replace(first, f'{first}    figure("x", "clean", "X", ("flow",)),\n'), "utf-8")
    result = check(folder)
    assert result.returncode == 1, result.stdout + result.stderr
    assert [line.split(":")[0] for line in result.stderr.splitlines()] == [
        "docs/config.md",
        "docs/config.schema.json",
        "docs/figures.md",
        "INTERFACE.yaml",
    ]
