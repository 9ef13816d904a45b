"""Frames and flow of many videos as folders of JPEGs, in the layout that UCF101's published ones have.

    OUT/jpegs_256/VIDEO/frame000001.jpg         RGB, every frame
    OUT/tvl1_flow/u/VIDEO/frame000001.jpg       motion to the right from frame 1 to frame 2, grey
    OUT/tvl1_flow/v/VIDEO/frame000001.jpg       motion down
    OUT/manifests/VIDEO.json                    ours: source and settings, written last

Numbers start at 1; there is one flow picture fewer than frames. The names of the folders stay the same whatever size
and method were asked for; the manifest tells. Trees that were downloaded work without manifests.

VIDEO is the name of the video without its suffix. Of several with one name in different folders, as `square/clip1.mp4`
and `disk/clip1.mp4`, it is that of the folder and theirs, `square_clip1`; the manifest knows class and name of each.
The seconds of a stretch of a video stand behind its name, `clip1_3.200-4.700`.
"""

import collections
import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tfav.errors import DataError, MediaError, UsageError
from tfav.io.atomic_write import partial_folder, write_json
from tfav.io.frame_folders import list_frames
from tfav.io.images import shrink, write_picture
from tfav.io.listing import sharing_failures, source_identity, videos_to_extract
from tfav.io.optical_flow import FLOW_BOUND, METHODS, iter_flow, quantize_flow
from tfav.io.output_names import clip_name, short_name, video_name
from tfav.io.parallel import PrepareReport, Unit, run_units
from tfav.io.sampling import Span
from tfav.io.video import iter_frames
from tfav.ranges import check_number

FRAMES_DIR = "jpegs_256"
FLOW_DIR = "tvl1_flow"
MANIFESTS_DIR = "manifests"
_FORMAT = 1  # of the manifest and of how pictures are made; those of another one are made anew


class FlowFolders(NamedTuple):
    """Where one video's pictures lie: three folders; the path of picture `i`, from 1, is `picture_path(folder, i)`."""

    frames: Path
    u: Path
    v: Path


def folders_of(out_dir, name: str) -> FlowFolders:
    """The three folders of the video whose name in the tree is `name`; they need not exist."""
    out_dir = Path(out_dir)
    return FlowFolders(out_dir / FRAMES_DIR / name, out_dir / FLOW_DIR / "u" / name, out_dir / FLOW_DIR / "v" / name)


def picture_path(folder: Path, number: int) -> Path:
    """The file of frame or flow picture `number`, counted from 1."""
    return folder / f"frame{number:06d}.jpg"


def count_pictures(out_dir, name: str, *, check: bool = True) -> tuple[int, int]:
    """How many frames and how many flow pictures a video has.

    Args:
        out_dir: The tree.
        name: The video.
        check: Make sure that no number is missing and that u and v go together.

    Returns:
        `(num_frames, num_flows)`.

    Raises:
        UsageError: A folder is not there.
        DataError: A folder has a gap, or u and v are not equally many.
        MediaError: A picture cannot be read.
    """
    counts = [len(list_frames(folder, check=check)) for folder in folders_of(out_dir, name)]
    if counts[1] != counts[2]:
        folder = folders_of(out_dir, name).u
        raise DataError(f"{folder}: {counts[1]} pictures of u and {counts[2]} of v. Extract the flow again.")
    return counts[0], counts[1]


