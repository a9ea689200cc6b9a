"""Compiling the paper: what is missing is named before LaTeX starts, and what it stumbles over is told."""

from __future__ import annotations

import os
import shutil

import pytest

from nanotarget.report import typeset
from nanotarget.study.problems import InputError

SHELL = shutil.which("sh")
SOURCE = r"""\documentclass{article}
\usepackage{iftex}
\ifPDFTeX
  \usepackage[T1]{fontenc}
  \IfFileExists{lmodern.sty}{\usepackage{lmodern}}{}
\else
  \usepackage{fontspec}
\fi
\usepackage{array,booktabs}
% \usepackage{comment}
\begin{document}%s\end{document}
"""


def test_the_packages_of_an_engine_are_those_that_it_cannot_do_without():
    assert typeset.packages(SOURCE, "pdflatex") == ["iftex", "fontenc", "array", "booktabs"]
    assert typeset.packages(SOURCE, "xelatex") == ["iftex", "fontspec", "array", "booktabs"]


def test_the_skeleton_loads_what_typeset_knows(project):
    source = (project / "workflow/nanotarget/report/templates/paper.tex.j2").read_text("utf-8")
    needed = ["geometry", "iftex", "fontenc", "textcomp", "array", "booktabs", "graphicx", "natbib"]
    assert typeset.packages(source, "pdflatex") == needed


def program(folder, name: str, script: str) -> None:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!{SHELL}\n{script}\n", "utf-8")
    path.chmod(0o755)


@pytest.fixture
def paper(tmp_path, monkeypatch):
    """A folder with a paper, and a computer that has nothing but what a test puts there."""
    (tmp_path / "paper.tex").write_text(SOURCE.replace("%s", "x"), "utf-8")
    (tmp_path / "references.bib").write_text("", "utf-8")
    monkeypatch.setitem(os.environ, "PATH", str(tmp_path / "bin"))
    return tmp_path


def test_without_an_engine_it_says_what_to_install(paper):
    with pytest.raises(InputError) as error:
        typeset.typeset(paper, paper / "out", "pdflatex")
    assert "no pdflatex and no bibtex" in error.value.message() and "LATEX=xelatex" in error.value.message()
    assert not (paper / "out").exists()


def test_without_a_package_it_names_it_and_how_to_get_it(paper):
    program(paper / "bin", "pdflatex", "exit 1")
    program(paper / "bin", "bibtex", "exit 1")
    program(paper / "bin", "kpsewhich", 'case "$1" in array.sty|booktabs.sty) exit 1;; esac')
    with pytest.raises(InputError) as error:
        typeset.typeset(paper, paper / "out", "pdflatex")
    said = error.value.message()
    assert "LaTeX lacks array, booktabs" in said and "tlmgr install tools booktabs" in said
    assert not (paper / "out").exists()


def test_what_latex_stumbles_over_is_told(paper):
    stop = "echo '! Undefined control sequence.' > out/paper.log; echo 'l.7 x' >> out/paper.log; exit 1"
    program(paper / "bin", "pdflatex", stop)
    program(paper / "bin", "bibtex", "exit 0")
    with pytest.raises(InputError) as error:
        typeset.typeset(paper, paper / "out", "pdflatex")
    assert "! Undefined control sequence. l.7 x" in error.value.message()
    assert "paper.log" in error.value.message() and "Traceback" not in error.value.message()
