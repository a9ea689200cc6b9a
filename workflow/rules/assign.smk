# Petitions go to the people of the experiment, or of the roster of a study not yet fielded; a study
# with neither assigns to its calibration respondents.
rule choose:
    input:
        **(
            {"registration": config["preregistration"]}
            if config["preregistration"]
            else {}
        ),
        settings=rules.learn.output.settings,
        arrays=rules.learn.output.arrays,
        digest=rules.learn.output.digest,
        roster=(
            "<private>/clean/experiment.parquet"
            if config["experiment"]
            else (
                "<private>/clean/roster.parquet"
                if config["roster"]
                else "<private>/clean/calibration_respondents.parquet"
            )
        ),
        population="<private>/clean/calibration_respondents.parquet",
        library=library("choose.py"),
    output:
        **(
            {"lookup": "<private>/assign/lookup.csv"}
            if "nano" in config["assign"]["policies"]
            else {}
        ),
        **(
            {"audit": "<results>/assign/audit.csv"}
            if (config["experiment"] or {}).get("petition_columns")
            else {}
        ),
        assignments="<private>/assign/assignments.parquet",
        petitions="<results>/assign/petitions.csv",
        all_petitions="<private>/assign/petitions.csv",
    log:
        "<logs>/choose.log",
    conda:
        "../../environment.yml"
    resources:
        **MEDIUM,
    params:
        design=config["design"],
        covariates=config["covariates"],
        assign=part_of(PolicyConfig, config["assign"]),
        arms=(
            config["experiment"]["arms"]
            if (config["experiment"] or {}).get("petition_columns")
            else None
        ),
        min_cell=config["privacy"]["min_cell"],
        seed=config["root_seed"],
        synthetic=config["synthetic"],
    message:
        "Assigning petitions"
    script:
        "../scripts/choose.py"


rule concentration:
    input:
        settings=rules.learn.output.settings,
        arrays=rules.learn.output.arrays,
        digest=rules.learn.output.digest,
        profiles="<private>/clean/calibration.parquet",
        respondents="<private>/clean/calibration_respondents.parquet",
        roster=rules.choose.input.roster,
        chains=[
            f"<private>/calibrate/chains/permuted_{draw + 1}_{chain}.npz"
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
    resources:
        **MEDIUM,
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
        digest=rules.learn.output.digest,
        roster=rules.choose.input.roster,
        population="<private>/clean/calibration_respondents.parquet",
        library=library("uncertainty.py"),
    output:
        respondents="<private>/assign/uncertainty.parquet",
        cards="<private>/assign/cards.jsonl",
        summary="<results>/assign/uncertainty.csv",
    log:
        "<logs>/uncertainty.log",
    benchmark:
        "<benchmarks>/uncertainty.tsv"
    conda:
        "../../environment.yml"
    resources:
        **MEDIUM,
    params:
        design=config["design"],
        candidates=config["assign"]["candidates"],
        covariates=config["covariates"],
    message:
        "Asking how sure the assignment is, and what is behind it"
    script:
        "../scripts/uncertainty.py"


if config["roster"]:

    # A study that has not been fielded: its roster is randomised to arms and exported.

    # The ledger is neither input nor output. Snakemake deletes outputs before it runs a rule again, and
    # an assignment of people to arms must outlive that: it lies with the raw data and is only appended to.
    # As an input it would ask for a rerun after each of its own changes, and be missing at the first run.
    rule randomise:
        input:
            roster="<private>/clean/roster.parquet",
            ids="<private>/clean/ids.parquet",
            library=library("randomise.py"),
        output:
            arms="<private>/assign/arms.csv",
            balance="<results>/assign/arm_balance.csv",
        log:
            "<logs>/randomise.log",
        conda:
            "../../environment.yml"
        resources:
            **LIGHT,
        params:
            arms=config["roster"]["arms"],
            blocks=literal(config["roster"]["blocks"]),
            ledger=literal(config["roster"]["ledger"]),
            covariates=config["covariates"],
            min_cell=config["privacy"]["min_cell"],
            seed=config["root_seed"],
        message:
            "Randomising the roster to arms"
        script:
            "../scripts/randomise.py"

    rule fielding:
        input:
            arms=rules.randomise.output.arms,
            assignments="<private>/assign/assignments.parquet",
            ids="<private>/clean/ids.parquet",
            library=library("fielding.py"),
        output:
            "<private>/assign/fielding.csv",
        log:
            "<logs>/fielding.log",
        conda:
            "../../environment.yml"
        resources:
            **LIGHT,
        params:
            arms=config["roster"]["arms"],
            design=config["design"],
            synthetic=config["synthetic"],
        message:
            "Writing what the survey platform imports"
        script:
            "../scripts/fielding.py"


rule assign:
    input:
        rules.choose.output,
        rules.uncertainty.output,
        *([rules.randomise.output, rules.fielding.output] if config["roster"] else []),
    message:
        "The assignment is complete"
