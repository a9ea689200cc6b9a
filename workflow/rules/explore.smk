rule explore:
    input:
        experiment="<results>/clean/experiment.parquet",
        deviations="<results>/deviations.csv",
        library=library("explore.py"),
    output:
        subgroups="<results>/explore/subgroups.csv",
    log:
        "<logs>/explore.log",
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        arms=config["experiment"]["arms"],
        outcomes=config["experiment"]["outcomes"],
        covariates=config["covariates"],
        explore=config["explore"],
        privacy=config["privacy"],
        alpha=config["estimate"]["alpha"],
    message:
        "Estimating effects in groups of respondents"
    script:
        "../scripts/explore.py"
