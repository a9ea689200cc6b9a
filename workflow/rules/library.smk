# Shared by all rule files. Which library files does a script depend on?
import re
from functools import cache
from pathlib import Path

WORKFLOW = Path(str(workflow.current_basedir)).parent


def asked(megabytes, minutes):
    """What a job asks of a cluster, each as (at the least, more for a megabyte of the raw survey).

    Twice and more of what was measured (docs/cluster.md), Snakemake around a job included. Raw data are there
    before anything is submitted; what a job reads may be made within its own group.
    """
    files = [
        config[sample]["file"]
        for sample in ("calibration", "experiment")
        if config[sample]
    ]
    raw = sum(os.path.getsize(file) for file in files if os.path.isfile(file)) / 1e6
    needs = {"mem_mb": megabytes, "runtime": minutes}
    return {name: round(least + more * raw) for name, (least, more) in needs.items()}


LIGHT = asked(megabytes=(1000, 30), minutes=(9, 0.2))
MEDIUM = asked(megabytes=(1500, 60), minutes=(20, 1))
LONG = asked(megabytes=(1500, 60), minutes=(60, 4))
TEMPLATES = WORKFLOW / "nanotarget" / "report" / "templates"


# Read as text: to parse all files took a third of every start of Snakemake.
IMPORT = re.compile(
    r"^ *from (nanotarget[\w.]*) import (\([^)]*\)|.*)", flags=re.MULTILINE
)


@cache  # every file is read once, however many rules need it
def imported(file):
    """Library files that a file imports itself."""
    files = set()
    for module, names in IMPORT.findall(file.read_text(encoding="utf-8")):
        base = WORKFLOW / module.replace(".", "/")
        candidates = [base.with_suffix(".py"), base / "__init__.py"]
        candidates += [
            (base / name).with_suffix(".py") for name in re.findall(r"\w+", names)
        ]
        files |= {candidate for candidate in candidates if candidate.is_file()}
    return files


def library(script, *modules):
    """Library files that a script imports, directly or not (paths relative to the project).

    Declared as inputs, because Snakemake does not notice a changed import by itself.
    `modules` are those that it imports by their names.
    """
    files = {
        WORKFLOW.joinpath(*module.split(".")).with_suffix(".py") for module in modules
    }
    todo = [WORKFLOW / "scripts" / script, *files]
    while todo:
        new = imported(todo.pop()) - files
        files |= new
        todo += new
    return sorted(os.path.relpath(file) for file in files)


def literal(value):
    """A text of the config, or a list of them, as a parameter.

    In a text itself Snakemake would take what stands in braces for a wildcard; in what a function returns
    it looks for none.
    """
    return lambda wildcards: value


def maker(made):
    """Which rule and script the pages name as those that made something."""
    script = os.path.basename(str(made.script))
    return {"rule": made.name, "script": f"workflow/scripts/{script}"}


def makers():
    """Rules so far that leave artefacts, in the order of the data flow; none of a workflow that uses this."""
    return [
        made
        for made in workflow.rules
        if made in workflow.modifier.rules
        and made.script
        and not any("temp" in file.flags for file in made.output)
    ]


# What the pages of HTML include.
PAGE_PARTS = [
    os.path.relpath(TEMPLATES / name)
    for name in (
        "style.css",
        "page.js",
        "head.html.j2",
        "banner.html.j2",
        "figure.html.j2",
        "verdict.html.j2",
    )
]
