"""The report in a real browser: quiet, offline, within the screen, accessible, sortable, printable."""

from __future__ import annotations

import dataclasses
import shutil
from importlib import resources
from pathlib import Path

import pandas as pd
import pytest
import test_report as made
from playwright.sync_api import sync_playwright

import report_tables as fake
from nanotarget.report import page as report
from nanotarget.report import theme
from nanotarget.report.page import Picture, Sheet
from nanotarget.report.tables import as_page

BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
WIDTHS = (390, 1280)
SHEET = 688  # CSS pixels between the margins of A4
SCHEMES = ("light", "dark")
PAGES = ("report", "answer")
ALONE = (*PAGES, "table")  # whatever is opened by itself


@pytest.fixture(scope="module")
def pages(project, tmp_path_factory) -> dict[str, Path]:
    """The report and the answer with everything that a study can have, and real figures."""
    folder = tmp_path_factory.mktemp("pages")
    drawn = fake.drawn(fake.drawable(), made.NAMES)
    pictures = {
        name: Picture(
            theme.svg(figure.figure),
            figure.description,
            f"Caption of {name}",
            made.artefacts.csv_text(figure.data),
            made.origin(name, "figures"),
        )
        for name, figure in drawn.items()
    }
    templates = made.read_templates(project)
    contents = made.contents()
    exhibits = [
        (exhibit, pictures[exhibit.name] if isinstance(item, Picture) else item)
        for exhibit, item in contents.exhibits
    ]
    contents = dataclasses.replace(contents, exhibits=exhibits)
    texts = {
        "report": report.render(templates, made.STUDY, contents, made.PACKAGES),
        "answer": report.render_answer(
            templates, fake.NASTY, fake.verdict(), fake.petition(), {"diagnostics": fake.diagnostics()}
        ),
        "table": as_page(next(item.table for _, item in exhibits if isinstance(item, Sheet))),
    }
    for name, text in texts.items():
        (folder / f"{name}.html").write_text(text, "utf-8")
    return {name: folder / f"{name}.html" for name in texts}


@pytest.fixture(scope="session")
def browser():
    """One headless Chromium of this machine for all tests."""
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip("no Chromium on the PATH; on Debian: apt-get install chromium-headless-shell")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path)
        yield started
        started.close()


@pytest.fixture
def visit(browser):
    """Give a function that opens a file in a page of its own, `width` CSS pixels wide, light or dark."""
    contexts = []

    def visit(file: Path, width: int = 1280, scheme: str = "light", script: bool = True):
        context = browser.new_context(
            viewport={"width": width, "height": 900},
            is_mobile=width < 600,
            color_scheme=scheme,
            java_script_enabled=script,
        )
        context.set_default_timeout(120_000)  # milliseconds, for a machine that is busy with other tests
        contexts.append(context)
        page = context.new_page()
        page.goto(file.resolve().as_uri())
        return page

    yield visit
    for context in contexts:
        context.close()


def complaints(page) -> list[str]:
    """What the console was told in earnest: errors, warnings, exceptions."""
    told = [said.text for said in page.console_messages() if said.type in ("error", "warning")]
    return told + [str(error) for error in page.page_errors()]


UNFOLD = "document.querySelectorAll('details').forEach(details => details.open = true)"


@pytest.mark.parametrize("name", ALONE)
def test_the_console_is_quiet_and_nothing_is_asked_of_the_network(visit, pages, name):
    page = visit(pages[name])
    page.evaluate(UNFOLD)
    assert page.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
    asked = [request.url for request in page.requests() if not request.url.startswith("data:")]
    assert complaints(page) == [] and asked == [pages[name].as_uri()]


@pytest.mark.parametrize("name", ALONE)
def test_what_a_page_must_not_do_would_be_noticed(visit, pages, tmp_path, name):
    """The checks of this file can fail: a page with a stranger's script, style and image is found out."""
    bad = pages[name].read_text("utf-8").replace(
        "</body>",
        '<img src="http://localhost:9/x.png"><script>console.error("ran")</script>'
        '<p style="width: 900px">wide</p></body>',
    )  # fmt: skip
    (tmp_path / "bad.html").write_text(bad, "utf-8")
    page = visit(tmp_path / "bad.html")
    told = " ".join(complaints(page))
    assert told.count("Content Security Policy") >= 3  # script, style and image were refused
    assert "ran" not in told.split()


CLIPPED = """[...document.querySelectorAll(".picture, .strip, .stages li, dl, blockquote")].filter(box => {
    const inner = box.querySelector("img")?.getBoundingClientRect() ?? box.getBoundingClientRect();
    const frame = box.parentElement.getBoundingClientRect();
    return box.getBoundingClientRect().width > 0
        && (inner.right > frame.right + 1 || box.scrollWidth > box.clientWidth + 1);
}).map(box => box.outerHTML.slice(0, 80))"""


