"""The page in a real browser: each tab, bad files, cancelling, a phone's width; and nothing leaves this machine.

With $TFAV_SCREENSHOTS set to a folder, pictures of the page go there.
"""

import os
import re
import shutil
import tempfile
import time
from pathlib import Path

import pytest

from tests.app.fakes import FakeModels
from tfav.app.tabs import TABS
from tfav.app.uploads import Limits
from tfav.systems import SYSTEMS

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium here: apt-get install chromium")
gradio = pytest.importorskip("gradio", reason="Gradio is not installed: pip install 'tfav[app]'")
sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")

_TIMEOUT_MS = 240_000  # on a busy machine; alone each step takes a second
_SAYS = {
    "lipnet": "bin blue",
    "av_words": "bin",
    "two_stream": "turn clockwise",
    "cnn_lstm": "turn clockwise",
    "next_frame": "frames more",
}
_README = Path(__file__).parents[2] / "tfav" / "app" / "README.md"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("page")


@pytest.fixture(scope="module")
def address(folder):
    """The page with made models; next_frame answers its own example with the weights that ship."""
    from tfav.app.server import running

    predictors = {system: {"run_dir": "pretrained"} for system in SYSTEMS}
    before, tempfile.tempdir = tempfile.tempdir, str(folder)
    try:
        with running(predictors, limits=Limits(), queue=2, port=0, make_models=FakeModels) as address:
            yield address
    finally:
        tempfile.tempdir = before
    assert list(folder.iterdir()) == []  # uploads and results went with the server


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        camera = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]  # a pattern that moves
        args = ["--no-sandbox", "--disable-gpu", *camera]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=args)
        yield browser
        browser.close()


@pytest.fixture
def visit(browser, address):
    """A function that opens the page as one more person; at the end nothing may have gone to another host."""
    contexts, strangers, errors = [], [], []

    def visit(width=1100, height=1000):
        context = browser.new_context(viewport={"width": width, "height": height})
        contexts.append(context)
        context.set_default_timeout(_TIMEOUT_MS)
        page = context.new_page()
        inside = (address, "data:", "blob:", address.replace("http", "ws"))
        page.on("request", lambda request: request.url.startswith(inside) or strangers.append(request.url))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(address)
        page.wait_for_selector("#lipnet-run")
        return page

    yield visit
    for context in contexts:
        context.close()
    assert strangers == [] and errors == []


def open_tab(page, system):
    title = next(tab.title for tab in TABS if tab.system == system)
    page.wait_for_selector("[role=tab]:visible")
    shown = page.get_by_role("tab", name=title).locator("visible=true")
    if shown.count() == 0:  # on a narrow screen the last ones are in a menu
        page.get_by_role("button", name="More tabs").click()
        shown = page.locator(".overflow-dropdown button", has_text=title)
    shown.click()
    page.wait_for_selector(f"#{system}-run", state="visible")


def upload(page, system, path, words="Ready"):
    page.set_input_files(f"#{system}-upload input[type=file]", str(path))
    page.wait_for_selector(f"#{system}-status >> text={words}")


def run(page, system, words="Done in"):
    page.click(f"#{system}-run")
    page.wait_for_selector(f"#{system}-status >> text={words}")


def status(page, system):
    return page.inner_text(f"#{system}-status").strip()


def shoot(page, name):
    if os.environ.get("TFAV_SCREENSHOTS"):
        page.wait_for_timeout(1500)
        page.screenshot(path=Path(os.environ["TFAV_SCREENSHOTS"]) / f"{name}.png", full_page=True)


def media_load(page, system):
    """Whether every picture and video of a result can be shown: addresses, headers and file types are right."""
    return page.wait_for_function(
        """(id) => [...document.querySelectorAll(`${id} img, ${id} video`)].every(
            (media) => media.tagName === 'IMG' ? media.naturalWidth > 0 : media.readyState > 0)""",
        arg=f"#{system}-result",
    )


def test_every_tab_shows_a_result(visit, clip):
    page = visit()
    for tab in TABS:
        open_tab(page, tab.system)
        upload(page, tab.system, clip)
        run(page, tab.system)
        assert _SAYS[tab.system] in page.inner_text(f"#{tab.system}-result")
        media_load(page, tab.system)
        assert "clip.mp4" not in page.inner_text(f"#{tab.system}-upload")  # the upload is gone, and looks it
        shoot(page, f"made-{tab.system}")
    open_tab(page, "lipnet")
    with page.expect_download() as download:
        page.click("text=Download subtitles (.srt)")
    assert "bin blue" in Path(download.value.path()).read_text(encoding="utf-8")
    assert download.value.suggested_filename == "speech.srt"


def test_a_recording_goes_the_way_of_an_upload(visit, folder):
    page = visit()
    page.get_by_role("button", name="Or record one").locator("visible=true").click()
    page.click("#lipnet-camera >> text=Click to Access Webcam")
    page.wait_for_function("document.querySelector('#lipnet-camera video').videoWidth == 640")
    page.click("#lipnet-camera >> text=Record")
    # By pictures shown, not by the clock: a busy machine may show and encode none for a second.
    shown = "document.querySelector('#lipnet-camera video').getVideoPlaybackQuality().totalVideoFrames"
    before = page.evaluate(shown)
    page.wait_for_timeout(2000)
    page.wait_for_function(f"{shown} > {before + 20}")
    page.click("#lipnet-camera >> text=Stop")
    page.wait_for_selector("#lipnet-status >> text=/Ready|sample/")
    assert re.search("Ready: [1-9]", status(page, "lipnet")), status(page, "lipnet")
    run(page, "lipnet")
    assert "bin blue" in page.inner_text("#lipnet-result")
    page.wait_for_selector("#lipnet-camera >> text=Click to Access Webcam")  # the recording is gone, and looks it
    assert not [path for path in folder.glob("*/served/*/*") if not path.parent.name.startswith("results-")]


