# Figures, tables, the report page and the manifest, from whatever stages the study has.
HAS_CALIBRATION = config["calibration"] is not None
HAS_EXPERIMENT = config["experiment"] is not None
HAS_OUTCOMES = HAS_EXPERIMENT and len(config["experiment"]["outcomes"]) > 0
HAS_AUDIT = HAS_CALIBRATION and bool(
    (config["experiment"] or {}).get("petition_columns")
)

# Tidy tables that figures, tables and the report read.
SOURCES = {"flow": "<results>/clean/flow.csv"}
if HAS_CALIBRATION:
    SOURCES |= {
        "amce": "<results>/calibrate/amce.csv",
        "marginal_means": "<results>/calibrate/marginal_means.csv",
        "learners": "<results>/calibrate/learners.csv",
        "design": "<results>/calibrate/design.csv",
        "imces": "<results>/calibrate/imces.csv",
        "quality": "<results>/clean/quality.csv",
        **{
            name: f"<results>/diagnose/{name}.csv"
            for name in (
                "diagnostics",
                "calibration",
                "ladder",
                "switches",
                "abundance",
                "frontier",
                "learning_curve",
            )
        },
        "petitions": "<results>/assign/petitions.csv",
        "concentration": "<results>/assign/concentration.csv",
        "uncertainty": "<results>/assign/uncertainty.csv",
        "dissuasion": "<results>/explore/dissuasion.csv",
    }
if HAS_AUDIT:
    SOURCES["audit"] = "<results>/assign/audit.csv"
if config["roster"]:
    SOURCES["arm_balance"] = "<results>/assign/arm_balance.csv"
if HAS_EXPERIMENT:
    SOURCES |= {
        name: f"<results>/estimate/{name}.csv"
        for name in [
            *ESTIMATES,
            "randomization_inference",
            "randomization_distribution",
        ]
    }
    if config["preregistration"]:
        SOURCES["deviations"] = "<results>/deviations.csv"
    SOURCES |= {
        name: f"<results>/explore/{name}.csv" for name in [*EXPLORATIONS, *PROMISES]
    }

# Figure -> what it draws (and its category in Snakemake's own report).
FIGURES = {"flow": (["flow"], "Participants")}
if HAS_EXPERIMENT:
    FIGURES["participants"] = (["participants"], "Participants")
if HAS_CALIBRATION:
    FIGURES["design"] = (["design"], "Calibration")
    FIGURES |= {
        f"amce_{outcome}": (["amce", "marginal_means"], "Calibration")
        for outcome in config["calibration"]["outcomes"]
    }
    FIGURES["imces"] = (["imces"], "Calibration")
    FIGURES |= {
        name: ([*sources, "diagnostics"], "Diagnosis")
        for name, sources in {
            "funnel": [],
            "variance": [],
            "calibration": ["calibration"],
            "ladder": ["ladder"],
            "switches": ["switches"],
            "abundance": ["abundance"],
            "dividend": [],
            "frontier": ["frontier"],
            "learning": ["learning_curve"],
        }.items()
    }
    FIGURES["petitions"] = (["petitions"], "Assignment")
if HAS_OUTCOMES:
    FIGURES |= {
        name: (sources, "Experiment")
        for name, sources in {
            "effects": ["effects", "equivalence"],
            "randomization": ["randomization_distribution", "randomization_inference"],
            "specifications": ["robustness"],
            "bounds": ["lee_bounds"],
        }.items()
    }
if HAS_EXPERIMENT:
    FIGURES |= {
        name: (sources, "Exploratory")
        for name, sources in {
            "subgroups": ["subgroups"],
            "tail": ["lower_tail"],
            "validation": ["validation"],
            "dilution": ["validation"],
            "dose": ["validation"],
            "targeting": ["targeting_curve", "rate"],
        }.items()
        if sources[0] in SOURCES
    }
if HAS_CALIBRATION:
    FIGURES["dissuasion"] = (["dissuasion"], "Exploratory")

# Those that only figures or sentences need have no table of their own.
TABLES = [
    name
    for name in SOURCES
    if name
    not in (
        "marginal_means",
        "calibration",
        "switches",
        "abundance",
        "petitions",
        "concentration",
        "uncertainty",
        "quality",
        "design",
        "imces",
        "sentences",
        "randomization_distribution",
        "targeting_curve",
    )
]
# Further views of a source (`VIEWS` in tables/study.py).
TABLES += [
    view
    for view, source in {
        "design": "quality",
        "diagnostics_attributes": "diagnostics",
        "diagnostics_groups": "diagnostics",
        "multiplicity": "effects",
    }.items()
    if source in SOURCES
]

# Files from outside that the results rest on (`clean.smk` names the raw ones).
FILES = [*RAW, *([config["preregistration"]] if config["preregistration"] else [])]

NAMES = {
    "synthetic": config["synthetic"],
    "ratings": (config["calibration"] or {}).get("outcomes"),
    "outcomes": (config["experiment"] or {}).get("outcomes", []),
    "arms": (config["experiment"] or {}).get("arms", []),
    "alpha": config["estimate"]["alpha"],
    "confidence": config["diagnose"]["confidence"],
    "goal": config["diagnose"]["goal"],
}
STUDY = {
    key: config[key]
    for key in ("study", "title", "synthetic", "root_seed", "preregistration")
}