def extract_flow(
    videos_dir,
    out_dir,
    *,
    method: str = "tvl1",
    size: int | None = None,
    bound: float = FLOW_BOUND,
    wrap: bool = False,
    quality: int = 95,
    clips: Sequence[tuple[Path, Span]] | None = None,
    **workers,
) -> PrepareReport:
    """Decode every video under `videos_dir` once, and keep its frames and its flow as JPEGs in the layout above.

    Parallel over videos and resumable: a video whose manifest fits is skipped, anything half-done is done again. A
    video that fails is counted and named with its reason and stops no other; so are two videos of one folder that
    differ in their suffix only.

    Args:
        videos_dir: Holds `class/video.*`, or deeper folders, or videos alone.
        out_dir: Where the tree goes.
        method: A name of `optical_flow.METHODS`.
        size: Length of the shorter side in pixels, never enlarged; None keeps the video's. Flow is computed at this
            size.
        bound: As in `optical_flow.quantize_flow`.
        wrap: As in `optical_flow.quantize_flow`.
        quality: Of the JPEGs, 1-100.
        clips: These videos under `videos_dir` alone, each whole (None) or from a second to another one.
        **workers: Fields of `tfav.io.workers.Workers`: who does the work.

    Returns:
        A `PrepareReport`, also written to `out_dir/prepare_report.json`.

    Raises:
        UsageError: A wrong setting, or folders that cannot be used.
        DataError: There is no video under `videos_dir`.
        DiskFullError: No space is left.
    """
    if method not in METHODS:
        raise UsageError(f"unknown flow method {method!r}. Valid: {', '.join(METHODS)}.")
    check_number("quality", quality, whole=True, ge=1, le=100)
    check_number("size", size, whole=True, ge=16)
    check_number("bound", bound, gt=0)
    settings = {"method": method, "size": size, "bound": bound, "wrap": wrap, "quality": quality}
    failures, left_out = {}, ""
    if clips is None:
        videos, failures, left_out = videos_to_extract(videos_dir, out_dir)
        clips = [(video, None) for video in videos]
    names = name_clips(videos_dir, clips)
    by_name = collections.defaultdict(list)
    for clip, name in names.items():
        by_name[name].append(clip)
    units = []
    for name, sources in by_name.items():
        failures |= sharing_failures(
            videos_dir, [video.with_name(clip_name(video.name, s)) for video, s in sources], name
        )
        if len(sources) == 1:
            video, span = sources[0]
            parts = video.relative_to(videos_dir).parts
            target = {"folder": name, "class": parts[0] if len(parts) == 2 else None}
            own = settings | {"span": list(span)} if span else settings
            args = (str(video.absolute()), str(Path(out_dir).absolute()), target, own, "/".join(parts))
            units.append(Unit(clip_name("/".join(parts), span), args))
    warnings = [left_out, _describe_named(Path(videos_dir), names), _remove_named_before(Path(out_dir), names)]
    return run_units(
        _extract_video,
        units,
        out_dir,
        is_done=_is_complete,
        failures=failures,
        warnings=filter(None, warnings),
        settings=settings,
        label="flow",
        **workers,
    )


def name_clips(videos_dir, clips: Sequence[tuple[Path, Span]]) -> dict[tuple[Path, Span], str]:
    """The name in the tree of each video under `videos_dir`, or stretch of one, as `extract_flow` gives it to them."""
    names = _name_all(Path(videos_dir), list(dict.fromkeys(video for video, _ in clips)))
    return {(video, span): clip_name(names[video], span) for video, span in clips}


class Source(NamedTuple):
    """What pictures of the tree were made of: the video's `name` without suffix, its class folder, its whole `path`.

    The path counts from where the videos lay. `label` and `path` are None where that is not known.
    """

    name: str
    label: str | None = None
    path: str | None = None


def source_of(out_dir, name: str) -> Source:
    """What the pictures called `name` in a tree were made of, by their manifest; that of pictures without one: `name`.

    Args:
        out_dir: The tree.
        name: Of a folder in it.
    """
    stored = _read_manifest(_manifest_path(out_dir, name))
    if stored is None:
        return Source(name)
    return Source(Path(stored["source"]["name"]).stem, stored.get("class"), stored.get("video"))


def _name_all(videos_dir: Path, videos: list[Path]) -> dict[Path, str]:
    by_stem = collections.defaultdict(set)  # the folders that hold a video of this name
    for video in videos:
        by_stem[video.stem].add(video.relative_to(videos_dir).parent)
    joined = {(stem, parent): _joined(parent, stem) for stem, parents in by_stem.items() for parent in parents}
    count = collections.Counter(joined.values())
    names = {}
    for video in videos:
        parent = video.relative_to(videos_dir).parent
        name = joined[video.stem, parent]
        if len(by_stem[video.stem]) == 1:
            name = video.stem
        elif name != video.stem and (name in by_stem or count[name] > 1):  # `a_b/c` is there beside `a/b_c`
            name += f"-{hashlib.sha256(os.fsencode(parent / video.stem)).hexdigest()[:8]}"
        names[video] = name
    return names


def _joined(parent: Path, stem: str) -> str:
    return short_name("_".join([*parent.parts, stem]))


