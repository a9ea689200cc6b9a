"""A proposal as a commented config file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import yaml

from nanotarget.clean.cells import NUMBER
from nanotarget.propose.conjoint import GuessedAttribute, GuessedConjoint
from nanotarget.propose.people import GuessedCovariate, GuessedExclusion, GuessedPeople, Noted
from nanotarget.propose.study import GuessedSample, Proposal
from nanotarget.propose.trial import GuessedTrial, arm_names
from nanotarget.study.config import normalised

WIDTH = 110
HEAD = """\
# Proposed by `nanotarget init` from what the data look like. Nobody has confirmed any of it yet:
# read every line that says "guess", correct what is wrong, and delete the word where it is right.
# Lines that begin with "# " before a key are suggestions; take the "# " away to use them.
# Every key is explained in docs/config.md.
"""


def write_config(proposal: Proposal, study: str) -> str:
    """Write the config of a proposal.

    Args:
        proposal: what was found.
        study: name of the study, as the schema wants it.

    Returns:
        YAML text; every guess has a comment with its reason.
    """
    lines = [*HEAD.splitlines(), ""]
    lines += [_line("study", study, "from the name of this file")]
    lines += ['title: "" # for people; printed on the report']
    if proposal.synthetic:
        lines += [_line("synthetic", True, "the question texts say that the data are simulated")]
    else:
        lines += ["# synthetic: true # if the data are simulated: every output then says so"]
    lines += ["root_seed: 1 # any whole number; every random stream is derived from it"]
    panel, why = proposal.panel
    lines += [_line("samples", "panel" if panel else "new", why)]
    lines += [
        "# preregistration: data/my_study/preregistration.yaml # without it every estimate is exploratory"
    ]
    if proposal.conjoint:
        lines += ["", *_design(proposal.conjoint)]
    lines += ["", *_covariates(proposal)]
    if proposal.conjoint and proposal.calibration:
        lines += ["", *_calibration(proposal.calibration, proposal.conjoint)]
        lines += ["", *_diagnose(proposal.conjoint)]
    if proposal.trial and proposal.experiment:
        lines += ["", *_experiment(proposal.experiment, proposal.trial)]
        lines += ["", *_estimate(proposal)]
    if proposal.roster:
        lines += ["", *_roster(proposal.roster, study)]
    return "\n".join(lines) + "\n"


def study_name(text: str) -> str:
    """Make a name of a study, as the schema wants it, from the name of a file."""
    name = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")
    return (name if name[:1].isalpha() else f"study_{name}".rstrip("_"))[:64]


def scalar(value: Any) -> str:
    """Write a value on one line, so that YAML reads the same text or number again."""
    if isinstance(value, float):
        value = int(value) if value.is_integer() else value
    if isinstance(value, str) and NUMBER.fullmatch(value) and value == _plain(value):
        return value
    return yaml.safe_dump([value], default_flow_style=True, allow_unicode=True, width=10**9).strip()[1:-1]


def _plain(text: str) -> str:
    """Write the number of a text as YAML would print it; a text such as "007" differs from that."""
    number = float(text)
    return str(int(number)) if number.is_integer() and "." not in text else repr(number)


def flow(value: Any) -> str:
    """Write lists and mappings on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{scalar(key)}: {flow(entry)}" for key, entry in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(flow(entry) for entry in value) + "]"
    return scalar(value)


def remark(text: str) -> str:
    """Make a text fit for a comment: on one line, without what YAML forbids even there."""
    return "".join(c if c.isprintable() else " " for c in " ".join(text.split()))


def _line(key: str, value: Any, reason: str, indent: str = "") -> str:
    return f"{indent}{key}: {flow(value)} # guess: {remark(reason)}"


def _notes(title: str, notes: Iterable[Noted], indent: str = "") -> list[str]:
    lines = [f"{indent}#   {remark(note.column)}: {remark(note.reason)}" for note in notes]
    return [f"{indent}# {title}", *lines] if lines else []


