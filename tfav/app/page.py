"""The page, built by Gradio from the table of tabs; what happens behind it is in `controller`."""

import html
import shutil
import uuid
from pathlib import Path

import gradio as gr

from tfav.app import rendering
from tfav.app.controller import Controller
from tfav.app.tabs import Control, Tab
from tfav.io.listing import VIDEO_SUFFIXES

_CSS = Path(__file__).with_name("page.css")
# A screen reader reads out what changes in it; Gradio gives no other way to say so.
_SPEAK = "element.setAttribute('aria-live', 'polite'); element.setAttribute('role', 'status');"
# Told before a byte is sent: of a file that the server refuses Gradio says "Error" alone.
_TOO_LARGE = """() => {
    const look = (event) => {
        const files = event.type === 'drop' ? event.dataTransfer?.files : event.target?.files;
        const place = event.target?.closest?.('[id$="-upload"]');
        const file = place && files && files[0];
        if (!file || file.size <= LIMIT * 1e6) return;
        event.preventDefault();
        event.stopImmediatePropagation();
        if (event.type === 'change') event.target.value = '';
        const status = document.querySelector(`#${place.id.replace(/-upload$/, '-status')} .status`);
        status.className = 'status wrong';
        status.setAttribute('role', 'alert');
        const size = `${Math.round(file.size / 1e6)} MB, and the limit is LIMIT MB`;
        status.querySelector('p').textContent = `${file.name}: ${size}. Cut or shrink it.`;
    };
    for (const kind of ['change', 'drop']) window.addEventListener(kind, look, true);
}"""
_ACCEPTED = ["video", *sorted(VIDEO_SUFFIXES)]  # with "video", a phone offers its camera
# Enough for every system. Gradio asks for 1920 x 1440, which browsers on slow machines cannot encode as it comes.
_CAMERA = {"video": {"width": {"ideal": 640}, "height": {"ideal": 480}}}
_PALE = ("body_text_color_subdued", "block_info_text_color", "block_label_text_color", "block_title_text_color")
# A page of its own: what Gradio offers for cameras neither counts down nor goes on to the next sentence.
_ENROL = '<iframe id="enrol" src="enrol/" title="Record yourself" allow="camera; microphone"></iframe>'
_PRIVACY = "The file is deleted as soon as the work on it has ended, results when you leave the page."


def build_page(controller: Controller, tabs: tuple[Tab, ...], examples: Path, *, enrols: bool = False) -> gr.Blocks:
    """Builds the page.

    Args:
        controller: Does the work.
        tabs: What to show, in this order; those of `controller.predictors` can be used, others say how.
        examples: A folder for example videos.
        enrols: Whether a person can record themself, on a page of its own below `enrol/`.

    Returns:
        The page, to be launched with the arguments of `look`.
    """
    with gr.Blocks(title="tfav", analytics_enabled=False) as page:
        gr.HTML(
            "<h1>tfav: what a video says</h1>"
            f"<p>Give it a video {html.escape(controller.limits.describe())} long. {html.escape(_PRIVACY)}</p>"
        )
        with gr.Tabs():
            if enrols:
                with gr.Tab("Enrol", id="enrol"):
                    gr.HTML(_ENROL)
            for tab in tabs:
                with gr.Tab(tab.title, id=tab.system):
                    if tab.system in controller.predictors:
                        _fill(controller, tab, examples)
                    else:
                        _explain(tab)
        page.load(None, js=_TOO_LARGE.replace("LIMIT", f"{controller.limits.max_mb:g}"), api_visibility="private")
        page.unload(_Leaving(controller))
    return page


def look() -> dict:
    """Arguments of `launch` that say what the page looks like: fonts of the system, none from the network."""
    theme = gr.themes.Default(primary_hue="blue", font=["system-ui", "sans-serif"], font_mono=["monospace"])
    # Gradio's greys and its button are too pale to read for many (less than 4.5 to 1).
    text = {name: "*neutral_600" for name in _PALE} | {f"{name}_dark": "*neutral_300" for name in _PALE}
    theme.set(button_primary_background_fill="*primary_700", button_primary_background_fill_dark="*primary_700", **text)
    return {"theme": theme, "css": _CSS.read_text(encoding="utf-8")}


class _Leaving:
    """Called when a tab of the browser is closed."""

    __name__ = "leave"

    def __init__(self, controller: Controller):
        self._controller = controller

    def __call__(self, request: gr.Request) -> None:
        self._controller.leave(request.session_hash or "")


