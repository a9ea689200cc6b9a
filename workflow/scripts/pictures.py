"""Take the pictures in README.md from the results of the reference study: `make pictures`.

Usage: python workflow/scripts/pictures.py    writes docs/pictures/*.png (needs Chromium on the PATH)
"""

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

from nanotarget.study.artefacts import replacing

RESULTS = Path("results/climate_petition")
PICTURES = Path("docs/pictures")
BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
WIDTH, HEIGHT = 640, 860  # CSS pixels of the picture of the answer: verdict, petition to send, warnings


def take_pictures():
    """Photograph the beginning of the answer and the four questions; both bear the mark of simulated data."""
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    answer = RESULTS / "diagnose/answer.html"
    if path is None or not answer.is_file():
        sys.exit("make pictures needs Chromium on the PATH and the results of 'make'.")
    PICTURES.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path)
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.goto(answer.resolve().as_uri())
        with replacing(PICTURES / "answer.png") as temporary:
            page.screenshot(path=temporary, type="png")
        browser.close()
    with replacing(PICTURES / "funnel.png") as temporary:
        shutil.copyfile(RESULTS / "figures/funnel.png", temporary)


if __name__ == "__main__":
    take_pictures()
