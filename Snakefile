# nanotarget: from raw survey exports to the report.
# Named targets: check, calibrate, diagnose, assign, estimate, explore, report, simulate and all (the default).
import os
import shlex
import sys
from pathlib import Path

# Another workflow may use this one as a module (docs/modules.md); then the study is the module's `config`.
MODULE = not workflow.modifier.is_main_snakefile()

# Snakemake looks for modules in the folder of this file first, which a study may share. Jobs look in none.
if not MODULE:
    sys.path[:] = [
        folder for folder in sys.path if folder not in ("", workflow.basedir)
    ]

from snakemake.exceptions import WorkflowError
from snakemake.utils import min_version, update_config

from nanotarget.clean.parts import all_raw_files, people, slices
from nanotarget.study.checks import read_settings, validate
from nanotarget.study.config import (
    ConductedConfig,
    DataConfig,
    LearningConfig,
    PolicyConfig,
    RefitConfig,
    part_of,
)
from nanotarget.study.private import PRIVATE, READMES, is_private
from nanotarget.study.problems import InputError
from nanotarget.study.record import refuse_unforced

min_version("9.27")

# Snakemake starts scripts by an unquoted path; the project's folder may have a space in its name.
if Path(sys.executable).is_file():
    sys.executable = shlex.quote(sys.executable)


# Snakemake's own loader lets the second of two equal keys win, and merges --configfile over a Snakefile's
# own: the files are read here, and the reference study only when no other is named, so that none of its
# settings can leak into another study.
CONFIG_FILES = [os.path.relpath(file) for file in workflow.configfiles] or [
    "config.yaml"
]
if MODULE:
    CONFIG_FILES = [f"config of module {__name__}"]
settings = {}
try:
    if MODULE:
        settings = config
    else:
        for file in CONFIG_FILES:
            update_config(settings, read_settings(file, file))
        update_config(settings, workflow.config_settings.config)
    study = validate(settings, os.path.basename(CONFIG_FILES[0]))
    if workflow.is_main_process:
        refuse_unforced(Path("results") / study.study, CONFIG_FILES[0], sys.argv)
except InputError as error:
    raise WorkflowError(error.message()) from None
# Rules hand scripts these sections, complete with defaults; a script makes models of them again.
config = study.model_dump(mode="json")

# The same bytes on any number of cores: one thread a job, no locale, no clock.
os.environ.update(
    OMP_NUM_THREADS="1",
    OPENBLAS_NUM_THREADS="1",
    MKL_NUM_THREADS="1",
    PYTHONHASHSEED="0",
    PYTHONSAFEPATH="1",
    MPLBACKEND="Agg",
    TZ="UTC",
    LC_ALL="C.UTF-8",
)


pathvars:
    results=f"results/{config['study']}",
    private=f"<results>/{PRIVATE}",
    logs=f"logs/{config['study']}",
    benchmarks=f"benchmarks/{config['study']}",


include: "workflow/rules/library.smk"
include: "workflow/rules/clean.smk"


# A study has a calibration, an experiment, or both; it has only the rules that its data can feed.
if config["calibration"]:

    include: "workflow/rules/calibrate.smk"


if study.learns:

    include: "workflow/rules/diagnose.smk"
    include: "workflow/rules/assign.smk"


if config["experiment"]:

    include: "workflow/rules/estimate.smk"
    include: "workflow/rules/explore.smk"


include: "workflow/rules/report.smk"
include: "workflow/rules/simulate.smk"


rule all:
    default_target: True
    input:
        rules.report.input,
    message:
        (
            "The study is complete"
            if config["experiment"]
            else "The study has no experiment: it ends with the "
            + ("assignment" if study.learns else "calibration")
        )
