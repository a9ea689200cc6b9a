# Figures, tables, the report page and the manifest, from whatever stages the study has.
from nanotarget.report.catalogue import Kind, jobs, of_study, sources_of
from nanotarget.report.disclosure import PEOPLE_FILES, Audited

RESULTS = Path(rules.clean.output.flow).parents[1]


# Audits the tidy tables, of which all exhibits are made; a deposit audits the exhibits, too.
rule disclose:
    input:
        published=[
            file
            for made in makers()
            for file in made.output
            if not is_private(file, RESULTS) and not file.endswith(".md")
        ],
        private=[file for file in rules.clean.output if Path(file).stem in PEOPLE_FILES],
        library=library("disclose.py"),
    output:
        "<results>/disclosure.csv",
    log:
        "<logs>/disclose.log",
    conda:
        "../../environment.yml"
    resources:
        **LIGHT,
    params:
        study=Audited.of(study).model_dump(mode="json"),
    message:
        "Auditing what may be published"
    script:
        "../scripts/disclose.py"


# Tidy tables by name; what they can feed of the catalogue are the exhibits of the study.
TIDY = {
    Path(file).stem: str(file)
    for made in makers()
    for file in made.output
    if file.endswith(".csv") and not is_private(file, RESULTS)
}
HAS = [part for part in ("calibration", "experiment") if config[part]]
HAS += ["registration"] if config["preregistration"] else []
HAS += ["preferences"] if study.learns else []
EXHIBITS = of_study(TIDY, HAS)
FIGURES = [exhibit for exhibit in EXHIBITS if exhibit.kind is Kind.FIGURE]
TABLES = [exhibit for exhibit in EXHIBITS if exhibit.kind is Kind.TABLE]
QUOTED = ["concentration", "uncertainty"]  # by sentences of the page
SHOWN = {name: TIDY[name] for name in [*sources_of(EXHIBITS), *QUOTED] if name in TIDY}
VERDICT = {"verdict": rules.diagnostics.output.verdict} if study.learns else {}
PETITION = {"petition": rules.answer.output.petition} if study.learns else {}
# A verdict has them among its own.
FLAGS = (
    {"design_flags": rules.conjoint.output.design_flags}
    if config["calibration"] and not study.learns
    else {}
)

# Files from outside that the results rest on (`clean.smk` names the raw ones).
FILES = [*RAW, *([config["preregistration"]] if config["preregistration"] else [])]

NAMES = {
    "synthetic": config["synthetic"],
    "has": HAS,
    "ratings": (config["calibration"] or {}).get("outcomes"),
    "analysed": (config["calibration"] or {}).get("analyse", ""),
    "profiles": study.calibration.alike if study.calibration else 1,
    "outcomes": (config["experiment"] or {}).get("outcomes", []),
    "arms": (config["experiment"] or {}).get("arms", []),
    "covariates": config["covariates"],
    "subgroups": config["explore"]["subgroups"],
    "alpha": config["estimate"]["alpha"],
    "confidence": config["diagnose"]["confidence"],
    "goal": config["diagnose"]["goal"],
}
# What legends and notes say, but no figure draws.
TOLD = NAMES | {"errors": config["calibrate"]["se_type"]}
# What the methods of a paper say.
WRITTEN = {
    "calibrate": ("learner", "information", "folds", "se_type"),
    "diagnose": ("confidence",),
    "assign": ("policies",),
    "estimate": ("alpha", "adjust", "sesoi"),
}
PAPER = {
    key: config[key]
    for key in (
        "study",
        "title",
        "synthetic",
        "root_seed",
        "samples",
        "preregistration",
        "design",
        "covariates",
        "calibration",
        "experiment",
        "roster",
        "notice",
        "deposit",
    )
} | {
    section: {key: config[section][key] for key in keys}
    for section, keys in WRITTEN.items()
}
STUDY = {
    key: config[key]
    for key in ("study", "title", "synthetic", "root_seed", "preregistration")
}


for name, drawn in jobs(FIGURES).items():

    rule:
        name:
            name
        input:
            **{source: TIDY[source] for source in sources_of(drawn)},
            library=library("figures.py", *{figure.module for figure in drawn}),
        output:
            *[
                report(
                    f"<results>/figures/{figure.name}.svg",
                    category=figure.stage.capitalize(),
                    labels={"figure": figure.name, "caption": figure.caption},
                )
                for figure in drawn
            ],
            *[
                f"<results>/figures/{figure.name}.{suffix}"
                for figure in drawn
                for suffix in ("pdf", "png", "csv")
            ],
        log:
            f"<logs>/{name}.log",
        conda:
            "../../environment.yml"
        resources:
            **LIGHT,
        params:
            names=NAMES,
            figures=[figure.name for figure in drawn],
        message:
            "Drawing {} figures".format(len(drawn))
        script:
            "../scripts/figures.py"