def _design(conjoint: GuessedConjoint) -> list[str]:
    lines = ["design:", "  attributes: # in the order of the file; the first level of each is the reference"]
    for attribute in conjoint.attributes:
        lines += _attribute(attribute)
    if conjoint.never:
        lines += [
            "  # guess: these levels never occurred together, although each of them is frequent. If the",
            "  # design ruled them out, take the '# ' away: the best petition must be one that was possible.",
            "  # prohibited:",
            *(f"  #   - {remark(flow(entry))}" for entry in conjoint.never),
            "  # randomisation: sequential # if each attribute was drawn among the levels still allowed",
        ]
    else:
        lines += ["  # guess: no prohibited combinations; every frequent pair of levels was seen"]
    example = " ".join(f"{{{{ petition[{a.name!r}] }}}}" for a in conjoint.attributes[:2])
    lines += [f"  # petition_text: | # the text that people saw, for example\n  #   {remark(example)}"]
    return lines


def _attribute(attribute: GuessedAttribute) -> list[str]:
    lines = [f"    - name: {scalar(attribute.name)}"]
    if attribute.name != attribute.column:
        lines[0] += " # guess: from the question text, or because the name of the column is taken"
        lines += [f"      column: {scalar(attribute.column)}"]
    levels = f"      levels: {flow(attribute.levels)}"
    comment = f" # guess: order {remark(attribute.reason)}"
    if len(levels) <= WIDTH:
        lines += [levels + comment]
    else:
        lines += [f"      levels:{comment}", *(f"        - {scalar(level)}" for level in attribute.levels)]
    shares = flow(attribute.shares)
    if attribute.uneven:
        why = "shown so often, which equal probabilities do not explain (or combinations are prohibited)"
        lines += [f"      # probabilities: {shares} # guess: {why}"]
    else:
        lines += [f"      # shown with shares {shares}, as with equal probabilities"]
    return lines


def _covariates(proposal: Proposal) -> list[str]:
    unused = [note for sample in proposal.samples for note in sample.people.unused]
    unused += proposal.trial.unused if proposal.trial else []
    unused += proposal.conjoint.unused if proposal.conjoint else []
    left_out = _notes("Left out (add one here if it was known before the treatment):", dict.fromkeys(unused))
    if not proposal.covariates:
        return [
            "covariates: [] # guess: no column describes people before the tasks or the treatment",
            *left_out,
        ]
    lines = [
        "# Allow-list: no other variable of a respondent is read. Keep only what was known before any",
        "# treatment; 'target: false' keeps one for adjustment and subgroups and from choosing petitions.",
        "covariates:",
    ]
    for covariate in proposal.covariates:
        lines += [f"  - {flow(_covariate(covariate))} # guess: {remark(covariate.reason)}"]
    return lines + left_out


def _covariate(covariate: GuessedCovariate) -> dict[str, Any]:
    settings: dict[str, Any] = {"name": covariate.name}
    if covariate.label:
        settings["label"] = covariate.label
    if covariate.column != covariate.name:
        settings["column"] = covariate.column
    settings["kind"] = covariate.kind
    if covariate.levels is not None:
        settings["levels"] = covariate.levels
    elif covariate.range and covariate.range[0] < covariate.range[1]:
        settings["range"] = list(covariate.range)
    if covariate.missing_values:
        settings["missing_values"] = covariate.missing_values
    if not covariate.target:
        settings["target"] = False
    return settings


def _sample(sample: GuessedSample) -> list[str]:
    lines = [f"  file: {scalar(sample.seen.path)}"]
    if sample.seen.header_rows > 1:
        reason = "names, then rows of texts before the data"
        lines += [_line("header_rows", sample.seen.header_rows, reason, "  ")]
    return [*lines, _line("respondent", sample.respondent.column, sample.respondent.reason, "  ")]


def _calibration(sample: GuessedSample, conjoint: GuessedConjoint) -> list[str]:
    lines = ["calibration:", *_sample(sample)]
    lines += [_line(key, value, reason, "  ") for key, (value, reason) in conjoint.settings.items()]
    lines += ["  outcomes:"]
    for name, found in (("choice", conjoint.choice), ("rating", conjoint.rating)):
        if found:
            lines += [_line(name, found[0], found[1], "    ")]
    reason = "a rating says more than a choice" if conjoint.rating else "the only outcome"
    lines += [_line("analyse", "rating" if conjoint.rating else "choice", reason, "  ")]
    return lines + _about_people(sample.people)