def _describe_named(videos_dir: Path, names: dict[tuple[Path, Span], str]) -> str:
    told = {video: video_name(name) if span else name for (video, span), name in names.items()}
    renamed = [(video, name) for video, name in told.items() if name != video.stem]
    if not renamed:
        return ""
    shown = ", ".join(f"{video.relative_to(videos_dir).as_posix()} is {name}" for video, name in renamed[:3])
    more = ", ..." if len(renamed) > 3 else ""
    return (
        f"{videos_dir}: {len(renamed)} videos have the name of one in another folder, so that theirs stands in front "
        f"in the names of their folders ({shown}{more})."
    )


def _remove_named_before(out_dir: Path, names: dict[tuple[Path, Span], str]) -> str:
    """Removes what an earlier call made of these videos under other names, or of other stretches of them."""
    planned = {_manifest_path(out_dir, name).name for name in names.values()}
    with contextlib.suppress(FileNotFoundError):
        outdated = [path for path in (out_dir / MANIFESTS_DIR).iterdir() if path.name not in planned]
        sources = [source_identity(video) for video in {video for video, _ in names}] if outdated else []
        removed = []
        for manifest in outdated:
            stored = _read_manifest(manifest)
            if not stored or stored["source"] not in sources:
                continue
            name = stored.get("folder", Path(stored["source"]["name"]).stem)
            for folder in folders_of(out_dir, name):
                shutil.rmtree(folder, ignore_errors=True)
            manifest.unlink(missing_ok=True)
            removed.append(name)
        if removed:
            return (
                f"{out_dir}: {len(removed)} folders of videos cut or named otherwise now are gone ({removed[0]}, ...)."
            )
    return ""


def _extract_video(source: str, out_dir: str, target: dict, settings: dict, video: str) -> None:
    source = Path(source)
    folders, manifest = folders_of(out_dir, target["folder"]), _manifest_path(out_dir, target["folder"])
    identity = source_identity(source)  # before reading: a file that changes meanwhile is done again next time
    manifest.unlink(missing_ok=True)  # a kill between the renames below leaves new beside old pictures
    with contextlib.ExitStack() as stack:
        partial = FlowFolders(*(stack.enter_context(partial_folder(folder)) for folder in folders))
        num_flows = 0
        frames = _written_frames(source, partial.frames, settings)
        # One process per video is at work already, so the pairs of one video need no further ones.
        for num_flows, flow in enumerate(iter_flow(frames, settings["method"], workers=0), 1):
            levels = quantize_flow(flow, settings["bound"], wrap=settings["wrap"])
            write_picture(picture_path(partial.u, num_flows), levels[..., 0], quality=settings["quality"])
            write_picture(picture_path(partial.v, num_flows), levels[..., 1], quality=settings["quality"])
        if num_flows < 1:
            raise MediaError(source, "one frame only, and flow needs two", "Remove it or replace it.")
    totals = [_total(folder) for folder in folders]
    made_of = {"format": _FORMAT, "source": identity, "video": video, **target}
    write_json(manifest, {**made_of, "settings": settings, "pictures": totals})


def _written_frames(source: Path, folder: Path, settings: dict):
    for number, (_, _, frame) in enumerate(iter_frames(source, span=settings.get("span")), 1):
        frame = shrink(frame, settings["size"] or 0)
        write_picture(picture_path(folder, number), frame, quality=settings["quality"])
        yield frame


def _is_complete(source: str, out_dir: str, target: dict, settings: dict, video: str) -> bool:
    try:
        stored = target | json.loads(_manifest_path(out_dir, target["folder"]).read_bytes())  # old ones name no class
        wanted = {"format": _FORMAT, "source": source_identity(Path(source)), **target, "settings": settings}
        if any(stored[key] != value for key, value in wanted.items()):
            return False
        return stored["pictures"] == [_total(folder) for folder in folders_of(out_dir, target["folder"])]
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _manifest_path(out_dir, name: str) -> Path:
    return Path(out_dir) / MANIFESTS_DIR / f"{short_name(name)}.json"


def _read_manifest(path: Path) -> dict | None:
    """A manifest, or None where there is none that can be read."""
    try:
        stored = json.loads(path.read_bytes())
        return stored if isinstance(stored["source"]["name"], str) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _total(folder: Path) -> dict:
    with os.scandir(folder) as entries:
        sizes = [entry.stat().st_size for entry in entries if entry.name.endswith(".jpg")]
    return {"count": len(sizes), "bytes": sum(sizes)}
