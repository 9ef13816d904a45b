"""`python -m tests.app OUT SYSTEM=RUN... [--clip SYSTEM=FILE]`: pictures of the page's tabs for the README.

Each shows the tab's own example, or the clip named for it. Takes Chromium and Playwright. A system without a run and
without shipped weights is left out.
"""

import argparse
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from tests.app.test_browser import CHROMIUM, open_tab
from tfav.app.server import find_runs, running
from tfav.app.tabs import TABS

_TIMEOUT_MS = 1_800_000  # TensorFlow starts, on a machine that may be busy
_SIZES = {"": (1000, 900), "-phone": (390, 844)}
_SETTLE_MS = 5000
_COLORS = 255  # enough for a page; a third of the bytes


def main(out: str, run_dirs: list[str], clips: dict[str, str]) -> None:
    """Writes `SYSTEM.png` and `SYSTEM-phone.png` into a folder."""
    predictors = find_runs(run_dirs)
    with running(predictors, port=0) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        for suffix, (width, height) in _SIZES.items():
            page = browser.new_page(viewport={"width": width, "height": height}, device_scale_factor=1)
            page.set_default_timeout(_TIMEOUT_MS)
            page.goto(address)
            for tab in TABS:
                if tab.system in predictors:
                    _shoot(page, tab, clips.get(tab.system), Path(out) / f"{tab.system}{suffix}.png")
            page.close()
        browser.close()


def _shoot(page, tab, clip: str | None, path: Path) -> None:
    open_tab(page, tab.system)
    if clip:
        page.set_input_files(f"#{tab.system}-upload input[type=file]", clip)
    else:
        page.get_by_role("button", name=tab.example_label).locator("visible=true").click()
    page.wait_for_selector(f"#{tab.system}-status >> text=Ready")
    page.click(f"#{tab.system}-run")
    page.wait_for_selector(f"#{tab.system}-status .done, #{tab.system}-status .wrong")
    # All of it in sight: videos out of sight stand still, and show their controls.
    width, height = page.viewport_size["width"], page.evaluate("document.documentElement.scrollHeight")
    page.set_viewport_size({"width": width, "height": height})
    page.wait_for_timeout(_SETTLE_MS)
    # Somewhere in the middle there is more to see than on the first frame.
    page.wait_for_function(
        "(id) => [...document.querySelectorAll(`${id} video`)].every(({currentTime: now, duration: all}) => "
        "now > all / 2 && now < 0.8 * all)",
        arg=f"#{tab.system}-result",
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=path, full_page=True)
    page.set_viewport_size({"width": width, "height": min(height, 900)})
    with Image.open(path) as picture:
        picture = picture.convert("RGB")
    palette = picture.quantize(_COLORS, method=Image.Quantize.MAXCOVERAGE)
    small = picture.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG)
    small.save(path, optimize=True)
    print(f"{path}: {page.inner_text(f'#{tab.system}-status').strip()}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out")
    parser.add_argument("run_dirs", nargs="*", metavar="SYSTEM=RUN")
    parser.add_argument("--clip", nargs="*", default=[], metavar="SYSTEM=FILE")
    given = parser.parse_args()
    main(given.out, given.run_dirs, dict(clip.split("=", 1) for clip in given.clip))
