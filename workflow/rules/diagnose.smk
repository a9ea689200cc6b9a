# Four diagnostics from calibration data alone. What must be fitted again for them are jobs of their own.
HAS_COVARIATES = any(covariate.target for covariate in study.covariates)
HAS_INFORMATION = HAS_COVARIATES or study.calibrate.own_answers
VARIANTS = study.diagnose.variants(LEARNERS) if HAS_INFORMATION else {}


rule halve:
    input:
        profiles="<private>/clean/calibration.parquet",
        respondents="<private>/clean/calibration_respondents.parquet",
        settings=rules.learn.output.settings,
        chains=[
            f"<private>/calibrate/chains/half_{half}_{chain}.npz"
            for half in (1, 2)
            for chain in CHAINS
            if "bart" in LEARNERS
        ],
        library=library("halve.py"),
    output:
        settings="<private>/diagnose/halves/models.json",
        arrays="<private>/diagnose/halves/models.npz",
    log:
        "<logs>/halve.log",
    benchmark:
        "<benchmarks>/halve.tsv"
    priority: 2
    conda:
        "../../environment.yml"
    resources:
        **MEDIUM,
    params:
        learning=LEARNING,
    message:
        "Learning from two halves of the calibration"
    script:
        "../scripts/halve.py"


rule refit:
    input:
        profiles="<private>/clean/calibration.parquet",
        respondents="<private>/clean/calibration_respondents.parquet",
        settings=rules.learn.output.settings,
        library=library("refit.py"),
    output:
        temp("<private>/diagnose/refits/{kind}.npz"),
    log:
        "<logs>/refit/{kind}.log",
    benchmark:
        "<benchmarks>/refit/{kind}.tsv"
    wildcard_constraints:
        kind="shares|rungs",
    priority: 1  # the longest jobs first
    conda:
        "../../environment.yml"
    resources:
        **LONG,
    params:
        learning=LEARNING,
        diagnose=part_of(RefitConfig, config["diagnose"]),
        variants=lambda wildcards: VARIANTS[wildcards.kind],
    message:
        "Learning from variants of the calibration: {wildcards.kind}"
    script:
        "../scripts/refit.py"


rule divide:
    input:
        profiles="<private>/clean/calibration.parquet",
        respondents="<private>/clean/calibration_respondents.parquet",
        settings=rules.learn.output.settings,
        crossfit=rules.learn.output.crossfit,
        folds_settings=rules.learn.output.folds_settings,
        folds_arrays=rules.learn.output.folds_arrays,
        halves_settings=rules.halve.output.settings,
        halves_arrays=rules.halve.output.arrays,
        library=library("divide.py"),
    output:
        temp("<private>/diagnose/divisions.npz"),
    log:
        "<logs>/divide.log",
    benchmark:
        "<benchmarks>/divide.tsv"
    priority: 2
    conda:
        "../../environment.yml"
    resources:
        **LONG,
    params:
        learning=LEARNING,
        diagnose=config["diagnose"],
    message:
        "Dividing the calibration again until the gain is reproducible"
    script:
        "../scripts/divide.py"


