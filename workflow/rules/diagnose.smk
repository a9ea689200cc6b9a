rule diagnose:
    input:
        profiles="<results>/clean/calibration.parquet",
        respondents="<results>/clean/calibration_respondents.parquet",
        crossfit=rules.learn.output.crossfit,
        folds_settings=rules.learn.output.folds_settings,
        folds_arrays=rules.learn.output.folds_arrays,
        library=library("diagnose.py"),
    output:
        diagnostics="<results>/diagnose/diagnostics.csv",
        verdict="<results>/diagnose/verdict.json",
    log:
        "<logs>/diagnose.log",
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        learning={key: LEARNING[key] for key in ("design", "covariates", "outcome")},
        diagnose=config["diagnose"],
        synthetic=config["synthetic"],
    message:
        "Diagnosing whether nano-targeting can pay"
    script:
        "../scripts/diagnose.py"


rule answer:
    input:
        diagnostics=rules.diagnose.output.diagnostics,
        verdict=rules.diagnose.output.verdict,
        caption=os.path.relpath(WORKFLOW / "report" / "funnel.rst"),
        templates=[
            os.path.relpath(WORKFLOW / "report" / "answer.html.j2"),
            *PAGE_PARTS,
        ],
        library=library("answer.py"),
    output:
        "<results>/diagnose/answer.html",
    log:
        "<logs>/answer.log",
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=5,
    params:
        title=config["title"] or config["study"],
    message:
        "Writing the answer for who decides"
    script:
        "../scripts/answer.py"
