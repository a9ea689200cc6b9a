"""Tables as HTML and LaTeX (booktabs) with the same cells; every text from data is escaped.

Own writers of a few lines each: great-tables 1.1 loses a `*` that begins a LaTeX row, cannot wrap text there,
and fixes its colours.
"""

from __future__ import annotations

import html
import io
import unicodedata
import zipfile
from collections.abc import Iterator, Sequence

from nanotarget.report.policy import content_policy
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
        f'<meta http-equiv="Content-Security-Policy" content="{content_policy(STYLE)}">\n'
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
    widths, turned, size = _layout(table, LANDSCAPE)
    lines = [
        r"% needs \usepackage[T1]{fontenc} and the packages array, booktabs, longtable and pdflscape",
        *([r"\begin{landscape}"] if turned else []),
        rf"\begingroup\{size}\setlength{{\tabcolsep}}{{{GAP / 2}em}}",
        rf"\begin{{longtable}}{{{_columns(table, widths)}}}",
        rf"\caption{{{latex(table.title)}}}\label{{tab:{table.name}}}\\",
        *(head := _head(table)),
        r"\endfirsthead",
        *head,
        r"\endhead",
        *_body(table, widths),
        r"\bottomrule",
        *([r"\addlinespace[2pt]"] if table.notes else []),
        *(rf"{_across(table, widths)}{{{latex(note)}}} \\" for note in table.notes),
        r"\end{longtable}",
        r"\endgroup",
        *([r"\end{landscape}"] if turned else []),
    ]
    return "\n".join([*lines, ""])


def as_float(table: Table) -> str:
    """Return the table as a LaTeX float of an upright page, with its notes below it."""
    widths, _, size = _layout(table, PORTRAIT)
    width = max(sum(widths) + GAP * (len(widths) - 1), NOTES)
    lines = [
        r"% needs \usepackage[T1]{fontenc} and the packages array and booktabs",
        r"\begin{table}[htbp]",
        rf"\centering\{size}\setlength{{\tabcolsep}}{{{GAP / 2}em}}",
        rf"\caption{{{latex(table.title)}}}\label{{tab:{table.name}}}",
        rf"\begin{{tabular}}{{{_columns(table, widths)}}}",
        *_head(table),
        *_body(table, widths),
        r"\bottomrule",
        r"\end{tabular}",
        *([r"\par\smallskip", rf"\begin{{minipage}}{{{width:.1f}em}}"] if table.notes else []),
        *(rf"{latex(note)}\par" for note in table.notes),
        *([r"\end{minipage}"] if table.notes else []),
        r"\end{table}",
    ]
    return "\n".join([*lines, ""])


def _columns(table: Table, widths: Sequence[float]) -> str:
    """Return the specification of the columns: numbers end, texts begin at one line."""
    kinds = [
        rf">{{\raggedleft\arraybackslash}}p{{{width:.1f}em}}"
        if column.numeric
        else rf">{{\raggedright\arraybackslash}}p{{{width:.1f}em}}"
        for column, width in zip(table.columns, widths, strict=True)
    ]
    return f"@{{}}{''.join(kinds)}@{{}}"


def _head(table: Table) -> list[str]:
    return [r"\toprule", " & ".join(latex(c.label) for c in table.columns) + r" \\", r"\midrule"]


def _across(table: Table, widths: Sequence[float]) -> str:
    """Return the command of a cell that is as wide as the table."""
    count = len(table.columns)
    total = max(sum(widths) + GAP * (count - 1), NOTES)
    return rf"\multicolumn{{{count}}}{{@{{}}p{{{total:.1f}em}}@{{}}}}"


def _body(table: Table, widths: Sequence[float]) -> list[str]:
    """Return the rows, below the headings of their groups."""
    lines: list[str] = []
    previous = None
    for i in range(len(table)):
        if table.groups and table.groups[i] != previous:
            if previous is not None:
                lines.append(r"\addlinespace")
            previous = table.groups[i]
            lines.append(rf"{_across(table, widths)}{{\textbf{{{latex(previous)}}}}} \\*")
        lines.append(" & ".join(latex(c.cells[i]) for c in table.columns) + r" \\")
    return lines


