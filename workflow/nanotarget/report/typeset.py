"""Compiling the paper: what LaTeX must have, said before it fails, and what it stumbled over."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from nanotarget.study.problems import InputError, Problem

DEBIAN = "apt-get install texlive-latex-recommended texlive-latex-extra texlive-fonts-recommended"
# The bundles of TeX Live that hold a package of another name.
BUNDLES = {"array": "tools", "graphicx": "graphics", "fontenc": "latex", "textcomp": "latex"}
PASSES = 3  # the first finds what is cited, the others what is referred to


def packages(source: str, engine: str) -> list[str]:
    """Return the packages that a paper cannot do without, in its order.

    Args:
        source: of paper.tex.
        engine: as it is called, "pdflatex".
    """
    for_pdf, for_others = re.split(r"\\else\b", source.partition(r"\ifPDFTeX")[2].partition(r"\fi")[0])[:2]
    left_out = for_others if engine.startswith("pdf") else for_pdf
    lines = [re.sub(r"(?<!\\)%.*|\\IfFileExists\{.*", "", line) for line in source.splitlines()]
    names = re.findall(r"\\usepackage(?:\[[^]]*\])?\{([^}]*)\}", "\n".join(lines))
    found = [name for group in names for name in group.split(",")]
    return [name for name in dict.fromkeys(found) if f"{{{name}}}" not in left_out]


def typeset(folder: Path, output: Path, engine: str) -> Path:
    """Compile paper.tex of a study's results into another folder and return the PDF.

    Args:
        folder: results/<study>.
        output: where to write; made if it is not there.
        engine: pdflatex, xelatex or lualatex.

    Raises:
        InputError: an engine or a package is not there, or LaTeX stopped.
    """
    if lacking := [program for program in (engine, "bibtex") if not shutil.which(program)]:
        what = f"there is no {' and no '.join(lacking)} on this computer"
        remedy = (
            f"install TeX Live (Debian: {DEBIAN}), or name an engine that is there: make paper LATEX=xelatex"
        )
        raise InputError([_problem("programs", what, "a LaTeX engine and bibtex", remedy)])
    source = (folder / "paper.tex").read_text("utf-8")
    if absent := [name for name in packages(source, engine) if not _is_there(f"{name}.sty")]:
        bundles = dict.fromkeys(BUNDLES.get(name, name) for name in absent)
        remedy = f"Debian: {DEBIAN}; TeX Live: tlmgr install {' '.join(bundles)}"
        what = f"LaTeX lacks {', '.join(absent)}"
        raise InputError([_problem("packages", what, ", ".join(packages(source, engine)), remedy)])
    output.mkdir(parents=True, exist_ok=True)
    shutil.copy(folder / "references.bib", output)
    command = [engine, "-interaction=nonstopmode", "-halt-on-error", f"-output-directory={output.resolve()}"]
    for k in range(PASSES):
        _run([*command, "paper.tex"], folder, output / "paper.log")
        if not k:
            _run(["bibtex", "paper"], output, output / "paper.blg")
    return output / "paper.pdf"


def _is_there(file: str) -> bool:
    """Ask TeX for a file; where nobody can be asked, LaTeX itself will say."""
    asked = shutil.which("kpsewhich")
    return not asked or subprocess.run([asked, file], capture_output=True, check=False).returncode == 0


def _run(command: Sequence[str], folder: Path, log: Path) -> None:
    if subprocess.run(command, cwd=folder, capture_output=True, check=False).returncode == 0:
        return
    text = log.read_text("utf-8", errors="replace") if log.is_file() else ""
    stumbled = re.search(r"^!.*(?:\n.*){0,3}|^I couldn't.*", text, re.MULTILINE)
    said = " ".join(stumbled[0].split()) if stumbled else "it stopped"
    expected = "a paper that compiles"
    raise InputError([_problem(command[0], said, expected, f"correct what is named there; all is in {log}")])


def _problem(where: str, what: str, expected: str, remedy: str) -> Problem:
    return Problem("paper.tex", where, what, expected, remedy)
