"""The roster: the list of people to field to, as one tidy row per respondent."""

from __future__ import annotations

from collections.abc import Sequence

from nanotarget.clean import contracts
from nanotarget.clean.covariates import read_covariates
from nanotarget.clean.exclusions import exclude, refused, refusers
from nanotarget.clean.people import Sample, check_left, check_unique, one_per_row, read_table, tidy
from nanotarget.clean.quality import roster_quality
from nanotarget.study.config import CovariateConfig, RosterConfig
from nanotarget.study.problems import raise_if_any


def read_roster(config: RosterConfig, covariates: Sequence[CovariateConfig]) -> Sample:
    """Turn the list of people to field to into a tidy table, `contracts.roster`.

    A covariate with ``target: false`` that makes no blocks may be absent from the file; it is
    missing then.

    Args:
        config: the section `roster`.
        covariates: the allow-list.

    Raises:
        InputError: with all problems of the file.
    """
    optional = {c.name for c in covariates if not c.target and c.name not in config.blocks}
    table = read_table("roster", config, covariates, (), optional)
    everyone = one_per_row(table, config.respondent)
    people = check_left(exclude(everyone, config.exclusions))
    check_unique(people)
    described = read_covariates(people, covariates)
    raise_if_any(table.problems)
    respondents = tidy(people, {"opt_out": refused(people, config.consent), **described})
    contracts.roster(covariates).validate(respondents, lazy=True)
    return Sample(
        respondents,
        people.flow("roster", {}),
        roster_quality(respondents, list(described), people.compared),
        people.identities(config.exclusions),
        refusers=refusers(everyone, people, config.consent),
    )
