"""Simulate the raw data of the reference study and write its truth beside them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from nanotarget.artefacts import write_csv
from nanotarget.config import CovariateConfig, DesignConfig, typed
from nanotarget.design import Design
from nanotarget.simulate import Parameters, simulate


def main(
    parameters: str, design: dict[str, Any], covariates: list[dict[str, Any]], output: dict[str, str]
) -> None:
    """Write `calibration` and `experiment` to the paths in `output`."""
    study = simulate(
        Design.from_config(typed(DesignConfig, design)),
        typed(list[CovariateConfig], covariates),
        typed(Parameters, yaml.safe_load(Path(parameters).read_text(encoding="utf-8"))),
    )
    write_csv(study.calibration, output["calibration"])
    write_csv(study.experiment, output["experiment"])


if __name__ == "__main__":
    main(
        snakemake.input.parameters,
        snakemake.params.design,
        snakemake.params.covariates,
        dict(snakemake.output.items()),
    )