rule tables:
    input:
        **{source: TIDY[source] for source in sources_of(TABLES)},
        library=library("tables.py", *{table.module for table in TABLES}),
    output:
        *[
            report(
                f"<results>/tables/{table.name}.html",
                category=table.stage.capitalize(),
                labels={"table": table.name, "caption": table.caption},
            )
            for table in TABLES
        ],
        *[
            f"<results>/tables/{table.name}.{suffix}"
            for table in TABLES
            for suffix in ("csv", "tex", *(["docx"] if table.paper else []))
        ],
    log:
        "<logs>/tables.log",
    conda:
        "../../environment.yml"
    resources:
        **LIGHT,
    params:
        names=TOLD,
    message:
        "Writing tables"
    script:
        "../scripts/tables.py"


rule page:
    input:
        **SHOWN,
        **VERDICT,
        **PETITION,
        **FLAGS,
        figures=[
            f"<results>/figures/{figure.name}.{suffix}"
            for figure in FIGURES
            for suffix in ("svg", "csv")
        ],
        templates=[
            os.path.relpath(TEMPLATES / "report.html.j2"),
            *PAGE_PARTS,
        ],
        library=library("page.py", *{table.module for table in TABLES}),
    output:
        report(
            "<results>/report.html",
            category="Report",
            labels={"page": "report", "caption": "All of the study on one page"},
        ),
    log:
        "<logs>/page.log",
    conda:
        "../../environment.yml"
    resources:
        **LIGHT,
    params:
        names=TOLD,
        study=STUDY,
        makers={str(file): maker(made) for made in makers() for file in made.output},
    message:
        "Writing the report"
    script:
        "../scripts/page.py"


# What says of the study itself what people, reviewers and authorities ask: in words, from config and counts.
SHEETS = [
    os.path.relpath(TEMPLATES / name)
    for name in ("notice.html.j2", "model_card.md.j2", "data_sheet.md.j2")
] + PAGE_PARTS
COUNTED, TOLD_PEOPLE = [], {}
if study.learns:
    COUNTED = [
        rules.choose.output.all_petitions,
        rules.learn.output.digest,
    ]
    TOLD_PEOPLE = {
        "notice": "<results>/transparency/notice.html",
        "notice_json": "<results>/transparency/notice.json",
        "model_card": "<results>/transparency/model_card.md",
    }


# Numbers as macros, the table of the abstract, and a skeleton that shows what the catalogue puts into a paper
# (`make paper` compiles it).
rule paper:
    input:
        **SHOWN,
        **VERDICT,
        exhibits=[
            *(f"<results>/figures/{figure.name}.pdf" for figure in FIGURES),
            *(f"<results>/tables/{table.name}.tex" for table in TABLES),
        ],
        template=os.path.relpath(TEMPLATES / "paper.tex.j2"),
        references=os.path.relpath(TEMPLATES / "references.bib"),
        sheets=SHEETS,
        counted=COUNTED,
        registration=config["preregistration"] or [],
        library=library("paper.py"),
    output:
        **TOLD_PEOPLE,
        numbers="<results>/numbers.tex",
        paper="<results>/paper.tex",
        references="<results>/references.bib",
        csv="<results>/tables/abstract.csv",
        tex="<results>/tables/abstract.tex",
        html="<results>/tables/abstract.html",
        docx="<results>/tables/abstract.docx",
        data_sheet="<results>/transparency/data_sheet.md",
    log:
        "<logs>/paper.log",
    conda:
        "../../environment.yml"
    resources:
        **LIGHT,
    params:
        names=TOLD,
        study=PAPER,
    message:
        "Writing numbers, skeleton of the paper, notice and sheets"
    script:
        "../scripts/paper.py"


rule manifest:
    input:
        artefacts=[made.output for made in makers()],
        files=lambda wildcards: FILES,
        library=library("manifest.py"),
    output:
        "<results>/manifest.json",
    log:
        "<logs>/manifest.log",
    conda:
        "../../environment.yml"
    resources:
        **LIGHT,
    params:
        made={
            made.name: {
                "inputs": [
                    part
                    for file in made.input
                    for part in (file(None) if callable(file) else [str(file)])
                ],
                "outputs": [str(file) for file in made.output],
                "params": {
                    name: value(None) if callable(value) else value
                    for name, value in made.params.items()
                },
            }
            for made in makers()
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
