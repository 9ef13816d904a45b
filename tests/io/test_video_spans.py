"""Parts of long videos: sought, and still what the whole video shows then."""

import numpy as np
import pytest

from tests.io.clips import read_numbers, write_clip
from tfav.errors import MediaError
from tfav.io import video_spans
from tfav.io.container import scan_packets
from tfav.io.decoding import FrameDecoder
from tfav.io.sampling import frames_between
from tfav.io.video import iter_frames, read_video, select_frames


def frames_of_span(path, span):
    """The numbers in the frames of a part by both readers, and what `select_frames` says of them."""
    kept = {}
    selection = select_frames(path, lambda times_sec: np.arange(len(times_sec)), kept.__setitem__, span=span)
    found = list(iter_frames(path, span=span))
    assert [index for index, _, _ in found] == selection.indices.tolist() == sorted(kept)
    np.testing.assert_allclose([time_sec for _, time_sec, _ in found], selection.times_sec, atol=1e-6)
    for index, _, frame in found:
        np.testing.assert_array_equal(frame, kept[index])
    return read_numbers(frame for _, _, frame in found), selection


@pytest.fixture
def count_decoded(monkeypatch):
    counts, decode = [0], FrameDecoder._decode

    def counting(self):
        for frame in decode(self):
            counts[0] += 1
            yield frame

    monkeypatch.setattr(FrameDecoder, "_decode", counting)
    return counts


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts", ".avi", ".mpg"])
def test_a_part_of_a_long_video_is_sought_and_is_what_the_whole_shows_then(tmp_path, suffix, count_decoded):
    path = tmp_path / f"long{suffix}"
    write_clip(path, 1000, fps=25, codec="mpeg1video" if suffix == ".mpg" else "mpeg4")
    whole = read_video(path, strict=False)
    for span in ((36.0, 37.0), (6.02, 6.5), (1.0, 1.5), (39.0, 50.0)):
        count_decoded[0] = 0
        numbers, selection = frames_of_span(path, span)
        first, stop = frames_between(whole.times_sec, *span)
        assert numbers == read_numbers(whole.frames[first:stop])
        np.testing.assert_allclose(selection.times_sec, whole.times_sec[first:stop], atol=1e-6)
        if suffix != ".mpg" and span[0] > 30:  # an .mpg's times belong to packets
            assert count_decoded[0] < 2 * 160  # both readers; 900 lie before it


def test_damage_before_a_part_is_not_its_own(tmp_path):
    path = tmp_path / "hurt.avi"
    write_clip(path, 500, fps=25)
    data = bytearray(path.read_bytes())
    places = [place for place in range(len(data) - 8) if data[place : place + 4] == b"00dc"][:500]
    for number in (20, 21):
        length = int.from_bytes(data[places[number] + 4 : places[number] + 8], "little")
        data[places[number] + 8 : places[number] + 8 + length] = bytes(length)
    path.write_bytes(data)
    with pytest.raises(MediaError, match="do not decode"):
        read_video(path)
    numbers, selection = frames_of_span(path, (15.0, 16.0))
    assert numbers == list(range(375, 400)) and selection.damage == ""


def test_a_file_is_scanned_once_for_all_its_parts_and_again_when_it_changes(tmp_path, monkeypatch):
    path, scans = tmp_path / "v.mp4", []
    monkeypatch.setattr(video_spans, "scan_packets", lambda path: scans.append(path) or scan_packets(path))
    for count in (20, 25):
        write_clip(path, count, fps=25)
        for start in (0.0, 0.2, 0.4):
            assert frames_of_span(path, (start, start + 0.2))[0][0] == round(25 * start)
    assert len(scans) == 2