def test_on_a_phone_the_estimate_is_in_sight(visit, pages):
    """Of tables with up to three columns before it, without scrolling."""
    page = visit(pages["report"], 390)
    found = page.evaluate(
        """() => {
        document.querySelectorAll("details").forEach(part => { part.open = true; });
        return [...document.querySelectorAll(".table")].flatMap(box => {
            const heads = [...box.querySelectorAll("thead th")].map(head => head.textContent.trim());
            const place = heads.findIndex(head => head.startsWith("Estimate"));
            if (place < 0 || place > 3) return [];
            const cells = [...box.querySelectorAll("tbody tr:not(.group)")].map(row => row.cells[place]);
            const right = Math.max(...cells.map(cell => cell.getBoundingClientRect().right));
            return [[box.getAttribute("aria-label"), right - box.getBoundingClientRect().right]];
        });
        }"""
    )
    assert len(found) > 5
    assert {label: over for label, over in found if over > 1} == {}


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("width", WIDTHS)
def test_the_page_never_scrolls_sideways(visit, pages, name, width):
    page = visit(pages[name], width)
    page.evaluate(UNFOLD)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    # What is wider than the screen scrolls in a box of its own that the keyboard reaches.
    beyond = page.evaluate(
        """[...document.querySelectorAll("main *, header *")].filter(element => {
            const box = element.getBoundingClientRect();
            return box.width > 1 && box.right > innerWidth + 1
                && !element.closest("[tabindex='0'], .skip");
        }).map(element => element.outerHTML.slice(0, 80))"""
    )
    assert beyond == []
    # No figure and no answer loses its right side, neither here nor on paper.
    assert page.evaluate(CLIPPED) == []
    page.emulate_media(media="print")
    assert page.evaluate(CLIPPED) == []


def test_wide_tables_do_scroll_on_a_phone_in_a_box_with_a_name(visit, pages):
    page = visit(pages["report"], 390)
    page.evaluate(UNFOLD)
    boxes = page.evaluate(
        """[...document.querySelectorAll(".table")]
            .filter(box => box.scrollWidth > box.clientWidth)
            .map(box => [box.tabIndex, getComputedStyle(box).overflowX, box.ariaLabel])"""
    )
    assert len(boxes) > 10
    assert all(index == 0 and overflow == "auto" and label for index, overflow, label in boxes)


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_axe_finds_nothing_wrong(visit, pages, name, scheme):
    """All rules of axe-core, with everything unfolded; of a dark page only the contrast, which differs."""
    package = pytest.importorskip(
        "axe_core_python", reason="axe-core is a development requirement: `make test`"
    )
    axe = resources.files(package).joinpath("axe.min.js").read_text("utf-8")
    page = visit(pages[name], 1280, scheme)
    page.evaluate(UNFOLD)
    page.evaluate(axe + "; 0")
    rules = "{}" if scheme == "light" else "{runOnly: ['color-contrast']}"
    found = page.evaluate(f"axe.run({rules}).then(({{violations, passes}}) => ({{violations, passes}}))")
    said = [
        (rule["id"], rule["impact"], node["html"][:120])
        for rule in found["violations"]
        for node in rule["nodes"]
    ]
    assert said == []
    passed = {rule["id"] for rule in found["passes"]}
    assert "color-contrast" in passed
    assert scheme == "dark" or {"heading-order", "region", "html-has-lang"} <= passed
    assert scheme == "dark" or ("image-alt" in passed) == (name == "report")


CONTRAST = """(() => {
    const channels = text => text.match(/[\\d.]+/g).map(Number);
    const light = text => {
        const [r, g, b] = channels(text).map(c => c / 255)
            .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const ground = element => {
        const colour = getComputedStyle(element).backgroundColor;
        const opaque = (channels(colour)[3] ?? 1) > 0;
        return opaque || !element.parentElement ? colour : ground(element.parentElement);
    };
    return [...document.querySelectorAll("body *")]
        .filter(element => [...element.childNodes].some(node => node.nodeType === 3 && node.data.trim()))
        .filter(element => !["SCRIPT", "STYLE"].includes(element.tagName))
        .map(element => {
            const [a, b] = [light(getComputedStyle(element).color), light(ground(element))];
            return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        });
})()"""


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_text_stands_out_from_its_ground(visit, pages, name, scheme):
    page = visit(pages[name], 1280, scheme)
    page.evaluate(UNFOLD)
    ratios = page.evaluate(CONTRAST)
    assert len(ratios) > 20 and min(ratios) >= 4.5  # WCAG 2.2, AA
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(255, 255, 255)") == (scheme == "light")


def test_figures_are_dark_on_a_dark_page_and_light_on_paper(visit, pages):
    page = visit(pages["report"], 1280, "dark")
    look = "getComputedStyle(document.querySelector('.picture img')).filter"
    assert "invert" in page.evaluate(look)
    page.emulate_media(media="print")
    assert page.evaluate(look) == "none"
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"


