"""What the command line scores and the page shows of a trained stream."""

import json
import re

from tfav import cli
from tfav.io.images import write_picture
from tfav.io.video import read_video
from tfav.report import write_report
from tfav.report.timelines import flow_section
from tfav.systems.two_stream import train


def tfav(*arguments):
    """Exit code of a command in this process."""
    return cli.main([str(argument) for argument in arguments])


def test_a_part_is_scored_and_the_page_shows_flow(run_dirs, capsys):
    run_dir = run_dirs["motion"]
    assert tfav("evaluate", "two_stream", "--run-dir", run_dir, "--part", "val", "--json") == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (result["count"], result["part"]) == (6, "val")
    page = write_report(run_dir).read_text(encoding="utf-8")
    assert "on 6 videos of the val part" in page
    flows = re.findall(r"<figure>.*?</figure>", page)
    assert len(flows) == 3 and all("colour wheel" in flow and "(dis)" in flow for flow in flows)
    assert "&lt;figure" not in page
    assert len(page) < 10e6


def test_the_page_of_a_fusion_has_a_row_for_each_way(run_dirs, small_config, tmp_path, capsys):
    paths = {kind: str(run_dirs[kind]) for kind in run_dirs}
    train(small_config("fusion", epochs=1, gru_units=4, **paths), tmp_path / "fusion", verbose=0)
    assert tfav("evaluate", "two_stream", "--run-dir", tmp_path / "fusion", "--part", "val") == 0
    said = capsys.readouterr().out
    page = write_report(tmp_path / "fusion").read_text(encoding="utf-8")
    for way in ("spatial", "motion", "average", "late", "recurrent"):
        assert f"<td>{way}</td>" in page and f"\n{way} " in said


def test_evaluate_asks_for_a_folder_or_a_part(run_dirs, capsys):
    assert tfav("evaluate", "two_stream", "--run-dir", run_dirs["motion"]) == 2
    assert "--part test" in capsys.readouterr().err
    assert tfav("evaluate", "two_stream", "--run-dir", run_dirs["motion"], "--part", "test") == 2
    assert "has no test part" in capsys.readouterr().err


def test_the_viewer_takes_a_folder_of_frames(videos_dir, tmp_path):
    video = sorted((videos_dir / "grow").iterdir())[0]
    for number, frame in enumerate(read_video(video).frames):  # as PNG, which changes nothing
        write_picture(tmp_path / f"frame{number:02d}.png", frame)
    shown, filmed = flow_section(tmp_path), flow_section(video)
    assert shown.count("data:image/") == 2
    motions = [float(re.search(r"rim ([\d.]+) pixels", section)[1]) for section in (shown, filmed)]
    assert motions[0] == motions[1] > 0.3
