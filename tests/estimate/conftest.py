"""Config and registration of the reference study."""

import pytest
import yaml

from nanotarget.study import preregistration


@pytest.fixture
def text(project):
    return (project / "data/climate_petition/preregistration.yaml").read_text(encoding="utf-8")


@pytest.fixture
def registration(text):
    return preregistration.parse(text, "preregistration.yaml")


@pytest.fixture
def settings(project):
    return yaml.safe_load((project / "config.yaml").read_text(encoding="utf-8"))
