# Petitions go to the people of the experiment, or of the roster of a study not yet fielded; a study
# with neither assigns to its calibration respondents.
if config["experiment"]:
    ROSTER = "<private>/clean/experiment.parquet"
elif config["roster"]:
    ROSTER = "<private>/clean/roster.parquet"
else:
    ROSTER = "<private>/clean/calibration_respondents.parquet"
# On whom statements about very many people rest.
SOME = "<private>/clean/roster_sample.parquet" if config["roster"] else ROSTER
LEARNED = {
    **(
        {"registration": config["preregistration"]} if config["preregistration"] else {}
    ),
    "settings": rules.learn.output.settings,
    "arrays": rules.learn.output.arrays,
    "digest": rules.learn.output.digest,
    "population": "<private>/clean/calibration_respondents.parquet",
}

if SLICES > 1:

    rule score:
        input:
            **LEARNED,
            roster=ROSTER,
            library=library("score.py"),
        output:
            temp(directory("<private>/assign/slices/{slice}")),
        log:
            "<logs>/score/{slice}.log",
        benchmark:
            "<benchmarks>/score/{slice}.tsv"
        conda:
            "../../environment.yml"
        resources:
            **LONG,
        params:
            design=config["design"],
            assign=part_of(PolicyConfig, config["assign"]),
            seed=config["root_seed"],
            number=lambda wildcards: int(wildcards.slice) - 1 if wildcards else None,
            slices=SLICES,
        message:
            "Assigning petitions to part {wildcards.slice} of the roster"
        script:
            "../scripts/score.py"


rule choose:
    input:
        **LEARNED,
        roster=ROSTER,
        slices=[
            f"<private>/assign/slices/{number + 1}"
            for number in range(SLICES)
            if SLICES > 1
        ],
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
        assignments=(
            directory("<private>/assign/assignments.parquet")
            if config["roster"]
            else "<private>/assign/assignments.parquet"
        ),
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
        roster=SOME,
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
        roster=SOME,
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
            ids="<private>/clean/roster_ids.parquet",
            library=library("randomise.py"),
        output:
            arms="<private>/assign/arms.csv",
            balance="<results>/assign/arm_balance.csv",
        log:
            "<logs>/randomise.log",
        conda:
            "../../environment.yml"
        resources:
            **MANY,
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
            ids="<private>/clean/roster_ids.parquet",
            library=library("fielding.py"),
        output:
            "<private>/assign/fielding.csv",
        log:
            "<logs>/fielding.log",
        conda:
            "../../environment.yml"
        resources:
            **MANY,
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
