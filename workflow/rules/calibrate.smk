# Answers of yes or no, of which log odds can be modelled.
BINARY = [
    outcome.name for outcome in study.calibration.outcomes.measured if outcome.binary
]


rule conjoint:
    input:
        **{name: CLEANED[name] for name in ("attribute_rows",) if name in CLEANED},
        profiles="<private>/clean/calibration.parquet",
        respondents="<private>/clean/calibration_respondents.parquet",
        library=library("conjoint.py"),
    output:
        **({"choice_models": "<results>/calibrate/choice_models.csv"} if BINARY else {}),
        amce="<results>/calibrate/amce.csv",
        marginal_means="<results>/calibrate/marginal_means.csv",
        design_checks="<results>/calibrate/design_checks.csv",
        design_flags="<results>/calibrate/design_flags.json",
        design="<results>/calibrate/design.csv",
    log:
        "<logs>/conjoint.log",
    priority: 3  # before the learners, which refuse a survey with one petition each
    conda:
        "../../environment.yml"
    resources:
        **MEDIUM,
    params:
        design=config["design"],
        covariates=config["covariates"],
        outcomes=list(config["calibration"]["outcomes"]),
        analysed=config["calibration"]["analyse"],
        profiles_a_task=study.calibration.alike,
        se_type=config["calibrate"]["se_type"],
        binary=BINARY,
        seed=config["root_seed"],
    message:
        "Estimating average effects of attribute levels and checking the conjoint's design"
    script:
        "../scripts/conjoint.py"


rule interactions:
    input:
        profiles="<private>/clean/calibration.parquet",
        library=library("interactions.py"),
    output:
        interactions="<results>/calibrate/interactions.csv",
        interaction_tests="<results>/calibrate/interaction_tests.csv",
    log:
        "<logs>/interactions.log",
    conda:
        "../../environment.yml"
    resources:
        **MEDIUM,
    params:
        design=config["design"],
        analysed=config["calibration"]["analyse"],
        se_type=config["calibrate"]["se_type"],
    message:
        "Estimating how attributes interact"
    script:
        "../scripts/interactions.py"


COMPARED = [rules.interactions.output]
if config["calibrate"]["draws"]:

    rule test_attributes:
        input:
            profiles="<private>/clean/calibration.parquet",
            respondents="<private>/clean/calibration_respondents.parquet",
            library=library("test_attributes.py"),
        output:
            "<results>/calibrate/attribute_tests.csv",
        log:
            "<logs>/test_attributes.log",
        conda:
            "../../environment.yml"
        resources:
            **MEDIUM,
        params:
            design=config["design"],
            covariates=config["covariates"],
            analysed=config["calibration"]["analyse"],
            draws=config["calibrate"]["draws"],
            seed=config["root_seed"],
        message:
            "Testing whether each attribute matters to anybody"
        script:
            "../scripts/test_attributes.py"

    COMPARED.append(rules.test_attributes.output)


if config["calibrate"]["groups"]:

    rule compare_groups:
        input:
            profiles="<private>/clean/calibration.parquet",
            respondents="<private>/clean/calibration_respondents.parquet",
            library=library("compare_groups.py"),
        output:
            groups="<results>/calibrate/groups.csv",
            group_tests="<results>/calibrate/group_tests.csv",
        log:
            "<logs>/compare_groups.log",
        conda:
            "../../environment.yml"
        resources:
            **MEDIUM,
        params:
            design=config["design"],
            covariates=config["covariates"],
            outcomes=list(config["calibration"]["outcomes"]),
            profiles_a_task=study.calibration.alike,
            groups=config["calibrate"]["groups"],
            se_type=config["calibrate"]["se_type"],
            min_cell=config["privacy"]["min_cell"],
        message:
            "Comparing groups of respondents by what they like"
        script:
            "../scripts/compare_groups.py"

    COMPARED.append(rules.compare_groups.output)


