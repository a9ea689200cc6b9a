rule deviations:
    input:
        registration=config["preregistration"] or [],
        library=library("deviations.py"),
    output:
        deviations="<results>/deviations.csv",
    log:
        "<logs>/deviations.log",
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=5,
    params:
        study={
            key: config[key]
            for key in ("study", "root_seed", "calibration", "experiment", "estimate")
        },
    message:
        "Comparing the study with its pre-registration"
    script:
        "../scripts/deviations.py"


rule estimate:
    input:
        experiment="<results>/clean/experiment.parquet",
        registration=config["preregistration"] or [],
        deviations="<results>/deviations.csv",
        library=library("estimate.py"),
    output:
        effects="<results>/estimate/effects.csv",
        equivalence="<results>/estimate/equivalence.csv",
        attrition="<results>/estimate/attrition.csv",
        balance="<results>/estimate/balance.csv",
        power="<results>/estimate/power.csv",
    log:
        "<logs>/estimate.log",
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=1500,
        runtime=10,
    params:
        arms=config["experiment"]["arms"],
        outcomes=config["experiment"]["outcomes"],
        covariates=config["covariates"],
        estimate=config["estimate"],
    message:
        "Estimating what the arms of the experiment did"
    script:
        "../scripts/estimate.py"
