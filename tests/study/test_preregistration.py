"""A pre-registration is read whole and strictly."""

import pytest
import yaml

from changed import change
from nanotarget.study import preregistration
from nanotarget.study.problems import InputError


@pytest.fixture
def text(project):
    return (project / "data/climate_petition/preregistration.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("path", "value", "where"),
    [
        (["registry"], None, "key top level"),
        (["alfa"], 0.1, "key alfa"),
        (["alpha"], "five percent", "key alpha"),
        (["date"], "2025-02-30", "key date"),
        (["primary"], "H9", "key primary"),
        (["hypotheses", 0, "outcome"], "votes", "analysis 'H1'"),
        (["hypotheses", 0, "contrast"], ["nano", "placebo"], "analysis 'H1'"),
        (["hypotheses", 0, "contrast"], ["nano", "nano"], "key hypotheses[0].contrast"),
        (["hypotheses", 1, "id"], "H1", "key hypotheses"),
        (["hypotheses", 0, "label"], "confirmatory", "key hypotheses[0].label"),
        (["sesoi"], {"votes": 0.1}, "key sesoi"),
        (["families"], [{"name": "f", "analyses": ["H1", "H9"]}], "family 'f'"),
        (["families"], [{"name": "f", "analyses": ["H1", "S2"]}], "family 'f'"),
        (
            ["families"],
            [{"name": "f", "analyses": ["H1"]}, {"name": "g", "analyses": ["H1"]}],
            "family 'g'",
        ),
        (
            ["families"],
            [{"name": "f", "analyses": ["H1"]}, {"name": "f", "analyses": ["H2"]}],
            "key families",
        ),
        (["families"], [{"name": "f", "analyses": []}], "key families[0].analyses"),
        (["robustness"], ["probit"], "key robustness[0]"),
        (["randomisation", "scheme"], "adaptive", "key randomisation.scheme"),
        (["sample_size", "planned"], "many", "key sample_size.planned"),
        (["sample_size", "arms"], {"placebo": 10}, "key sample_size.arms"),
        (["sample_size", "arms"], {"control": 1, "best": 1, "nano": 1}, "key sample_size"),
        (["hypotheses", 0, "estimator"], "ordinal", "analysis 'H1'"),
        (["secondary", 2, "estimator"], "logit", "analysis 'S3'"),
        (["post_checks"], [{"step": "Recall", "rule": "in", "column": "recall"}], "exclusion 'Recall'"),
        (["confirmatory"], ["S3"], "key confirmatory"),
        (["exclusions", "calibration", 4, "value"], None, "exclusion 'Speeder'"),
        (["exclusions", "experiment", 0, "rule"], "unlike", "key exclusions.experiment[0].rule"),
    ],
)
def test_a_wrong_registration_is_refused(text, path, value, where):
    wrong = change(yaml.safe_load(text), path, value)
    with pytest.raises(InputError) as caught:
        preregistration.parse(yaml.safe_dump(wrong), "p.yaml")
    assert where in [problem.where for problem in caught.value.problems]
    assert all(problem.file == "p.yaml" for problem in caught.value.problems)


@pytest.mark.parametrize(
    "text", ["", "- a list", "a: [1", "date: 2025-02-30", "just text", "\ta: 1", "!!python/name:os.system"]
)
def test_a_file_that_is_no_registration_is_refused(text):
    with pytest.raises(InputError):
        preregistration.parse(text, "p.yaml")


def test_an_unquoted_day_is_a_date(text):
    registration = preregistration.parse(text.replace('date: "2025-04-28"', "date: 2025-04-28"), "p.yaml")
    assert registration.date == "2025-04-28"
