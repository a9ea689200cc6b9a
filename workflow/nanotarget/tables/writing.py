"""Tables as HTML and LaTeX (booktabs) with the same cells; every text from data is escaped.

Own writers of a few lines each: great-tables 1.1 loses a `*` that begins a LaTeX row, cannot wrap text there,
and fixes its colours.
"""

from __future__ import annotations

import html

from nanotarget.tables.parts import Column, Table


def as_html(table: Table) -> str:
    """Return the table as an HTML fragment: a labelled box that scrolls on its own when it is wide."""
    caption = html.escape(table.title)
    lines = [
        f'<div class="table" role="region" aria-label="{caption}" tabindex="0">',
        "<table>",
        f"<caption>{caption}</caption>",
        "<thead><tr>"
        + "".join(f'<th scope="col"{_class(c)}>{html.escape(c.label)}</th>' for c in table.columns)
        + "</tr></thead>",
    ]
    previous = None
    body: list[str] = []
    for i in range(len(table)):
        if table.groups and table.groups[i] != previous:
            previous = table.groups[i]
            heading = f'<th scope="rowgroup" colspan="{len(table.columns)}">{html.escape(previous)}</th>'
            body += ["</tbody>", f'<tbody><tr class="group">{heading}</tr>']
        cells = "".join(f"<td{_class(c)}>{html.escape(c.cells[i])}</td>" for c in table.columns)
        body.append(f"<tr>{cells}</tr>")
    lines += [*body[1:], "</tbody>"] if table.groups else ["<tbody>", *body, "</tbody>"]
    lines.append("</table>")
    lines += [f'<p class="note">{html.escape(note)}</p>' for note in table.notes]
    return "\n".join([*lines, "</div>", ""])


def _class(column: Column) -> str:
    kinds = [kind for kind in ("numeric", "wide") if getattr(column, kind)]
    return f' class="{" ".join(kinds)}"' if kinds else ""


STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.45 system-ui, sans-serif; margin: 1rem; }
.table { overflow-x: auto; }
table { border-collapse: collapse; border-top: 2px solid; border-bottom: 2px solid; }
caption { text-align: left; font-weight: 600; padding: .3rem 0; }
th, td { padding: .25rem .7rem .25rem 0; text-align: left; vertical-align: top; white-space: nowrap; }
thead th { border-bottom: 1px solid; vertical-align: bottom; }
.group th { padding-top: .6rem; white-space: normal; }
.numeric { text-align: right; font-variant-numeric: tabular-nums; }
.wide { white-space: normal; min-width: 12rem; overflow-wrap: anywhere; }
.note { font-size: .85rem; margin: .3rem 0; }
"""


def as_page(table: Table) -> str:
    """Return the table as an HTML page of its own."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(table.title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f"{as_html(table)}</body>\n</html>\n"
    )


LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "`": r"\textasciigrave{}",
    "−": r"$-$",
    "∞": r"$\infty$",
}


def latex(text: str) -> str:
    """Escape text for LaTeX (UTF-8; T1 fonts); line breaks and control characters become spaces."""
    clean = "".join(c if c.isprintable() else " " for c in text).strip()
    escaped = "".join(LATEX.get(c, c) for c in clean).replace("--", "-{}-")
    # After a line break LaTeX would read these two as arguments of the break.
    return f"{{}}{escaped}" if escaped.startswith(("[", "*")) else escaped


def as_latex(table: Table) -> str:
    """Return the table as a LaTeX longtable with booktabs rules."""
    wide = sum(column.wide for column in table.columns)
    share = 0.9 / max(wide, 1) if wide == len(table.columns) else min(0.6 / max(wide, 1), 0.4)
    kinds = [
        rf">{{\raggedright\arraybackslash}}p{{{share:.2f}\linewidth}}"
        if c.wide
        else "r"
        if c.numeric
        else "l"
        for c in table.columns
    ]
    count = len(table.columns)
    lines = [
        r"% needs \usepackage[T1]{fontenc} and the packages array, booktabs and longtable",
        r"\begingroup\footnotesize",
        rf"\begin{{longtable}}{{@{{}}{''.join(kinds)}@{{}}}}",
        rf"\caption{{{latex(table.title)}}}\\",
        r"\toprule",
        " & ".join(latex(c.label) for c in table.columns) + r" \\",
        r"\midrule",
        r"\endhead",
    ]
    previous = None
    for i in range(len(table)):
        if table.groups and table.groups[i] != previous:
            if previous is not None:
                lines.append(r"\addlinespace")
            previous = table.groups[i]
            heading = (
                rf"\multicolumn{{{count}}}{{@{{}}p{{0.95\linewidth}}@{{}}}}{{\textbf{{{latex(previous)}}}}}"
            )
            lines.append(heading + r" \\*")
        lines.append(" & ".join(latex(c.cells[i]) for c in table.columns) + r" \\")
    lines.append(r"\bottomrule")
    lines += [
        rf"\multicolumn{{{count}}}{{@{{}}p{{0.95\linewidth}}@{{}}}}{{{latex(note)}}} \\"
        for note in table.notes
    ]
    return "\n".join([*lines, r"\end{longtable}", r"\endgroup", ""])