def test_bad_files_are_told_as_the_readme_says_and_the_page_goes_on(visit, clip, bad_files, tmp_path):
    page = visit()
    files = {path.name: path for path in bad_files.values()}
    told = re.findall(r"^\| `(\S+)`[^|]*\| ([^|]+?) \|", _README.read_text(encoding="utf-8"), re.MULTILINE)
    assert {name for name, _ in told} >= {"empty.mp4", "two_gigabytes.mp4", "notes.mp4", "one.mp4", "hour.mp4"}
    for name, sentence in told:
        if name in files:
            page.set_input_files("#lipnet-upload input[type=file]", str(files[name]))
        else:
            upload(page, "lipnet", shutil.copyfile(clip, tmp_path / name))
            page.click("#lipnet-run")
        page.wait_for_selector(f"#lipnet-status .wrong >> text={sentence.split('.mp4')[0]}")
        assert status(page, "lipnet").endswith(sentence)
        shoot(page, f"bad-{name}")
    for name, words in (("refused", "no face was found"), ("broken", "log says what")):
        upload(page, "lipnet", shutil.copyfile(clip, tmp_path / f"{name}.mp4"))
        run(page, "lipnet", words)
    upload(page, "lipnet", clip)
    run(page, "lipnet")


def test_cancel_and_two_people_at_once(visit, clip, tmp_path):
    ann, bob = visit(), visit()
    slow = shutil.copyfile(clip, tmp_path / "slow.mp4")
    upload(ann, "lipnet", slow)
    upload(bob, "lipnet", clip)
    run(ann, "lipnet", "Working slowly")
    run(bob, "lipnet", "Waiting: 1 video comes first")
    shoot(ann, "working")
    ann.click("#lipnet-cancel")
    ann.wait_for_selector("#lipnet-status >> text=Cancelled")
    bob.wait_for_selector("#lipnet-status >> text=Done in")
    assert status(ann, "lipnet") == "Cancelled." and ann.inner_text("#lipnet-result").strip() == ""
    upload(ann, "lipnet", clip)
    run(ann, "lipnet")


def test_closing_the_tab_stops_the_work_and_deletes_the_files(visit, clip, tmp_path, folder):
    page = visit()
    open_tab(page, "cnn_lstm")
    upload(page, "cnn_lstm", shutil.copyfile(clip, tmp_path / "slow.mp4"))
    run(page, "cnn_lstm", "Working slowly")
    (jobs,) = folder.glob("*/jobs")
    assert any(jobs.iterdir())
    page.close()
    end = time.monotonic() + 60
    while any(jobs.iterdir()) or any(jobs.parent.glob("served/*")):  # nor an empty file that Gradio might leave
        assert time.monotonic() < end
        time.sleep(0.2)


def test_a_phone_shows_it_all(visit, clip):
    page = visit(390, 844)
    for system in ("lipnet", "next_frame"):
        open_tab(page, system)
        upload(page, system, clip)
        run(page, system)
        media_load(page, system)
        shoot(page, f"phone-{system}")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        sizes = page.evaluate(
            "(id) => [...document.querySelectorAll(`${id} .said, ${id} figcaption, ${id} a, ${id} td`)]"
            ".map((part) => parseFloat(getComputedStyle(part).fontSize))",
            f"#{system}-result",
        )
        assert sizes and min(sizes) >= 14


def test_keyboard_and_names_for_screen_readers(visit):
    page = visit()
    page.focus("#lipnet-run")
    page.keyboard.press("Enter")
    page.wait_for_selector("#lipnet-status >> text=Choose a video first")
    reached = set()
    page.evaluate("document.activeElement.blur()")
    for _ in range(20):
        page.keyboard.press("Tab")
        reached.add(
            page.evaluate(
                "(() => { const at = document.activeElement;"
                " return at.getAttribute('aria-label') || at.id || at.innerText || ''; })()"
            )
        )
    assert "lipnet-run" in reached and any("file" in name.lower() for name in reached)
    nameless = page.evaluate(
        """() => [...document.querySelectorAll('button, input, a, video, img')].filter((part) => part.offsetParent
            && !(part.getAttribute('aria-label') || part.innerText || part.alt || part.title
                 || (part.labels && part.labels.length))).map((part) => part.outerHTML.slice(0, 200))"""
    )
    assert nameless == []
    assert page.locator("#lipnet-status [aria-live=polite], #lipnet-status[aria-live=polite]").count() == 1
    assert page.get_attribute("html", "lang") == "en"


def test_an_example_goes_through_a_real_model(visit):
    page = visit()
    page.context.set_default_timeout(4 * _TIMEOUT_MS)  # TensorFlow starts
    open_tab(page, "next_frame")
    page.get_by_role("button", name="Use a made video").locator("visible=true").click()
    page.wait_for_selector("#next_frame-status >> text=Ready: 1.0 seconds, 64 x 64")
    run(page, "next_frame")
    media_load(page, "next_frame")
    assert "10 frames more" in page.inner_text("#next_frame-result")
    shoot(page, "next_frame")
