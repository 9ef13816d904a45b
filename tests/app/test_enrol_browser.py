"""Recording oneself in a real browser, whose camera is a video of the drawn face, by keyboard alone."""

import itertools

import cv2
import pytest

from tests.app.fakes import FakeChecker, FakeModels
from tests.conftest import shared_root
from tfav.speech.enrolment import Enrolment, Slot
from tfav.speech.synthetic_speaker import speak

pytest.importorskip("gradio", reason="Gradio is not installed: pip install 'tfav[app]'")

from tests.app.test_browser import CHROMIUM, sync_api
from tfav.app.enrol_station import TakeChecker
from tfav.app.server import running

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium here: apt-get install chromium")

_TIMEOUT_MS = 120_000
_DETECTOR = shared_root() / "weights/face_detection_yunet_2023mar.onnx"
PROMPTS = [
    "Guten Morgen!",
    " ".join(["a sentence that takes much longer to say than this take will last"] * 2),
    "Gute Nacht!",
]


@pytest.fixture(scope="module")
def camera(tmp_path_factory):
    """Three seconds of the drawn face that speaks, which the camera shows over and over."""
    path = tmp_path_factory.mktemp("camera") / "face.mjpeg"
    with path.open("wb") as file:
        for frame in itertools.islice(speak("bin blue at f two now please"), 75):
            frame = cv2.resize(frame, (640, 512))[16:496, :, ::-1]
            file.write(cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, 92])[1].tobytes())
    return path


@pytest.fixture(scope="module")
def browser(camera):
    with sync_api.sync_playwright() as playwright:
        fake = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
        args = ["--no-sandbox", "--disable-gpu", *fake, f"--use-file-for-fake-video-capture={camera}"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=args)
        yield browser
        browser.close()


@pytest.fixture
def enrolment(tmp_path):
    (tmp_path / "prompts.txt").write_text("\n".join(PROMPTS), encoding="utf-8")
    return Enrolment(tmp_path / "out", "ana", tmp_path / "prompts.txt")


@pytest.fixture
def visit(browser, enrolment, monkeypatch):
    """A function that opens the page; where there is no face detector, the length of the prompt alone decides."""
    make_checker = FakeChecker
    if _DETECTOR.exists():
        monkeypatch.setenv("TFAV_FACE_DETECTOR", str(_DETECTOR))
        make_checker = TakeChecker
    context = browser.new_context(viewport={"width": 1000, "height": 1000})
    context.set_default_timeout(_TIMEOUT_MS)
    errors = []
    with running({}, port=0, make_models=FakeModels, enrolment=enrolment, make_checker=make_checker) as address:

        def visit(path="", script=""):
            page = context.new_page()
            page.on("pageerror", lambda error: errors.append(str(error)))
            page.add_init_script(script)
            response = page.goto(f"{address}{path}")
            assert "camera=(self), microphone=(self)" in response.headers["permissions-policy"]
            return page

        yield visit
        context.close()
    assert errors == []


def press(page, inside, step):
    """Presses Enter on the one large button, which keeps the focus, and waits for what it says then."""
    assert inside.locator("#main").evaluate("button => button === document.activeElement")
    page.keyboard.press("Enter")
    inside.locator(f"#main:has-text('{step}')").wait_for()


def record(page, inside, sec=2.2):
    press(page, inside, "Cancel")
    assert inside.locator("#cue").inner_text() in "321"
    inside.locator("#cue:has-text('Speak now')").wait_for()
    shown = (
        inside.locator("#preview")
        .evaluate_handle("video => video.getVideoPlaybackQuality()")
        .evaluate("q => q.totalVideoFrames")
    )
    page.wait_for_timeout(1000 * sec)
    for _ in range(100):  # a busy machine shows fewer pictures
        now = inside.locator("#preview").evaluate("video => video.getVideoPlaybackQuality().totalVideoFrames")
        if now - shown >= 15 * sec:
            break
        page.wait_for_timeout(100)
    page.keyboard.press("Enter")