# Reliability is known of choices, of yes or no, and of what was asked twice.
PAIRED = [o for o in study.calibration.outcomes.measured if o.paired]
if BINARY or study.calibration.repeated:

    rule response_error:
        input:
            **{name: CLEANED[name] for name in ("second_answers",) if name in CLEANED},
            profiles="<private>/clean/calibration.parquet",
            respondents="<private>/clean/calibration_respondents.parquet",
            library=library("response_error.py"),
        output:
            **(
                {"likeness": "<results>/calibrate/likeness.csv"}
                if PAIRED and study.calibration.alike == 2
                else {}
            ),
            **({"corrected": "<results>/calibrate/corrected.csv"} if BINARY else {}),
            reliability="<results>/calibrate/reliability.csv",
        log:
            "<logs>/response_error.log",
        conda:
            "../../environment.yml"
        resources:
            **MEDIUM,
        params:
            design=config["design"],
            covariates=config["covariates"],
            outcomes=list(config["calibration"]["outcomes"]),
            alike=study.calibration.alike,
            profiles_a_task=study.calibration.profiles,
            groups=config["calibrate"]["groups"],
            reliability=config["calibrate"]["reliability"],
            se_type=config["calibrate"]["se_type"],
            min_cell=config["privacy"]["min_cell"],
            seed=config["root_seed"],
        message:
            "Estimating how reliable answers are"
        script:
            "../scripts/response_error.py"

    COMPARED.append(rules.response_error.output)


LEARNED = []
if study.learns:
    LEARNERS = study.calibrate.learners
    CHAINS = range(1, study.calibrate.bart.chains + 1)
    LEARNING = {
        "design": config["design"],
        "covariates": config["covariates"],
        "outcome": config["calibration"]["analyse"],
        "calibrate": part_of(LearningConfig, config["calibrate"]),
        "seed": config["root_seed"],
    }

    # Only BART is slow enough for jobs of its own: a chain for each fit that is needed of it.
    rule sample:
        input:
            profiles="<private>/clean/calibration.parquet",
            respondents="<private>/clean/calibration_respondents.parquet",
            library=library("sample.py"),
        output:
            temp("<private>/calibrate/chains/{part}_{chain}.npz"),
        log:
            "<logs>/sample/{part}_{chain}.log",
        benchmark:
            "<benchmarks>/sample/{part}_{chain}.tsv"
        wildcard_constraints:
            part=r"whole|(fold|half|permuted)_\d+",
            chain=r"\d+",
        conda:
            "../../environment.yml"
        resources:
            **LONG,
        params:
            learning=LEARNING,
        message:
            "Sampling trees: {wildcards.part}, chain {wildcards.chain}"
        script:
            "../scripts/sample.py"

    rule learn:
        input:
            profiles="<private>/clean/calibration.parquet",
            respondents="<private>/clean/calibration_respondents.parquet",
            chains=[
                f"<private>/calibrate/chains/{part}_{chain}.npz"
                for part in (
                    "whole",
                    *(f"fold_{k + 1}" for k in range(config["calibrate"]["folds"])),
                )
                for chain in CHAINS
                if "bart" in LEARNERS
            ],
            library=library("learn.py"),
        output:
            learners="<results>/calibrate/learners.csv",
            crossfit="<private>/calibrate/crossfit.parquet",
            folds_settings="<private>/calibrate/folds/models.json",
            folds_arrays="<private>/calibrate/folds/models.npz",
            settings="<private>/calibrate/model/model.json",
            arrays="<private>/calibrate/model/model.npz",
            digest="<private>/calibrate/model/SHA256SUMS",
        log:
            "<logs>/learn.log",
        benchmark:
            "<benchmarks>/learn.tsv"
        priority: 2  # the longest chain begins here: learn, halve, divide
        conda:
            "../../environment.yml"
        resources:
            **MEDIUM,
        params:
            learning=LEARNING,
        message:
            "Learning who would support which petition"
        script:
            "../scripts/learn.py"

    rule imce:
        input:
            settings=rules.learn.output.settings,
            arrays=rules.learn.output.arrays,
            digest=rules.learn.output.digest,
            respondents="<private>/clean/calibration_respondents.parquet",
            library=library("imce.py"),
        output:
            effects="<private>/calibrate/imce.parquet",
            distribution="<results>/calibrate/imces.csv",
            importance="<results>/calibrate/importance.csv",
        log:
            "<logs>/imce.log",
        benchmark:
            "<benchmarks>/imce.tsv"
        conda:
            "../../environment.yml"
        resources:
            **MEDIUM,
        params:
            design=config["design"],
            covariates=config["covariates"],
            confidence=config["diagnose"]["confidence"],
            min_cell=config["privacy"]["min_cell"],
            seed=config["root_seed"],
        message:
            "Estimating effects of levels on each respondent"
        script:
            "../scripts/imce.py"

    LEARNED = [rules.learn.output, rules.imce.output]


rule calibrate:
    input:
        rules.conjoint.output,
        COMPARED,
        LEARNED,
    message:
        "Calibration is complete"
