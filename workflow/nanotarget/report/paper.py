"""What a paper shows: every figure and table of a study, for a skeleton that compiles."""

from __future__ import annotations

from collections.abc import Iterable

from nanotarget.report.catalogue import Exhibit, Kind
from nanotarget.report.tables import latex

PAGE = 2  # figures a page


def parts(exhibits: Iterable[tuple[Exhibit, str]]) -> str:
    r"""Return LaTeX that shows figures and tables; it needs the macro \ntFigure of paper.tex.

    Args:
        exhibits: each with the sentence that stands in its place, empty if it has something to show. The
            files of a paper lie beside the folders `figures` and `tables`.
    """
    shown = list(exhibits)
    figures = [(exhibit, sentence) for exhibit, sentence in shown if exhibit.kind is Kind.FIGURE]
    tables = [exhibit for exhibit, _ in shown if exhibit.kind is Kind.TABLE]
    lines = ["% Every figure and table of the study, made by the workflow: do not edit."]
    if figures:
        lines += [r"\clearpage", r"\section*{Figures}"]
        lines += [rf"{latex(sentence)}\par" for sentence in dict.fromkeys(s for _, s in figures) if sentence]
    for i, exhibit in enumerate(exhibit for exhibit, sentence in figures if not sentence):
        lines += [
            r"\begin{figure}[htbp]",
            r"\centering",
            rf"\ntFigure{{figures/{exhibit.name}.pdf}}",
            rf"\caption{{{latex(exhibit.caption)}}}\label{{fig:{exhibit.name}}}",
            r"\end{figure}",
            *([r"\clearpage"] if (i + 1) % PAGE == 0 else []),
        ]
    if tables:
        lines += [r"\clearpage", r"\section*{Tables}"]
    return "\n".join([*lines, *(rf"\input{{tables/{exhibit.name}.tex}}" for exhibit in tables), ""])
