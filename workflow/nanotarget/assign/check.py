"""Is a study in order, config against all raw files? The sizes of what is there, or every problem at once."""

from __future__ import annotations

from typing import Any

from nanotarget.assign.ledger import read_ledger
from nanotarget.clean.enough import insufficient
from nanotarget.clean.parts import is_large
from nanotarget.clean.samples import read_samples
from nanotarget.clean.shown import check_design
from nanotarget.study import preregistration
from nanotarget.study.config import DataConfig
from nanotarget.study.problems import Problem, collecting, raise_if_any


def check(study: DataConfig, source: str) -> dict[str, Any]:
    """Return the sizes of what a study has, or raise the problems of all its files at once.

    Args:
        study: the validated config, as far as it speaks of data.
        source: name of the config file for messages.

    Raises:
        InputError: if anything is wrong with the design, the pre-registration or a raw file.
    """
    problems: list[Problem] = []
    sizes: dict[str, Any] = {"study": study.study}
    design = None
    with collecting(problems):
        if study.design:
            design = check_design(study.design, source)
            sizes["petitions"] = design.n_feasible
    with collecting(problems):
        preregistration.read(study.preregistration)
    if design or not study.design:  # without a design every level would be a problem of its own
        with collecting(problems):
            samples = read_samples(study, design, heads=True)
            problems.extend(insufficient(study, samples))
            if samples.calibration:
                sizes["calibration"] = {
                    "respondents": len(samples.calibration.respondents),
                    "profiles": len(samples.calibration.profiles),
                }
            if samples.experiment:
                arms = samples.experiment.respondents["arm"].value_counts(sort=False)
                sizes["experiment"] = {
                    "respondents": int(arms.sum()),
                    "arms": {str(arm): int(n) for arm, n in arms.items()},
                }
            if study.roster and samples.roster:
                left = int(samples.roster.flow["n_after"].iloc[-1])
                large = is_large(study.roster.file)  # of it the first rows of each part were read
                sizes["roster"] = {"respondents_of_first_rows" if large else "respondents": left}
            if samples.questions:
                sizes["questions"] = list(samples.questions)
    with collecting(problems):
        if study.roster:
            read_ledger(study.roster.ledger, study.roster.arms)
    raise_if_any(problems)
    return sizes
