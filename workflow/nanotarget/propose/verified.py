"""A proposal is written only if the checks of the pipeline pass on it and on its data."""

from __future__ import annotations

import dataclasses

import yaml

from nanotarget.clean.samples import read_samples
from nanotarget.clean.shown import check_design
from nanotarget.propose.people import Noted
from nanotarget.propose.study import Proposal
from nanotarget.propose.written import write_config
from nanotarget.study.checks import validate
from nanotarget.study.problems import InputError, Problem, collecting

OPEN = "# DECIDE: "  # how a question begins that the data do not answer


def verified_config(proposal: Proposal, study: str) -> str:
    """Write the config of a proposal without the covariates that its data refuse.

    Args:
        proposal: what the files look like.
        study: name of the study, as the schema wants it.

    Returns:
        YAML text that `check` accepts.

    Raises:
        InputError: with what `check` would say of the proposal, and what was found in the files.
    """
    while True:
        text = write_config(proposal, study)
        problems: list[Problem] = []
        with collecting(problems):
            check_proposal(text)
        if not problems:
            return text
        refused = {c.column: p.what for c in proposal.covariates for p in problems if _about(p, c.column)}
        if not refused:
            raise InputError([_explained(problem, proposal) for problem in problems])
        kept = [covariate for covariate in proposal.covariates if covariate.column not in refused]
        notes = [Noted(column, what) for column, what in refused.items()]
        proposal = dataclasses.replace(proposal, covariates=kept, refused=[*proposal.refused, *notes])


def check_proposal(text: str) -> None:
    """Raise an `InputError` with what `check` says of a config and of its raw data."""
    config = validate(yaml.safe_load(text), "proposal")
    read_samples(config, check_design(config.design, "proposal") if config.design else None)


def questions(text: str) -> list[int]:
    """Return the lines of a config that ask something that nobody has decided yet, from 1."""
    return [number for number, line in enumerate(text.splitlines(), 1) if OPEN in line]


def _about(problem: Problem, column: str) -> bool:
    return problem.where.startswith((f"column '{column}'", f"columns '{column}'"))


def _explained(problem: Problem, proposal: Proposal) -> Problem:
    """Say beside a problem of the data how far the search came."""
    what = f"{problem.what} (init found: {proposal.found})"
    return dataclasses.replace(problem, what=what)
