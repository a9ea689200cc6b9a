rule conjoint:
    input:
        profiles="<results>/clean/calibration.parquet",
        respondents="<results>/clean/calibration_respondents.parquet",
        library=library("amce.py"),
    output:
        amce="<results>/calibrate/amce.csv",
        marginal_means="<results>/calibrate/marginal_means.csv",
        design_checks="<results>/calibrate/design_checks.csv",
    log:
        "<logs>/conjoint.log",
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=1500,
        runtime=10,
    params:
        design=config["design"],
        covariates=config["covariates"],
        outcomes=list(config["calibration"]["outcomes"]),
        analysed=config["calibration"]["analyse"],
        profiles_a_task=config["calibration"]["profiles"],
        se_type=config["calibrate"]["se_type"],
    message:
        "Estimating average effects of attribute levels and checking the conjoint's design"
    script:
        "../scripts/amce.py"


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


rule calibrate:
    input:
        rules.conjoint.output,
        rules.learn.output,
    message:
        "Calibration is complete"