rule figures:
    input:
        **{
            source: SOURCES[source]
            for sources, _ in FIGURES.values()
            for source in sources
        },
        library=library("figures.py"),
    output:
        *[
            report(
                f"<results>/figures/{name}.svg",
                caption=f"../nanotarget/report/templates/{name.split('_')[0]}.rst",
                category=category,
            )
            for name, (_, category) in FIGURES.items()
        ],
        *[
            f"<results>/figures/{name}.{suffix}"
            for name in FIGURES
            for suffix in ("pdf", "png", "csv")
        ],
        descriptions="<results>/figures/descriptions.json",
    log:
        "<logs>/figures.log",
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=5,
    params:
        names=NAMES,
        profiles=(config["calibration"] or {}).get("profiles", 1),
        analysed=(config["calibration"] or {}).get("analyse", ""),
    message:
        "Drawing figures"
    script:
        "../scripts/figures.py"


rule tables:
    input:
        **SOURCES,
        library=library("tables.py"),
    output:
        [
            f"<results>/tables/{name}.{suffix}"
            for name in TABLES
            for suffix in ("csv", "tex", "html")
        ],
    log:
        "<logs>/tables.log",
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=5,
    params:
        names=NAMES,
    message:
        "Writing tables"
    script:
        "../scripts/tables.py"


# The rules that leave artefacts of a study, in the order of the data flow; a study has some of them.
# `make verify` calls every other file in the results folder unknown, so a forgotten rule is noticed.
MAKERS = [
    name
    for name in (
        "check",
        "clean",
        "conjoint",
        "learn",
        "imce",
        "halve",
        "diagnostics",
        "answer",
        "choose",
        "concentration",
        "uncertainty",
        "randomise",
        "fielding",
        "dissuasion",
        "deviations",
        "effects",
        "randomization",
        "explorations",
        "validation",
        "figures",
        "tables",
    )
    if workflow.is_rule(name)
]
# Artefact -> the rule and the script that the report names beside what it shows of it.
MAKER = {
    str(file): maker(name) for name in MAKERS for file in getattr(rules, name).output
}


rule page:
    input:
        **SOURCES,
        **({"verdict": "<results>/diagnose/verdict.json"} if HAS_CALIBRATION else {}),
        pictures=[f"<results>/figures/{name}.svg" for name in FIGURES],
        numbers=[f"<results>/figures/{name}.csv" for name in FIGURES],
        descriptions="<results>/figures/descriptions.json",
        captions=[
            os.path.relpath(TEMPLATES / f"{name}.rst")
            for name in dict.fromkeys(name.split("_")[0] for name in FIGURES)
        ],
        files=FILES,
        templates=[
            os.path.relpath(TEMPLATES / "report.html.j2"),
            *PAGE_PARTS,
        ],
        library=library("page.py"),
    output:
        report(
            "<results>/report.html",
            caption="../nanotarget/report/templates/report.rst",
            category="Report",
        ),
    log:
        "<logs>/page.log",
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=5,
    params:
        names=NAMES,
        study=STUDY,
        parts=[part for part in ("calibration", "experiment") if config[part]],
        makers=MAKER,
        drawn={name: sources for name, (sources, _) in FIGURES.items()},
    message:
        "Writing the report"
    script:
        "../scripts/page.py"


# Numbers as macros, and a skeleton that shows them with all figures and tables (`make paper` compiles it).
rule paper:
    input:
        **SOURCES,
        **({"verdict": "<results>/diagnose/verdict.json"} if HAS_CALIBRATION else {}),
        pictures=[f"<results>/figures/{name}.pdf" for name in FIGURES],
        tables=[f"<results>/tables/{name}.tex" for name in TABLES],
        captions=rules.page.input.captions,
        template=os.path.relpath(TEMPLATES / "paper.tex"),
        library=library("paper.py"),
    output:
        numbers="<results>/numbers.tex",
        parts="<results>/paper_parts.tex",
        paper="<results>/paper.tex",
    log:
        "<logs>/paper.log",
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=5,
    params:
        names=NAMES,
        title=config["title"] or config["study"],
    message:
        "Writing numbers and skeleton of the paper"
    script:
        "../scripts/paper.py"


rule manifest:
    input:
        artefacts=[getattr(rules, name).output for name in [*MAKERS, "page", "paper"]],
        files=FILES,
        library=library("manifest.py"),
    output:
        "<results>/manifest.json",
    log:
        "<logs>/manifest.log",
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=5,
    params:
        made={
            name: {
                "inputs": [
                    part
                    for file in getattr(rules, name).input
                    for part in (file(None) if callable(file) else [str(file)])
                ],
                "outputs": [str(file) for file in getattr(rules, name).output],
                "params": dict(getattr(rules, name).params.items()),
            }
            for name in [*MAKERS, "page", "paper"]
        },
        study=STUDY,
    message:
        "Writing the manifest"
    script:
        "../scripts/manifest.py"


# Asks for every artefact by name: Snakemake does not miss one that was deleted after its use.
rule report:
    input:
        rules.manifest.output,
        rules.manifest.input.artefacts,
    message:
        "The report is complete: figures, tables, page and manifest"