def _layout(table: Table, most: float) -> tuple[list[float], bool, str]:
    """Return the widths of the columns in em, whether the page is turned, and the size of the font.

    Numbers and intervals are never broken; texts and headings are, between words.

    Args:
        table: what is to be laid out.
        most: room on the widest page that it may have, `PORTRAIT` or `LANDSCAPE`.
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
    room = PORTRAIT if sum(comfortable) + gaps <= PORTRAIT else most
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


# Word: a package of three files and a page of its own, whose bytes hang on nothing but the table.
DOCX = {
    "[Content_Types].xml": """<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">\
<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>\
<Override PartName="/word/document.xml" ContentType="application/vnd.openxmlformats-officedocument.\
wordprocessingml.document.main+xml"/></Types>""",
    "_rels/.rels": """<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">\
<Relationship Id="document" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/\
officeDocument" Target="word/document.xml"/></Relationships>""",
}
XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest day that a zip file can have
TEXT_WIDTH = 9026  # of an upright A4 page with margins of an inch, in twentieths of a point


def as_docx(table: Table) -> bytes:
    """Return the table as a Word document: three rules, a repeated head, notes below."""
    widths, _, _ = _layout(table, PORTRAIT)
    twips = [round(TEXT_WIDTH * width / sum(widths)) for width in widths]
    grid = "".join(f'<w:gridCol w:w="{width}"/>' for width in twips)
    document = (
        f'<w:document xmlns:w="{WORD}"><w:body>{_paragraph(table.title, bold=True)}'
        '<w:tbl><w:tblPr><w:tblW w:w="5000" w:type="pct"/><w:tblBorders>'
        '<w:top w:val="single" w:sz="8"/><w:bottom w:val="single" w:sz="8"/></w:tblBorders>'
        '<w:tblLayout w:type="fixed"/></w:tblPr>'
        f"<w:tblGrid>{grid}</w:tblGrid>"
        f"{''.join(_docx_rows(table))}</w:tbl>{''.join(map(_paragraph, table.notes))}"
        '<w:sectPr><w:pgSz w:w="11906" w:h="16838"/>'
        '<w:pgMar w:top="1440" w:right="1440" w:bottom="1440" w:left="1440" w:header="708" w:footer="708" '
        'w:gutter="0"/></w:sectPr></w:body></w:document>'
    )
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as package:
        for name, content in {**DOCX, "word/document.xml": document}.items():
            package.writestr(zipfile.ZipInfo(name, EPOCH), XML + content, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def _docx_rows(table: Table) -> Iterator[str]:
    head = "".join(_docx_cell(column.label, column, rule=True) for column in table.columns)
    yield f"<w:tr><w:trPr><w:tblHeader/></w:trPr>{head}</w:tr>"
    previous = None
    for i in range(len(table)):
        if table.groups and table.groups[i] != previous:
            previous = table.groups[i]
            across = f'<w:tcPr><w:gridSpan w:val="{len(table.columns)}"/></w:tcPr>'
            yield f"<w:tr><w:tc>{across}{_paragraph(previous, bold=True)}</w:tc></w:tr>"
        yield f"<w:tr>{''.join(_docx_cell(column.cells[i], column) for column in table.columns)}</w:tr>"


def _docx_cell(text: str, column: Column, *, rule: bool = False) -> str:
    border = '<w:tcPr><w:tcBorders><w:bottom w:val="single" w:sz="4"/></w:tcBorders></w:tcPr>' if rule else ""
    return f"<w:tc>{border}{_paragraph(text, right=column.numeric)}</w:tc>"


def _paragraph(text: str, *, bold: bool = False, right: bool = False) -> str:
    """Return a paragraph of small print; control characters, which XML forbids, become spaces."""
    clean = "".join(c if c.isprintable() else " " for c in text)
    side = '<w:jc w:val="right"/>' if right else ""
    look = f'{"<w:b/>" if bold else ""}<w:sz w:val="18"/>'
    return (
        f'<w:p><w:pPr><w:spacing w:before="20" w:after="20"/>{side}</w:pPr><w:r><w:rPr>{look}</w:rPr>'
        f'<w:t xml:space="preserve">{html.escape(clean, quote=False)}</w:t></w:r></w:p>'
    )
