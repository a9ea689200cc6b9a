# Petitions go to the people of the experiment, or of the roster of a study not yet fielded; a study
# with neither assigns to its calibration respondents.
rule choose:
    input:
        coefficients="<results>/calibrate/model/coefficients.parquet",
        settings="<results>/calibrate/model/model.json",
        roster=(
            "<results>/clean/experiment.parquet"
            if config["experiment"]
            else (
                "<results>/clean/roster.parquet"
                if config["roster"]
                else "<results>/clean/calibration_respondents.parquet"
            )
        ),
        population="<results>/clean/calibration_respondents.parquet",
        library=library("assign.py"),
    output:
        **(
            {"lookup": "<results>/assign/lookup.csv"}
            if "nano" in config["assign"]["policies"]
            else {}
        ),
        **(
            {"audit": "<results>/assign/audit.csv"}
            if (config["experiment"] or {}).get("petition_columns")
            else {}
        ),
        assignments="<results>/assign/assignments.parquet",
        petitions="<results>/assign/petitions.csv",
    log:
        "<logs>/choose.log",
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        design=config["design"],
        covariates=config["covariates"],
        assign={key: config["assign"][key] for key in ("policies", "segments")},
        arms=(
            config["experiment"]["arms"]
            if (config["experiment"] or {}).get("petition_columns")
            else None
        ),
        seed=config["root_seed"],
    message:
        "Assigning petitions"
    script:
        "../scripts/assign.py"


rule concentration:
    input:
        coefficients="<results>/calibrate/model/coefficients.parquet",
        settings="<results>/calibrate/model/model.json",
        profiles="<results>/clean/calibration.parquet",
        respondents="<results>/clean/calibration_respondents.parquet",
        roster=rules.choose.input.roster,
        library=library("concentration.py"),
    output:
        "<results>/assign/concentration.csv",
    log:
        "<logs>/concentration.log",
    benchmark:
        "<benchmarks>/concentration.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=20,
    params:
        design=config["design"],
        covariates=config["covariates"],
        outcome=config["calibration"]["analyse"],
        learner=config["calibrate"]["learner"],
        permutations=config["assign"]["permutations"],
        seed=config["root_seed"],
    message:
        "Counting petitions under permuted covariates"
    script:
        "../scripts/concentration.py"


if config["roster"]:

    include: "roster.smk"


rule assign:
    input:
        rules.choose.output,
        *([rules.randomise.output, rules.fielding.output] if config["roster"] else []),
    message:
        "The assignment is complete"
