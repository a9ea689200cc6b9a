REGISTRATION = config["preregistration"] or []

# What the analyses of the experiment read, and the sections that say what the trial is.
TRIAL_FILES = {
    "experiment": "<private>/clean/experiment.parquet",
    "registration": REGISTRATION,
    "deviations": "<results>/deviations.csv",
}
TRIAL = {
    "arms": config["experiment"]["arms"],
    "outcomes": config["experiment"]["outcomes"],
    "covariates": config["covariates"],
    **{key: config["estimate"][key] for key in ("adjust", "sesoi", "alpha", "tighten")},
}

# Tables of the experiment; some need what not every study has.
ESTIMATES = [
    "effects",
    "outcomes",
    "scales",
    "omnibus",
    "robustness",
    "equivalence",
    "sentences",
    "power",
    "balance",
    "attrition",
    "differential_attrition",
    "lee_bounds",
    "participants",
]
if config["estimate"]["adjust"]:
    ESTIMATES.append("ipw")
if config["experiment"]["delivered"]:
    ESTIMATES.append("cace")
if config["experiment"]["post_checks"]:
    ESTIMATES.append("checks")


rule deviations:
    input:
        experiment="<private>/clean/experiment.parquet",
        registration=REGISTRATION,
        library=library("deviations.py"),
    output:
        deviations="<results>/deviations.csv",
    log:
        "<logs>/deviations.log",
    conda:
        "../../environment.yml"
    resources:
        **LIGHT,
    params:
        study=part_of(ConductedConfig, config),
    message:
        "Comparing the study with its pre-registration"
    script:
        "../scripts/deviations.py"


rule effects:
    input:
        **TRIAL_FILES,
        flow="<private>/clean/flow.csv",
        library=library("effects.py"),
    output:
        **{name: f"<results>/estimate/{name}.csv" for name in ESTIMATES},
    log:
        "<logs>/effects.log",
    conda:
        "../../environment.yml"
    resources:
        **MEDIUM,
    params:
        trial=TRIAL,
        min_cell=config["privacy"]["min_cell"],
    message:
        "Estimating what the arms of the experiment did"
    script:
        "../scripts/effects.py"


rule randomization:
    input:
        **TRIAL_FILES,
        library=library("randomization.py"),
    output:
        inference="<results>/estimate/randomization_inference.csv",
        distribution="<results>/estimate/randomization_distribution.csv",
    log:
        "<logs>/randomization.log",
    conda:
        "../../environment.yml"
    resources:
        **MEDIUM,
    params:
        trial=TRIAL,
        draws=config["estimate"]["draws"],
        seed=config["root_seed"],
    message:
        "Redrawing the arms of the experiment"
    script:
        "../scripts/randomization.py"


rule estimate:
    input:
        rules.effects.output,
        rules.randomization.output,
    message:
        "The analysis of the experiment is complete"
