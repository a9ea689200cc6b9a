# Raw files are inputs only where they exist: a missing one is reported by `check`, in our words.
RAW = [
    config[sample]["file"]
    for sample in ("calibration", "experiment", "roster")
    if config[sample]
]
CLEANED = {"flow": "<results>/clean/flow.csv", "quality": "<results>/clean/quality.csv"}
if config["calibration"]:
    CLEANED["calibration"] = "<results>/clean/calibration.parquet"
    CLEANED["calibration_respondents"] = (
        "<results>/clean/calibration_respondents.parquet"
    )
if config["experiment"]:
    CLEANED["experiment"] = "<results>/clean/experiment.parquet"
if config["roster"]:
    CLEANED["roster"] = "<results>/clean/roster.parquet"


rule check:
    input:
        raw=lambda wildcards: [
            file
            for file in [*RAW, config["preregistration"]]
            if file and Path(file).is_file()
        ],
        library=library("check.py"),
    output:
        report="<results>/check.json",
    log:
        "<logs>/check.log",
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=5,
    params:
        study={
            key: config[key]
            for key in (
                "study",
                "root_seed",
                "samples",
                "preregistration",
                "design",
                "covariates",
                "calibration",
                "experiment",
                "roster",
            )
        },
        source=Path(([*workflow.configfiles, "config.yaml"])[0]).name,
    message:
        "Checking the config and the raw data of {config[study]}"
    script:
        "../scripts/check.py"


rule clean:
    input:
        check=rules.check.output.report,
        raw=lambda wildcards: [file for file in RAW if Path(file).is_file()],
        library=library("clean.py"),
    output:
        **CLEANED,
    log:
        "<logs>/clean.log",
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=5,
    params:
        samples=config["samples"],
        design=config["design"],
        covariates=config["covariates"],
        calibration=config["calibration"],
        experiment=config["experiment"],
        roster=config["roster"],
    message:
        "Cleaning the raw data of {config[study]}"
    script:
        "../scripts/clean.py"