def _about_people(people: GuessedPeople, weights: bool = True) -> list[str]:
    lines = []
    if people.weight and weights:
        lines += [f"  # weight: {scalar(people.weight.column)} # guess: {remark(people.weight.reason)}"]
    if people.opt_out:
        column, value = people.opt_out
        lines += [
            f"  # opt_out: {remark(flow({'column': column, 'values': [value]}))} "
            "# guess: the answer no refuses personalisation"
        ]
    lines += _exclusions(people.exclusions)
    if people.identifiers:
        lines += [
            "  # guess: direct identifiers, which no artefact may hold:",
            f"  identifiers: {flow([note.column for note in people.identifiers])}",
            *_notes("why:", people.identifiers, "  "),
        ]
    return lines


def _exclusions(exclusions: Sequence[GuessedExclusion]) -> list[str]:
    if not exclusions:
        return []
    used = any(not exclusion.suggested for exclusion in exclusions)
    mark = "" if used else "# "
    lines = [f"  {mark}exclusions: # in the order in which you registered them"]
    for exclusion in exclusions:
        hidden = "# " if exclusion.suggested else ""
        lines += [f"  {hidden}  - {remark(flow(exclusion.settings))} # guess: {remark(exclusion.reason)}"]
    return lines


def _diagnose(conjoint: GuessedConjoint) -> list[str]:
    unit = "points of the rating" if conjoint.rating else "shares of choices (0.02 are 2 percentage points)"
    return [
        "diagnose:",
        f"  sesoi: 0 # the smallest gain of nano over overall-best that would matter to you, in {unit}",
        "",
        "# calibrate:",
        "#   learner: ridge # ridge takes seconds; hierarchical, bart, boosting or auto take longer",
    ]


def _experiment(sample: GuessedSample, trial: GuessedTrial) -> list[str]:
    lines = ["experiment:", *_sample(sample), _line("arm", trial.arm.column, trial.arm.reason, "  ")]
    lines += ["  arms: # the first is the reference; every later one is compared with every earlier one"]
    for arm, name in zip(trial.arms, arm_names(trial.arms), strict=True):
        settings = {"name": name}
        if normalised(name) != normalised(arm.value):
            settings["value"] = arm.value
        if arm.policy:
            settings["policy"] = arm.policy
        reason = f"{arm.n} rows" + (f"; its text suggests the policy '{arm.policy}'" if arm.policy else "")
        lines += [f"    - {flow(settings)} # guess: {remark(reason)}"]
    lines += ["  # randomisation: {scheme: blocked, blocks: [a column]} # or clustered; complete if absent"]
    if trial.petition_columns:
        lines += [_line("petition_columns", *trial.petition_columns, "  ")]
    if trial.outcomes:
        lines += ["  outcomes: # in order of importance; remove what is none, and correct ranges"]
    else:
        lines += ["  outcomes: [] # guess: no number and no yes or no behind the column of the arm"]
    for outcome in trial.outcomes:
        settings = {"name": outcome.column}
        if outcome.label:
            settings["label"] = outcome.label
        settings["kind"] = outcome.kind
        limits = (
            {"range": list(outcome.range)} if outcome.range and outcome.range[0] < outcome.range[1] else {}
        )
        lines += [f"    - {flow({**settings, **limits})} # guess: {remark(outcome.reason)}"]
    return lines + _about_people(sample.people)


def _estimate(proposal: Proposal) -> list[str]:
    adjust = [covariate.name for covariate in proposal.covariates]
    outcomes = proposal.trial.outcomes if proposal.trial else []
    lines = ["estimate:"]
    lines += [_line("adjust", adjust, "every covariate; keep those that predict the outcomes", "  ")]
    if outcomes:
        lines += [
            f"  # sesoi: {{{scalar(outcomes[0].column)}: 0.05}} # smallest effect that matters, by outcome"
        ]
    lines += ["  # robustness: [lin, mann_whitney, ri, lee] # estimators beside the difference in means"]
    return lines


def _roster(sample: GuessedSample, study: str) -> list[str]:
    lines = ["roster: # people to field to: there is no column of arms yet", *_sample(sample)]
    lines += [
        "  arms: # guess: the three arms of a nano-targeting experiment, in equal shares",
        "    - {name: control}",
        "    - {name: best, policy: overall_best}",
        "    - {name: nano, policy: nano}",
        _line("ledger", f"data/{study}/arms.csv", "who is randomised to which arm is recorded there", "  "),
    ]
    return lines + _about_people(sample.people, weights=False)
