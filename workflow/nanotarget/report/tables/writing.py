"""Tables as HTML and LaTeX (booktabs) with the same cells; every text from data is escaped.

Own writers of a few lines each: great-tables 1.1 loses a `*` that begins a LaTeX row, cannot wrap text there,
and fixes its colours.
"""

from __future__ import annotations

import html
import unicodedata

from nanotarget.report.tables.parts import Column, Table


def as_html(table: Table) -> str:
    """Return the table as an HTML fragment: a labelled box that scrolls on its own when it is wide."""
    caption = html.escape(table.title)
    lines = [
        f'<div class="table" role="group" aria-label="{caption}" tabindex="0">',
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
    "χ": r"$\chi$",
}


def latex(text: str) -> str:
    """Escape text for LaTeX (UTF-8; T1 fonts); line breaks and control characters become spaces."""
    clean = "".join(c if c.isprintable() else " " for c in text).strip()
    escaped = "".join(LATEX.get(c, c) for c in clean).replace("--", "-{}-")
    # After a line break LaTeX would read these two as arguments of the break.
    return f"{{}}{escaped}" if escaped.startswith(("[", "*")) else escaped


# Widths in em of the table's own font: room on an upright and a turned page of A4 or letter paper with
# usual margins, the gap between columns, an average character, and what a text fills comfortably.
PORTRAIT, LANDSCAPE, GAP, CHARACTER, COMFORTABLE = 50.0, 70.0, 0.6, 0.53, 15.0
SMALLER = 8 / 7  # times as many em of \scriptsize
NOTES = 36.0  # narrower than this, notes are hard to read


def as_latex(table: Table) -> str:
    """Return the table as a LaTeX longtable with booktabs rules; a wide one on a turned page."""
    widths, turned, size = _layout(table)
    kinds = [
        rf">{{\raggedleft\arraybackslash}}p{{{width:.1f}em}}"
        if column.numeric
        else rf">{{\raggedright\arraybackslash}}p{{{width:.1f}em}}"
        for column, width in zip(table.columns, widths, strict=True)
    ]
    count = len(table.columns)
    total = max(sum(widths) + GAP * (count - 1), NOTES)
    across = rf"\multicolumn{{{count}}}{{@{{}}p{{{total:.1f}em}}@{{}}}}"
    lines = [
        r"% needs \usepackage[T1]{fontenc} and the packages array, booktabs, longtable and pdflscape",
        *([r"\begin{landscape}"] if turned else []),
        rf"\begingroup\{size}\setlength{{\tabcolsep}}{{{GAP / 2}em}}",
        rf"\begin{{longtable}}{{@{{}}{''.join(kinds)}@{{}}}}",
        rf"\caption{{{latex(table.title)}}}\label{{tab:{table.name}}}\\",
        *(head := [r"\toprule", " & ".join(latex(c.label) for c in table.columns) + r" \\", r"\midrule"]),
        r"\endfirsthead",
        *head,
        r"\endhead",
    ]
    previous = None
    for i in range(len(table)):
        if table.groups and table.groups[i] != previous:
            if previous is not None:
                lines.append(r"\addlinespace")
            previous = table.groups[i]
            lines.append(rf"{across}{{\textbf{{{latex(previous)}}}}} \\*")
        lines.append(" & ".join(latex(c.cells[i]) for c in table.columns) + r" \\")
    lines += [r"\bottomrule", *([r"\addlinespace[2pt]"] if table.notes else [])]
    lines += [rf"{across}{{{latex(note)}}} \\" for note in table.notes]
    lines += [r"\end{longtable}", r"\endgroup", *([r"\end{landscape}"] if turned else []), ""]
    return "\n".join(lines)


def _layout(table: Table) -> tuple[list[float], bool, str]:
    """Return the widths of the columns in em, whether the page is turned, and the size of the font.

    Numbers and intervals are never broken; texts and headings are, between words.
    """
    least, natural = [], []
    for column in table.columns:
        heading = max(_width(column.label) / 3, *map(_width, column.label.split() or [""]))
        full = max([heading, *map(_width, column.cells)])
        words = [_width(word) for cell in column.cells for word in cell.split()]
        least.append(full if column.numeric else min(max([heading, *words]), COMFORTABLE))
        natural.append(full)
    gaps = GAP * (len(least) - 1)
    comfortable = [max(a, min(b, COMFORTABLE)) for a, b in zip(least, natural, strict=True)]
    room = PORTRAIT if sum(comfortable) + gaps <= PORTRAIT else LANDSCAPE
    turned, small = room == LANDSCAPE, sum(least) + gaps > room
    room *= SMALLER if small else 1
    spare, wish = room - gaps - sum(least), sum(natural) - sum(least)
    share = min(1.0, max(0.0, spare / wish)) if wish else 0.0
    widths = [a + share * (b - a) for a, b in zip(least, natural, strict=True)]
    return widths, turned, "scriptsize" if small else "footnotesize"


def _width(text: str) -> float:
    """Estimate the width of a text in em; capitals are wider, East Asian characters twice as wide."""
    wide = sum(unicodedata.east_asian_width(c) in "WF" for c in text)
    return CHARACTER * (len(text) + wide + 0.4 * sum(map(str.isupper, text))) + 0.1
