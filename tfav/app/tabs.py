"""The page's tabs: each system's own words and controls, and how a result of its kind is shown."""

from collections.abc import Callable, Mapping

from tfav.app import rendering
from tfav.systems import SYSTEMS
from tfav.training import run_folder as runs
from tfav.training.system import Control, Tab

__all__ = ["TABS", "Control", "Tab", "predictor_args", "render"]

TABS = tuple(sorted((system.TAB for system in SYSTEMS.values()), key=lambda tab: tab.position))

# From the kind of a system's results to what makes HTML of a row.
_RENDERERS: dict[str, Callable[[Mapping, rendering.Link], str]] = {
    "classes": rendering.classes,
    "timeline": rendering.actions,
    "sentences": rendering.lips,
    "frames": rendering.frames,
    "words": rendering.words,
}


def render(tab: Tab, row: Mapping, link: rendering.Link) -> str:
    """A result as HTML."""
    return _RENDERERS[SYSTEMS[tab.system].kind](row, link)


def predictor_args(tab: Tab, run: str) -> dict:
    """From what `--run-dir SYSTEM=` was given to the arguments of the system's `open_predictor`.

    Raises:
        UsageError: Not a run, or one of another system.
    """
    if tab.where is not None:
        return tab.where(run)
    runs.load(run, tab.system)
    return {"run_dir": run}