def test_from_the_first_prompt_to_the_last_by_keyboard(visit, enrolment):
    page = visit()
    inside = page.frame_locator("#enrol")
    inside.locator("text=0 of 3 takes of ana are recorded.").wait_for()
    assert inside.locator("#prompt").inner_text() == PROMPTS[0]
    inside.locator("#main").focus()
    press(page, inside, "Record")
    record(page, inside)
    inside.locator("#status >> text=Good, the take is kept.").wait_for()
    inside.locator("text=1 of 3 takes").wait_for()
    assert [path.name for path in enrolment.filed().values()] == ["0001_take1.webm"]
    assert inside.locator("#prompt").inner_text() == PROMPTS[1]
    if _DETECTOR.exists():
        record(page, inside, 1.0)
        inside.locator("#status >> text=too short for this sentence").wait_for()
        assert inside.locator("#status").inner_text().startswith("Please say it again:")
        assert len(enrolment.filed()) == 1 and inside.locator("#prompt").inner_text() == PROMPTS[1]
    inside.get_by_role("button", name="Skip this sentence").press("Enter")
    inside.locator(f"#prompt:has-text('{PROMPTS[2]}')").wait_for()
    record(page, inside)
    inside.locator("text=2 of 3 takes").wait_for()
    inside.get_by_role("button", name="Say the last one again").press("Enter")
    inside.locator(f"#prompt:has-text('{PROMPTS[2]}')").wait_for()
    assert inside.locator("#main").evaluate("button => button === document.activeElement")


def test_a_page_loaded_anew_in_mid_take_loses_nothing(visit, enrolment):
    page = visit("enrol/")
    page.focus("#main")
    press(page, page, "Record")
    record(page, page)
    page.wait_for_function("fetch('state').then(a => a.json()).then(s => s.checking || s.done)")
    page.wait_for_timeout(300)  # of the recording's way to the server
    page.reload()
    page.wait_for_selector("text=1 of 3 takes")  # the take of the page that was left
    page.focus("#main")
    press(page, page, "Record")
    page.keyboard.press("Enter")
    page.wait_for_selector("#cue:has-text('Speak now')")
    page.reload()
    page.wait_for_selector("text=1 of 3 takes")
    assert page.inner_text("#prompt") == PROMPTS[1] and page.inner_text("#main") == "Turn on the camera"
    assert list(enrolment.filed()) == [Slot(1, 1)]


REFUSE = """navigator.mediaDevices.getUserMedia = ((ask) => (wanted) => (%s)
    ? Promise.reject(new DOMException("no", "%s")) : ask(wanted))(
    navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices))"""


LACKS = (
    (REFUSE % ("true", "NotFoundError"), "No camera was found. Connect one, then try again.", "Turn on the camera"),
    (REFUSE % ("true", "NotAllowedError"), "The browser was not permitted to use the camera.", "Turn on the camera"),
    (REFUSE % ("true", "NotReadableError"), "The camera is used by another program.", "Turn on the camera"),
    (REFUSE % ("wanted.audio", "NotFoundError"), "No microphone was found. Takes are kept without sound.", "Record"),
    (REFUSE % ("wanted.audio", "NotAllowedError"), "The microphone was not permitted. Takes are", "Record"),
    ("Object.defineProperty(navigator, 'mediaDevices', {value: undefined})", "This browser gives no camera", "Turn on"),
)


def test_what_lacks_is_one_line(visit):
    for script, line, then in LACKS:
        page = visit("enrol/", script)
        page.wait_for_selector("text=0 of 3")
        page.click("#main")
        page.wait_for_selector(f"#status >> text={line}")
        assert page.inner_text("#main").startswith(then)
        page.close()


def test_the_server_gone_keeps_the_take_in_the_page(visit, enrolment):
    page = visit("enrol/")
    page.focus("#main")
    press(page, page, "Record")
    page.route("**/takes/**", lambda route: route.abort())
    record(page, page, 1.5)
    page.wait_for_selector("#status >> text=The take could not be sent")
    page.unroute("**/takes/**")
    press(page, page, "Record")  # by way of "Send it again"
    page.wait_for_selector("text=1 of 3 takes")
    assert list(enrolment.filed()) == [Slot(1, 1)]


def test_names_and_live_regions_for_screen_readers(visit):
    page = visit("enrol/")
    page.wait_for_selector("text=0 of 3")
    assert page.get_attribute("html", "lang") == "en" and page.locator("h1").count() == 1
    assert (
        page.get_attribute("#prompt", "aria-live") == "polite"
        and page.get_attribute("#cue", "aria-live") == "assertive"
    )
    assert page.get_attribute("#status", "role") == "status" and page.get_attribute("#preview", "aria-label")
    assert page.get_by_role("progressbar", name="0 of 3 takes of ana are recorded.").count() == 1
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "main"