PERMUTATIONS = config["diagnose"]["permutations"] if HAS_COVARIATES else 0
BATCHES = range(1, min(4, -(-PERMUTATIONS // 25)) + 1)  # a few permutations are one job


# Draw d goes to batch d modulo their number; draw 0, the data themselves, comes first.
rule permute:
    input:
        profiles="<private>/clean/calibration.parquet",
        respondents="<private>/clean/calibration_respondents.parquet",
        library=library("permute.py"),
    output:
        temp("<private>/diagnose/permutations/{batch}.parquet"),
    log:
        "<logs>/permute/{batch}.log",
    benchmark:
        "<benchmarks>/permute/{batch}.tsv"
    wildcard_constraints:
        batch=r"\d+",
    conda:
        "../../environment.yml"
    resources:
        **LONG,
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
        "Permuting covariates randomly: batch {wildcards.batch}"
    script:
        "../scripts/permute.py"


rule diagnostics:
    input:
        profiles="<private>/clean/calibration.parquet",
        respondents="<private>/clean/calibration_respondents.parquet",
        design_flags=rules.conjoint.output.design_flags,
        learners=rules.learn.output.learners,
        crossfit=rules.learn.output.crossfit,
        folds_settings=rules.learn.output.folds_settings,
        folds_arrays=rules.learn.output.folds_arrays,
        halves_settings=rules.halve.output.settings,
        halves_arrays=rules.halve.output.arrays,
        refits=[f"<private>/diagnose/refits/{kind}.npz" for kind in VARIANTS],
        divisions=rules.divide.output[0],
        permutations=[
            f"<private>/diagnose/permutations/{batch}.parquet" for batch in BATCHES
        ],
        library=library("diagnostics.py"),
    output:
        **{
            name: f"<results>/diagnose/{name}.csv"
            for name in (
                "diagnostics",
                "calibration",
                "switches",
                "abundance",
                "frontier",
                "learning_curve",
                "ladder",
                "permutations",
            )
        },
        verdict="<results>/diagnose/verdict.json",
    log:
        "<logs>/diagnostics.log",
    benchmark:
        "<benchmarks>/diagnostics.tsv"
    conda:
        "../../environment.yml"
    resources:
        **MEDIUM,
    params:
        learning=LEARNING,
        diagnose=config["diagnose"],
        subgroups=config["explore"]["subgroups"],
        min_cell=config["privacy"]["min_cell"],
        synthetic=config["synthetic"],
    message:
        "Diagnosing whether nano-targeting can pay"
    script:
        "../scripts/diagnostics.py"


# What response error does to a diagnosis from choices; it decides nothing.
CORRECTED = {}
if study.calibration.analyse in BINARY:

    rule correct_diagnosis:
        input:
            diagnostics=rules.diagnostics.output.diagnostics,
            reliability=rules.response_error.output.reliability,
            library=library("correct_diagnosis.py"),
        output:
            "<results>/diagnose/corrected_diagnosis.csv",
        log:
            "<logs>/correct_diagnosis.log",
        conda:
            "../../environment.yml"
        resources:
            **LIGHT,
        params:
            analysed=config["calibration"]["analyse"],
            goal=config["diagnose"]["goal"],
            confidence=config["diagnose"]["confidence"],
        message:
            "Correcting the diagnosis for response error"
        script:
            "../scripts/correct_diagnosis.py"

    CORRECTED = {"corrected_diagnosis": rules.correct_diagnosis.output[0]}


rule answer:
    input:
        **CORRECTED,
        diagnostics=rules.diagnostics.output.diagnostics,
        verdict=rules.diagnostics.output.verdict,
        settings=rules.learn.output.settings,
        arrays=rules.learn.output.arrays,
        digest=rules.learn.output.digest,
        population="<private>/clean/calibration_respondents.parquet",
        templates=[
            os.path.relpath(TEMPLATES / "answer.html.j2"),
            *PAGE_PARTS,
        ],
        library=library("answer.py"),
    output:
        page="<results>/diagnose/answer.html",
        petition="<results>/diagnose/petition.json",
    log:
        "<logs>/answer.log",
    conda:
        "../../environment.yml"
    resources:
        **LIGHT,
    params:
        design=config["design"],
        title=literal(config["title"] or config["study"]),
    message:
        "Writing the summary for decision-makers"
    script:
        "../scripts/answer.py"


rule diagnose:
    input:
        rules.diagnostics.output,
        rules.answer.output,
        list(CORRECTED.values()),
    message:
        "The diagnosis is complete"


# Do personalised petitions widen the gap between base and opposed?
GAP = (
    {"gap": "<results>/explore/gap.csv"}
    if config["explore"]["base"] and config["explore"]["base"]["opposed"]
    else {}
)


rule dissuasion:
    input:
        profiles="<private>/clean/calibration.parquet",
        respondents="<private>/clean/calibration_respondents.parquet",
        crossfit=rules.learn.output.crossfit,
        folds_settings=rules.learn.output.folds_settings,
        folds_arrays=rules.learn.output.folds_arrays,
        divisions=rules.divide.output[0],
        library=library("dissuasion.py"),
    output:
        **GAP,
        dissuasion="<results>/explore/dissuasion.csv",
    log:
        "<logs>/dissuasion.log",
    conda:
        "../../environment.yml"
    resources:
        **MEDIUM,
    params:
        learning=rules.diagnostics.params.learning,
        diagnose=config["diagnose"],
        subgroups=config["explore"]["subgroups"],
        base=config["explore"]["base"],
        min_cell=config["privacy"]["min_cell"],
    message:
        "Asking how far petitions could lower support, for the study of it only"
    script:
        "../scripts/dissuasion.py"
