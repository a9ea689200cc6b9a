"""Write the parts of the documents that follow from models and rules: `make docs`.

Usage: python workflow/scripts/docs.py            writes docs/*.schema.json, their pages, docs/figures.md,
                                                  INTERFACE.yaml, codemeta.json, version of CITATION.cff
   or: python workflow/scripts/docs.py --check    says which of them are not current (exit code 1 if any)
"""

import copy
import json
import sys
import tempfile
import tomllib
from pathlib import Path

import yaml
from snakemake.api import SnakemakeApi
from snakemake.settings.types import ConfigSettings, OutputSettings, Quietness, ResourceSettings

from nanotarget.report.numbers import documentation
from nanotarget.report.origins import Maker, list_of_exhibits, origin
from nanotarget.study.artefacts import write_text
from nanotarget.study.config import Study
from nanotarget.study.preregistration import Registration
from nanotarget.study.reference import json_schema, keys_that_name, put_between, reference, simplified
from nanotarget.study.release import cited, codemeta, interface, pretty

MODELS = {"config": Study, "preregistration": Registration}
INTRODUCTION = """{about}

Made by `make docs` from the model `{model}`, by which files are checked; do not edit. Editors that know
JSON schema complete and explain the keys with [{page}.schema.json]({page}.schema.json). `a.b` is the key
`b` in the section `a`, `a[]` an entry of the list `a`.
"""
ABOUT = {
    "config": """One YAML file describes one study; every key that is not listed here is an error.
[config.yaml](../config.yaml) is the reference study, [examples/](../examples) holds published ones;
`make check CONFIG=my-study.yaml` finds what is wrong in one.""",
    "preregistration": """The file that the key `preregistration` of a [config](config.md) names. What a study
does differently is listed in `deviations.csv` and marked on the estimates that it touches.""",
}
INTERFACE = """# What a workflow that uses this one as a module gives and gets (docs/modules.md).
# Made by `make docs` of the reference study, fielded and not yet; a study has what its data can feed.
"""


def studies(path):
    """Return configs that together have every artefact: the reference study, and it before it is fielded."""
    fielded = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    fielded["experiment"] |= {
        "delivered": {"column": "delivered", "values": ["1"]},
        "post_checks": [{"step": "Failed check", "rule": "missing", "column": "check"}],
    }
    planned = copy.deepcopy(fielded)
    experiment = planned.pop("experiment")
    arms = [{"name": arm["name"], "policy": arm.get("policy")} for arm in experiment["arms"]]
    planned["roster"] = {"file": "roster.csv", "respondent": "id", "arms": arms, "ledger": "arms.csv"}
    return [fielded, planned]


def workflow_of(config):
    """Return the workflow of a study as Snakemake has read it."""
    with tempfile.NamedTemporaryFile("w", suffix=".yaml", encoding="utf-8") as file:
        yaml.safe_dump(config, file, allow_unicode=True, sort_keys=False)
        file.flush()
        with SnakemakeApi(OutputSettings(quiet={Quietness.ALL})) as api:
            return api.workflow(
                resource_settings=ResourceSettings(cores=1),
                config_settings=ConfigSettings(configfiles=[Path(file.name)]),
                snakefile=Path("Snakefile"),
            )._workflow


def origins(workflow):
    """Return the origin of every figure and table that the rules of a study make."""
    results = Path(workflow.pathvars.apply("<results>"))
    makers = {
        Path(str(output)).relative_to(results).as_posix(): Maker(rule.name, rule.script)
        for rule in workflow.rules
        for output in rule.output
        if rule.script
    }
    tidy = {
        stem: Path(path).relative_to(results).as_posix() for stem, path in workflow.globals["TIDY"].items()
    }
    return [origin(exhibit, tidy, makers) for exhibit in workflow.globals["EXHIBITS"]]


def outputs(workflow, study):
    """Return what a module can put elsewhere, and what every rule does and makes; no study's name."""
    results = workflow.pathvars.apply("<results>")
    places = {place: path.replace(study, "<study>") for place, path in workflow.pathvars.items.items()}
    made = {
        rule.name: (
            str(rule.message).replace(study, "<study>"),
            {str(f).replace(results, "<results>", 1) for f in rule.output if "temp" not in f.flags},
        )
        for rule in workflow.rules
    }
    return places, made


def module_interface(found):
    """Return what a workflow that uses this one as a module gives and gets, in YAML."""
    places, rules = {}, {}
    for known, made in found:
        places |= known
        for rule, (about, files) in made.items():
            rules.setdefault(rule, (about, set()))[1].update(files)
    listed = ((rule, about, sorted(files)) for rule, (about, files) in sorted(rules.items()))
    content = interface(places, keys_that_name(json_schema(Study), "file"), listed)
    return INTERFACE + yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=110)


def released():
    """Return the files that say which release this is."""
    project = tomllib.loads(Path("pyproject.toml").read_text("utf-8"))["project"]
    citation = cited(Path("CITATION.cff").read_text("utf-8"), project["version"])
    return {
        Path("CITATION.cff"): citation,
        Path("codemeta.json"): pretty(codemeta(project, yaml.safe_load(citation))),
    }


def written():
    """Return every file that is written here, with the text that it should have."""
    texts = {}
    for page, about in ABOUT.items():
        schema = json_schema(MODELS[page])
        introduction = INTRODUCTION.format(about=about, model=MODELS[page].__name__, page=page)
        texts[Path("docs") / f"{page}.md"] = reference(simplified(schema), introduction)
        texts[Path("docs") / f"{page}.schema.json"] = json.dumps(schema, indent=1, ensure_ascii=False) + "\n"
    found, modules = {}, []
    for config in studies("config.yaml"):  # each is used at once: Snakemake's next workflow takes its globals
        workflow = workflow_of(config)
        found |= {made.file: made for made in origins(workflow)}
        modules.append(outputs(workflow, config["study"]))
    ordered = sorted(found.values(), key=lambda made: Path(made.file).parent)
    texts[Path("docs") / "numbers.md"] = documentation()
    page = Path("docs/figures.md")
    texts[page] = put_between(
        page.read_text(encoding="utf-8"), "figures and tables", list_of_exhibits(ordered)
    )
    texts[Path("INTERFACE.yaml")] = module_interface(modules)
    return texts | released()


def main(arguments):
    """Write the documents, or say which are not current; return the exit code."""
    if arguments not in ([], ["--check"]):
        print(__doc__, file=sys.stderr)
        return 2
    texts = written()
    stale = [path for path, text in texts.items() if not path.is_file() or path.read_text("utf-8") != text]
    for path in stale:
        if arguments:
            print(f"{path}: not current; run `make docs` and commit what it changes.", file=sys.stderr)
        else:
            write_text(texts[path], path)
            print(f"{path}: written")
    return 1 if arguments and stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