@pytest.mark.parametrize("name", PAGES)
def test_names_and_structure_are_there_for_those_who_do_not_see(visit, pages, name):
    page = visit(pages[name])
    page.evaluate(UNFOLD)
    assert page.evaluate("document.documentElement.lang") == "en"
    assert page.evaluate("document.title").strip() != ""
    assert [page.locator(tag).count() for tag in ("header", "main", "footer")] == [1, 1, 1]
    assert page.evaluate("[...document.images].every(image => image.alt.trim().length > 10)")
    assert page.evaluate(
        """[...document.querySelectorAll("table")].every(table => table.caption.textContent.trim()
            && [...table.querySelectorAll("th")].every(cell => cell.scope)
            && [...table.tHead.querySelectorAll("th")].every(cell => cell.textContent.trim()))"""
    )
    assert page.evaluate(
        """[...document.querySelectorAll("a, button, summary")].every(item => item.textContent.trim())"""
    )
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map(element => element.id)")
    assert len(set(ids)) == len(ids)
    names = page.evaluate("[...document.querySelectorAll('.table, .picture')].map(box => box.ariaLabel)")
    assert len(set(names)) == len(names)


def test_the_keyboard_skips_to_the_report_and_unfolds(visit, pages):
    page = visit(pages["report"])
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    assert page.evaluate("document.activeElement.getBoundingClientRect().left") >= 0
    page.keyboard.press("Enter")
    assert page.evaluate("location.hash") == "#report"
    page.evaluate("document.querySelector('details summary').focus()")
    page.keyboard.press("Enter")
    assert page.evaluate("document.querySelector('details').open")


def sorting(rows: list[list[str]], header: str, numeric: list[bool]) -> str:
    """A table of the report's form inside the page, put there before its script runs."""
    table = report.tables.Table(
        [
            report.tables.Column(f"c{k}", [row[k] for row in rows], numeric=numeric[k])
            for k in range(len(numeric))
        ],
        pd.DataFrame(),
        groups=["first"] * 4 + ["second"] * (len(rows) - 4),
        title=header,
    )
    return report.tables.as_html(table)


ROWS = [
    ["b10", "1,200"], ["a", "−3.5"], ["b9", "–"], ["C", "<0.001"], ["z", "2"], ["y", "∞"], ["x", "[−1, 0]"],
]  # fmt: skip


def test_a_table_sorts_within_its_groups_by_keyboard_and_tells_the_order(visit, pages, tmp_path):
    text = pages["report"].read_text("utf-8")
    changed = text.replace("</main>", sorting(ROWS, "To sort", [False, True]) + "</main>")
    file = tmp_path / "sorting.html"
    file.write_text(changed, "utf-8")
    table = "document.querySelector('[aria-label=\"To sort\"] table')"
    cells = f"[...{table}.querySelectorAll('tr:not(.group) td:first-child')].map(cell => cell.textContent)"
    state = f"[...{table}.tHead.rows[0].cells].map(cell => cell.getAttribute('aria-sort'))"
    original = [row[0] for row in ROWS]
    page = visit(file)
    assert page.evaluate(cells) == original and page.evaluate(state) == [None, None]
    page.evaluate(f"{table}.tHead.rows[0].cells[1].querySelector('button').focus()")
    page.keyboard.press("Enter")
    assert page.evaluate(cells) == ["a", "C", "b10", "b9", "x", "z", "y"]
    assert page.evaluate(state) == [None, "ascending"]
    page.keyboard.press(" ")
    assert page.evaluate(cells) == ["b10", "C", "a", "b9", "y", "z", "x"]
    assert page.evaluate(state) == [None, "descending"]
    page.keyboard.press("Enter")
    assert page.evaluate(cells) == original and page.evaluate(state) == [None, None]
    page.evaluate(f"{table}.tHead.rows[0].cells[0].querySelector('button').focus()")
    page.keyboard.press("Enter")
    assert page.evaluate(cells) == ["a", "b9", "b10", "C", "x", "y", "z"]
    assert page.evaluate(state) == ["ascending", None]
    heads = f"[...{table}.querySelectorAll('tr.group')].map(row => row.previousElementSibling)"
    assert page.evaluate(heads) == [None, None]


def test_the_page_works_without_script(visit, pages):
    page = visit(pages["report"], 390, script=False)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.evaluate("document.documentElement.scrollHeight") > 5000
    assert page.locator("button").count() == 0
    assert page.locator("details > summary").count() > 10


def test_on_paper_the_answer_is_one_page_and_the_report_keeps_folded_what_is_folded(visit, pages):
    sheets = {}
    for name in PAGES:
        page = visit(pages[name], SHEET)
        page.emulate_media(media="print")
        assert page.evaluate("document.documentElement.scrollWidth") <= SHEET
        assert page.evaluate("getComputedStyle(document.body).overflowWrap") == "break-word"
        cells = "[...document.querySelectorAll('td, th')].map(cell => getComputedStyle(cell).overflowWrap)"
        assert "anywhere" not in page.evaluate(cells)  # no number is broken
        assert not page.evaluate("[...document.querySelectorAll('details')].some(details => details.open)")
        sheets[name] = page.pdf(format="A4", prefer_css_page_size=True).count(b"/Type /Page\n")
    assert sheets["answer"] == 1 and sheets["report"] >= 5
