# Tables of groups of respondents, of the lower end of the outcomes and of how far people are apart.
EXPLORATIONS = (
    ["lower_tail", "polarisation"] if config["experiment"]["outcomes"] else []
)
if EXPLORATIONS and config["explore"]["subgroups"]:
    EXPLORATIONS += ["subgroups", "odds_ratios"]
if EXPLORATIONS and config["explore"]["base"]:
    EXPLORATIONS.append("mobilisation")

# What the calibration predicted, compared with the arms that fielded it.
PROMISES = (
    ["validation", "gate", "projection", "rate", "targeting_curve", "fairness"]
    if study.learns
    and config["experiment"]["outcomes"]
    and "nano" in config["assign"]["policies"]
    and {"nano", "overall_best"}
    <= {arm["policy"] for arm in config["experiment"]["arms"]}
    else []
)


if EXPLORATIONS:

    rule explorations:
        input:
            **TRIAL_FILES,
            library=library("explorations.py"),
        output:
            **{name: f"<results>/explore/{name}.csv" for name in EXPLORATIONS},
        log:
            "<logs>/explorations.log",
        conda:
            "../../environment.yml"
        resources:
            **MEDIUM,
        params:
            trial=TRIAL,
            explore=config["explore"],
            min_cell=config["privacy"]["min_cell"],
            draws=config["estimate"]["draws"],
            seed=config["root_seed"],
        message:
            "Estimating effects in groups of respondents"
        script:
            "../scripts/explorations.py"


if PROMISES:

    rule validation:
        input:
            **TRIAL_FILES,
            assignments="<private>/assign/assignments.parquet",
            diagnostics="<results>/diagnose/diagnostics.csv",
            library=library("validation.py"),
        output:
            **{name: f"<results>/explore/{name}.csv" for name in PROMISES},
        log:
            "<logs>/validation.log",
        conda:
            "../../environment.yml"
        resources:
            **MEDIUM,
        params:
            trial=TRIAL,
            explore=config["explore"],
            min_cell=config["privacy"]["min_cell"],
            goal=config["diagnose"]["goal"],
            seed=config["root_seed"],
        message:
            "Comparing the experiment with what the calibration predicted"
        script:
            "../scripts/validation.py"


rule explore:
    input:
        rules.explorations.output if EXPLORATIONS else [],
        rules.validation.output if PROMISES else [],
        rules.dissuasion.output if study.learns else [],
    message:
        "The explorations are complete"
