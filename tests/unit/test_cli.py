"""The command line speaks to people before Snakemake starts."""

import subprocess
import sys

import pytest

from nanotarget.cli import read_config
from nanotarget.problems import InputError


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("study: [unclosed", "line 1"),
        ("study: a\nroot_seed: 1\nstudy: b\n", "written twice"),
        ("study: a\n\troot_seed: 1\n", "line 2"),
        ("", "holds no settings"),
        ("just a sentence", "holds no settings"),
        ("!!python/object/apply:os.system ['true']", "not valid YAML"),
    ],
)
def test_broken_yaml_gets_a_place_and_no_traceback(tmp_path, text, message):
    path = tmp_path / "study.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        read_config(path)


def test_bytes_that_are_no_text(tmp_path):
    path = tmp_path / "study.yaml"
    path.write_bytes(b"\xff\xfe\x00\x01\x80")
    with pytest.raises(InputError, match="not UTF-8"):
        read_config(path)


def test_a_config_that_is_not_there(tmp_path):
    command = [sys.executable, "-m", "nanotarget.cli", "check", str(tmp_path / "none.yaml")]
    result = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert result.returncode == 1
    assert "none.yaml" in result.stderr
    assert "cannot be read" in result.stderr
    assert "Traceback" not in result.stderr + result.stdout
    assert not list(tmp_path.iterdir())


def test_the_reference_config_is_valid(project):
    assert read_config(project / "config.yaml")["study"] == "climate_petition"
