"""docs/tutorial.md is run as it stands: commands, edits, and the output that it shows."""

import os
import re
import resource
import shlex
import subprocess
import sys

import pytest

pytestmark = pytest.mark.workflow
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LIMIT = 90  # CPU seconds of all commands together


@pytest.fixture(scope="module")
def blocks(project):
    """Kinds and texts of the tutorial's blocks."""
    return BLOCK.findall((project / "docs/tutorial.md").read_text(encoding="utf-8"))


@pytest.fixture
def terminal(project, tmp_path):
    """Give a function that runs a line as in an activated environment; returns its output."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "nanotarget").write_text(
        f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m nanotarget.cli "$@"\n', encoding="utf-8"
    )
    (programs / "nanotarget").chmod(0o755)
    folder = tmp_path / "my folder"
    folder.mkdir()
    environment = os.environ | {
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(project / "workflow"),
    }

    def run(line):
        result = subprocess.run(
            line,
            shell=True,
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
        )
        assert result.returncode == 0, f"{line}\n{result.stdout}{result.stderr}"
        return result.stdout

    return folder, run


def edit(path, change):
    """Replace every line that a diff takes away by the lines that it adds after it."""
    removed, replaced = None, {}
    for line in change.splitlines():
        if line.startswith("-"):
            removed = line[1:]
            replaced[removed] = []
        else:
            assert line.startswith("+") and removed is not None, line
            replaced[removed].append(line[1:])
    lines = path.read_text(encoding="utf-8").splitlines()
    for line in replaced:
        assert lines.count(line) == 1, f"not once in {path.name}: {line}"
    changed = [new for line in lines for new in replaced.get(line, [line])]
    path.write_text("\n".join(changed) + "\n", encoding="utf-8")


def shown(expected, output):
    """Lines of the expected output that the output lacks."""
    patterns = [".*?".join(map(re.escape, line.split("..."))) for line in expected.splitlines()]
    return [p for p in patterns if not re.search(f"^{p}$", output, re.MULTILINE)]


def test_the_tutorial_runs_as_it_stands(blocks, terminal):
    assert {kind for kind, _ in blocks} == {"sh", "diff", "text", "yaml"}
    folder, run = terminal
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    output = ""
    for kind, text in blocks:
        if kind == "sh":
            assert all(line.startswith("nanotarget ") for line in text.splitlines())
            output = "".join(run(line) for line in text.splitlines())
        elif kind == "diff":
            edit(folder / "my-study.yaml", text)
        elif kind == "text":  # tests/propose holds the rest, yaml, to what is proposed
            assert not shown(text, output), output
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    page = (folder / "results/my_study/diagnose/answer.html").read_text(encoding="utf-8")
    assert "simulated" in page.lower() or "synthetic" in page.lower()
    assert spent < LIMIT, f"{spent:.0f} CPU seconds"
    print(f"{spent:.0f} CPU seconds")  # noqa: T201


def test_an_edit_of_a_line_that_is_not_there_fails(tmp_path):
    path = tmp_path / "my-study.yaml"
    path.write_text("a: 1\nb: 2\n", encoding="utf-8")
    edit(path, "-a: 1\n+a: 3\n+c: 4\n")
    assert path.read_text(encoding="utf-8") == "a: 3\nc: 4\nb: 2\n"
    with pytest.raises(AssertionError, match="not once"):
        edit(path, "-a: 1\n+a: 2\n")


def test_output_that_is_not_shown_is_noticed():
    assert not shown("two ... four", "one\ntwo three four\n")
    assert shown("two", "one\ntwo three\n") == ["two"]
