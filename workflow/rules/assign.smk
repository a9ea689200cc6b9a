# Petitions go to the people of the experiment, or of the roster of a study not yet fielded; a study
# with neither assigns to its calibration respondents.
rule choose:
    input:
        settings=rules.learn.output.settings,
        arrays=rules.learn.output.arrays,
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
        library=library("choose.py"),
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
        "../scripts/choose.py"


rule concentration:
    input:
        settings=rules.learn.output.settings,
        arrays=rules.learn.output.arrays,
        profiles="<results>/clean/calibration.parquet",
        respondents="<results>/clean/calibration_respondents.parquet",
        roster=rules.choose.input.roster,
        chains=[
            f"<results>/calibrate/chains/permuted_{draw + 1}_{chain}.npz"
            for draw in range(config["assign"]["permutations"])
            for chain in CHAINS
            if config["calibrate"]["learner"] == "bart"
        ],
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
        learning=LEARNING,
        permutations=config["assign"]["permutations"],
    message:
        "Counting petitions under permuted covariates"
    script:
        "../scripts/concentration.py"


rule uncertainty:
    input:
        settings=rules.learn.output.settings,
        arrays=rules.learn.output.arrays,
        roster=rules.choose.input.roster,
        population="<results>/clean/calibration_respondents.parquet",
        library=library("uncertainty.py"),
    output:
        respondents="<results>/assign/uncertainty.parquet",
        summary="<results>/assign/uncertainty.csv",
    log:
        "<logs>/uncertainty.log",
    benchmark:
        "<benchmarks>/uncertainty.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        design=config["design"],
        candidates=config["assign"]["candidates"],
    message:
        "Asking how sure the assignment is"
    script:
        "../scripts/uncertainty.py"


if config["roster"]:

    include: "roster.smk"


rule assign:
    input:
        rules.choose.output,
        rules.uncertainty.output,
        *([rules.randomise.output, rules.fielding.output] if config["roster"] else []),
    message:
        "The assignment is complete"
