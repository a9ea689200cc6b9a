rule learn:
    input:
        profiles="<results>/clean/calibration.parquet",
        respondents="<results>/clean/calibration_respondents.parquet",
        library=library("learn.py"),
    output:
        learners="<results>/calibrate/learners.csv",
        crossfit="<results>/calibrate/crossfit.parquet",
        coefficients="<results>/calibrate/model/coefficients.parquet",
        settings="<results>/calibrate/model/model.json",
        digest="<results>/calibrate/model/SHA256SUMS",
    log:
        "<logs>/learn.log",
    benchmark:
        "<benchmarks>/learn.tsv"
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
        folds=config["calibrate"]["folds"],
        seed=config["root_seed"],
    message:
        "Learning who would support which petition"
    script:
        "../scripts/learn.py"
