# Writes beside, not into, data/: raw data are inputs, and `make simulate` copies them there.
rule simulate:
    input:
        parameters=f"data/{config['study']}/simulation.yaml",
        library=library("simulate.py"),
    output:
        calibration="<results>/simulated/calibration.csv",
        experiment="<results>/simulated/experiment.csv",
        truth="<results>/simulated/truth.json",
        respondents="<results>/simulated/truth_respondents.csv",
    log:
        "<logs>/simulate.log",
    conda:
        "../../environment.yml"
    resources:
        **MEDIUM,
    params:
        config={
            **part_of(DataConfig, config),
            "root_seed": config["root_seed"],
            "calibrate": part_of(LearningConfig, config["calibrate"]),
            "explore": {"subgroups": config["explore"]["subgroups"]},
        },
    message:
        f"Simulating the raw data of {study.study}"
    script:
        "../scripts/simulate.py"
