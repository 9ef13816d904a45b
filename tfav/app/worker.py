"""The process in which videos are decoded and models run.

It is apart from the page, so that work can be ended in the middle, and a crash in a decoder or a lack of memory ends
one piece of work and not the server.
"""

import os
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from pathlib import Path

from tfav.errors import TfavError
from tfav.io.download import FetchError

_TELL_SEC = 0.1  # progress is told no more often than this


class Stopped(BaseException):
    """The work is not wanted any more. No `Exception`, so that nothing on the way takes it for an error of its own."""


class SystemModels:
    """Opens the systems' predictors and keeps them: `models(system, predictor_args)`, as `open_predictor` takes."""

    def __init__(self):
        self._opened: dict[str, Callable] = {}

    def prepare(self) -> None:
        """Starts TensorFlow, which takes seconds, before the first person waits for it."""
        from tfav.training.tf_startup import start_tensorflow

        start_tensorflow()

    def __call__(self, system: str, predictor_args: dict) -> Callable[..., dict]:
        """The predictor of a system."""
        from tfav.systems import load

        if system not in self._opened:
            self._opened[system] = load(system).open_predictor(**predictor_args)
        return self._opened[system]


def main(
    connection: Connection,
    make_models: Callable[[], SystemModels] = SystemModels,
    scratch: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> None:
    """Takes requests from a connection, one after the other, until it closes.

    A request is `(number, system, predictor_args, path, options)`. Answers are `(number, kind, content)`: any count of
    `"progress"` with `(share, what)`, and one of `"done"` with the row, `"refused"` with a line for a person,
    `"lacking"` with one for whoever runs the server, `"broken"` with a traceback, or `"stopped"`. A bare number stops
    the request of that number, while it is worked on.
    """
    os.environ.update(environment or {})
    if scratch is not None:
        os.environ["TMPDIR"] = tempfile.tempdir = str(scratch)
    os.setsid()  # a group of its own: what it starts ends with it, and Ctrl-C in a terminal reaches the server alone
    models = make_models()
    try:
        models.prepare()
        while True:
            request = connection.recv()
            if isinstance(request, tuple):  # else a stop that came too late
                _answer(connection, models, *request)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return  # the server is gone


def _answer(
    connection: Connection, models, number: int, system: str, predictor_args: dict, path: str, options: dict
) -> None:
    last = {"what": None, "time": 0.0}

    def progress(share: float, what: str) -> None:
        while connection.poll():
            if connection.recv() == number:
                raise Stopped
        now = time.monotonic()
        if what != last["what"] or now - last["time"] > _TELL_SEC:
            last.update(what=what, time=now)
            connection.send((number, "progress", (share, what)))

    try:
        progress(0.0, "Opening the model")
        predict = models(system, predictor_args)
        row = predict(path, progress=progress, **options)
        connection.send((number, "done", row))
    except FetchError as error:  # names folders of this machine, which are no visitor's business
        connection.send((number, "lacking", str(error)))
    except TfavError as error:
        connection.send((number, "refused", str(error)))
    except Stopped:
        connection.send((number, "stopped", None))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        raise
    except Exception:
        connection.send((number, "broken", traceback.format_exc()))