def _explain(tab: Tab) -> None:
    gr.HTML(
        f'<div class="missing"><p>{html.escape(tab.intro)}</p><p>There is no trained run for this yet. Make one: '
        f"<code>{html.escape(tab.make_run)}</code>. Then start the page with "
        f"<code>tfav serve --run-dir {tab.system}=RUN</code>.</p></div>"
    )


def _fill(controller: Controller, tab: Tab, examples: Path) -> None:
    gr.HTML(f"<p>{html.escape(tab.intro)}</p>")
    with gr.Row():
        with gr.Column(min_width=280):
            upload = gr.File(label="Your video", file_types=_ACCEPTED, height=160, elem_id=f"{tab.system}-upload")
            # Gradio's own makes an empty temporary file of each upload, and leaves it behind. An update of the
            # component (`gr.skip()` is one) would bring it back: what is put out below are plain values.
            upload.preprocess = lambda payload: payload.path if payload else None
            with gr.Accordion("Or record one with the camera", open=False):
                camera = gr.Video(
                    label="Camera",
                    sources=["webcam"],
                    webcam_options=gr.WebcamOptions(mirror=False, constraints=_CAMERA),
                    include_audio=True,
                    elem_id=f"{tab.system}-camera",
                )
            example = gr.Button(tab.example_label, size="md")
            controls = [
                gr.Number(
                    label=control.label,
                    info=control.info,
                    value=control.start,
                    minimum=control.low,
                    maximum=control.high,
                    precision=control.places,
                )
                for control in tab.controls
            ]
            with gr.Row(equal_height=True):
                run = gr.Button(tab.button, variant="primary", elem_id=f"{tab.system}-run")
                cancel = gr.Button("Cancel", interactive=False, elem_id=f"{tab.system}-cancel")
        with gr.Column(min_width=280):
            status = gr.HTML(
                rendering.status("idle", "Choose a video, or record one."),
                js_on_load=_SPEAK,
                elem_id=f"{tab.system}-status",
            )
            result = gr.HTML("", elem_classes=["result"], elem_id=f"{tab.system}-result")
    _connect(controller, tab, (upload, camera), controls, run, cancel, status, result)
    _offer(tab, examples, controller, example, upload, status)


def _connect(controller: Controller, tab: Tab, sources, controls, run, cancel, status, result) -> None:
    upload, camera = sources

    def receive(request: gr.Request, path):
        text, usable = controller.receive(request.session_hash or "", tab.system, path)
        return text, path if usable else None

    def clear(request: gr.Request):
        return controller.receive(request.session_hash or "", tab.system, None)[0]

    async def work(request: gr.Request, uploaded, recorded, *values):
        given = {control.name: _number(value, control) for control, value in zip(tab.controls, values, strict=True)}
        async for view in controller.work(request.session_hash or "", tab, uploaded or recorded, given):
            yield view.status, view.result, gr.Button(interactive=view.busy)

    def stop(request: gr.Request):
        return controller.cancel(request.session_hash or "", tab.system), gr.Button(interactive=False)

    # No progress of Gradio's own over the result: the status line tells it, in words. And no limit of its own either:
    # the queue has one.
    quiet = {"show_progress": "hidden", "api_visibility": "private", "concurrency_limit": None}
    upload.upload(receive, [upload], [status, upload], **quiet)
    camera.stop_recording(receive, [camera], [status, camera], **quiet)
    gr.on([upload.clear, camera.clear], clear, None, [status], **quiet)
    working = run.click(work, [upload, camera, *controls], [status, result, cancel], **quiet)
    working.then(lambda: (None, None), None, [upload, camera], **quiet)  # the upload is gone with the work
    cancel.click(stop, None, [status, cancel], queue=False, **quiet)


def _offer(tab: Tab, examples: Path, controller: Controller, button, upload, status) -> None:
    made = examples / f"{tab.system}.mp4"

    def give(request: gr.Request):
        if not made.exists():
            tab.write_example(made)
        # A name of its own, as an upload has: it is deleted like one.
        folder = controller.served / uuid.uuid4().hex
        folder.mkdir(mode=0o700)
        path = shutil.copyfile(made, folder / "example.mp4")
        text, _ = controller.receive(request.session_hash or "", tab.system, str(path))
        return str(path), text

    button.click(give, None, [upload, status], show_progress="hidden", api_visibility="private", concurrency_limit=None)


def _number(value, control: Control) -> float:
    """What a person left in a control: a number within its range, or its start."""
    if value is None:
        return control.start
    within = min(max(value, control.low), control.high)
    return round(within, control.places) if control.places else int(within)
