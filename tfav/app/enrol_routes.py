"""The addresses below /enrol/: the page on which a person records themself, its state, and the takes they send."""

from pathlib import Path
from urllib.parse import urlsplit

from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route, Router

from tfav.app.enrol_station import EnrolStation
from tfav.speech.enrolment import Slot

_PREFIX = "/enrol"
_FILES = {"": "enrol.html", "enrol.js": "enrol.js", "enrol.css": "enrol.css"}


class EnrolRoutes:
    """ASGI middleware: answers what is asked below /enrol/, and passes on everything else.

    Args:
        app: The rest of the page.
        station: Takes the recordings in.
    """

    def __init__(self, app, station: EnrolStation):
        self._app, self._station = app, station
        self._router = Router(
            [
                Route(_PREFIX, lambda request: RedirectResponse(f"{_PREFIX}/")),
                Route(f"{_PREFIX}/state", self._state),
                Route(f"{_PREFIX}/takes/{{number:int}}/{{take:int}}", self._take, methods=["POST"]),
                *(Route(f"{_PREFIX}/{name}", _answer_with(file)) for name, file in _FILES.items()),
            ]
        )

    @classmethod
    def as_middleware(cls, station: EnrolStation) -> Middleware:
        """For an application's list of them."""
        return Middleware(cls, station=station)

    async def __call__(self, scope, receive, send):
        """Answers, or passes on."""
        is_ours = scope["type"] == "http" and f"{scope['path']}/".startswith(f"{_PREFIX}/")
        await (self._router if is_ours else self._app)(scope, receive, send)

    async def _state(self, request: Request) -> Response:
        after = request.query_params.get("after", "").partition("-")
        skipped = Slot(int(after[0]), int(after[2])) if after[0].isdecimal() and after[2].isdecimal() else None
        return JSONResponse(self._station.state(skipped), headers={"cache-control": "no-store"})

    async def _take(self, request: Request) -> Response:
        origin = request.headers.get("origin")
        if origin and urlsplit(origin).netloc != request.headers.get("host"):
            return JSONResponse({"is_good": False, "lines": ["Sent by another page than this one."]}, 403)
        slot = Slot(request.path_params["number"], request.path_params["take"])
        try:
            verdict = await self._station.receive(slot, request.stream())
        except ClientDisconnect:  # the page was left before all of it was here
            return Response(status_code=400)
        content = {"is_good": verdict.is_good, "lines": verdict.lines, "state": self._station.state()}
        return JSONResponse(content, verdict.status)


def _answer_with(name: str):
    async def answer(request: Request) -> Response:
        # A browser that keeps an older script would talk to a newer server.
        return FileResponse(Path(__file__).with_name(name), headers={"cache-control": "no-cache"})

    return answer
