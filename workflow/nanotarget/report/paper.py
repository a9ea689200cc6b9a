"""What a paper shows: every figure and table of a study, for a skeleton that compiles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nanotarget.report.tables import latex

PAGE = 2  # figures a page


def parts(figures: Mapping[str, str], tables: Sequence[str]) -> str:
    r"""Return LaTeX that shows figures and tables; it needs the macro \ntFigure of paper.tex.

    Args:
        figures: path of a PDF, relative to the paper -> caption.
        tables: paths of LaTeX tables, relative to the paper.
    """
    lines = ["% Every figure and table of the study, made by the workflow: do not edit."]
    if figures:
        lines += [r"\clearpage", r"\section*{Figures}"]
    for i, (path, caption) in enumerate(figures.items()):
        lines += [
            r"\begin{figure}[htbp]",
            r"\centering",
            rf"\ntFigure{{{path}}}",
            rf"\caption{{{latex(caption)}}}\label{{fig:{_stem(path)}}}",
            r"\end{figure}",
            *([r"\clearpage"] if (i + 1) % PAGE == 0 else []),
        ]
    if tables:
        lines += [r"\clearpage", r"\section*{Tables}"]
    lines += [rf"\input{{{path}}}" for path in tables]
    return "\n".join([*lines, ""])


def _stem(path: str) -> str:
    return path.rsplit("/", 1)[-1].removesuffix(".pdf")
