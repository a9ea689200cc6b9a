PERMUTATIONS = config["diagnose"]["permutations"] if HAS_COVARIATES else 0
BATCHES = range(1, min(4, -(-PERMUTATIONS // 25)) + 1)  # a few permutations are one job


# Draws are dealt to the batches like cards; draw 0, the data themselves, comes first.
rule permute:
    input:
        profiles="<results>/clean/calibration.parquet",
        respondents="<results>/clean/calibration_respondents.parquet",
        library=library("permute.py"),
    output:
        temp("<results>/diagnose/permutations/{batch}.parquet"),
    log:
        "<logs>/permute/{batch}.log",
    benchmark:
        "<benchmarks>/permute/{batch}.tsv"
    wildcard_constraints:
        batch=r"\d+",
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=30,
    params:
        learning={
            key: LEARNING[key] for key in ("design", "covariates", "outcome", "seed")
        },
        folds=config["calibrate"]["folds"],
        draws=lambda wildcards: list(
            range(int(wildcards.batch) - 1, PERMUTATIONS + 1, len(BATCHES))
        ),
        goal=config["diagnose"]["goal"],
    message:
        "Dealing covariates anew: batch {wildcards.batch}"
    script:
        "../scripts/permute.py"
