# A study that has not been fielded: its roster is randomised to arms and exported.


# The ledger is neither input nor output. Snakemake deletes outputs before it runs a rule again, and
# an assignment of people to arms must outlive that: it lies with the raw data and is only appended to.
# As an input it would ask for a rerun after each of its own changes, and be missing at the first run.
rule randomise:
    input:
        roster="<results>/clean/roster.parquet",
        library=library("randomise.py"),
    output:
        arms="<results>/assign/arms.csv",
        balance="<results>/assign/arm_balance.csv",
    log:
        "<logs>/randomise.log",
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=5,
    params:
        arms=config["roster"]["arms"],
        blocks=config["roster"]["blocks"],
        ledger=config["roster"]["ledger"],
        covariates=config["covariates"],
        seed=config["root_seed"],
    message:
        "Randomising the roster to arms"
    script:
        "../scripts/randomise.py"


rule fielding:
    input:
        arms=rules.randomise.output.arms,
        assignments="<results>/assign/assignments.parquet",
        library=library("fielding.py"),
    output:
        "<results>/assign/fielding.csv",
    log:
        "<logs>/fielding.log",
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=5,
    params:
        arms=config["roster"]["arms"],
        design=config["design"],
    message:
        "Writing what the survey platform imports"
    script:
        "../scripts/fielding.py"
