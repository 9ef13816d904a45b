"""Pages of runs: the same frame for all, what repeats a run, and several runs side by side."""

import re
import shlex

import pytest

from tfav import report
from tfav.cli.commands import parsed
from tfav.errors import UsageError
from tfav.io.atomic_write import write_json
from tfav.report import comparison
from tfav.report.command import repeating_command
from tfav.systems import load
from tfav.training import run_folder as runs


def make_run(folder, system="next_frame", preset="demo", losses=(3.0, 2.0), metadata=None, **fields):
    """A run folder of so many epochs, with no model in it."""
    config = load(system).Config.preset(preset, **fields)
    run = runs.start(folder, system, config.to_dict(), metadata or {"digits": "MNIST"})
    rows = [
        f'{{"epoch": {n}, "seconds": 1.5, "loss": {loss}, "val_loss": {loss + 1}, "learning_rate": 0.1}}\n'
        for n, loss in enumerate(losses, 1)
    ]
    (folder / "metrics.jsonl").write_text("".join(rows), encoding="utf-8")
    return run


def score(folder, mse, count=7):
    """An evaluation of a forecast, with an interval of 1 to either side."""
    scores = {"mse": mse, "intervals": {"mse": [mse - 1, mse + 1]}, "per_step": {}}
    write_json(folder / "evaluation.json", {"scores": scores, "count": count, "data": "made", "failed": []})


def titles(page):
    return re.findall(r'<h2 id="[^"]+">([^<]+)</h2>', page)


@pytest.mark.parametrize(
    ("system", "metadata"),
    [("next_frame", {"digits": "MNIST"}), ("lipnet", {"symbols": "ab"}), ("cnn_lstm", {"labels": ["<up>", "down"]})],
)
def test_every_system_has_the_same_frame(system, metadata, tmp_path):
    make_run(tmp_path / "run", system, metadata=metadata)
    page = report.write_report(tmp_path / "run").read_text(encoding="utf-8")
    assert titles(page) == ["Data", "Scores", "Training", "Repeat it", "Settings", "Versions"]
    assert "Not evaluated yet" in page and "2 epochs in 3 s" in page
    assert "learning rate" in page and "<svg" in page and "<up>" not in page
    assert all(f'href="#part-{number}"' in page for number in range(6))
    assert not re.search(r'(src|href)="(?!#|data:)', page)  # nothing is fetched


def test_the_command_on_the_page_repeats_the_run(tmp_path):
    fields = {"filters": (4, 5), "kernel_sizes": (3, 3), "learning_rate": 2e-3, "new_each_epoch": False, "loss": "bce"}
    run = make_run(tmp_path / "my run", **fields)
    command = repeating_command(run)
    program, train, system, *arguments = shlex.split(command)
    assert (program, train, system) == ("tfav", "train", "next_frame") and "--epochs" not in arguments
    _, options, config = parsed("train", [system, *arguments])
    assert config.to_dict() == run.config
    assert str(options.run_dir) == f"{run.dir}-again"
    other = run._replace(config=run.config | {"of_another_version": 1})
    assert repeating_command(other) == run.command


def test_runs_side_by_side(tmp_path):
    for name, mse, rate in (("one", 10.0, 1e-3), ("two", 20.0, 2e-3)):
        make_run(tmp_path / name, learning_rate=rate, losses=(3.0, 2.0) if name == "one" else (2.0,))
        score(tmp_path / name, mse)
    out = tmp_path / "pages" / "both.html"
    page = report.write_comparison([tmp_path / "one", tmp_path / "two"], out).read_text(encoding="utf-8")
    assert "<td>10 (9 to 11)</td><td>20 (19 to 21)</td>" in page
    assert "<tr><td>learning_rate</td><td>0.001</td><td>0.002</td></tr>" in page
    differing = page.split("Settings that differ</h2>")[1].split("<h2")[0]
    assert differing.count("<tr>") == 2  # the head, and the one field
    for label in ("one, training", "one, validation", "two, training"):
        assert f"<!-- {label} -->" in page  # matplotlib writes the legend's text beside its outlines
    assert "same examples" not in page


def test_runs_scored_on_other_examples_are_no_comparison(tmp_path):
    for name, count in (("one", 7), ("two", 70), ("three", 7)):
        make_run(tmp_path / name / "run")
        if name != "three":
            score(tmp_path / name / "run", 1.0, count)
    folders = [tmp_path / name / "run" for name in ("one", "two", "three")]
    page = report.write_comparison(folders, tmp_path / "all.html").read_text(encoding="utf-8")
    assert "not scored on the same examples" in page and "<tr><td>count</td><td>7</td><td>70</td></tr>" in page
    assert "Not evaluated yet: three/run." in page


def test_what_cannot_be_compared(tmp_path):
    make_run(tmp_path / "one")
    for folders in ([tmp_path / "one"], [tmp_path / "one", tmp_path / "one"]):
        with pytest.raises(UsageError, match="two different runs"):
            report.write_comparison(folders, tmp_path / "out.html")
    with pytest.raises(UsageError, match="not a run folder"):
        report.write_comparison([tmp_path / "one", tmp_path / "gone"], tmp_path / "out.html")
    assert not (tmp_path / "out.html").exists()


def test_figures_of_each_kind_of_system():
    classes = {"top1": 0.5, "top1_interval": [0.4, 0.6], "top5": 0.9, "count": 8}
    found = comparison.figures(classes | {"streams": {"motion": classes}})
    assert {name: str(figure) for name, figure in found.items()} == {
        "top1": "0.5 (0.4 to 0.6)",
        "motion top1": "0.5 (0.4 to 0.6)",
    }
    sentences = {"wer_greedy": 0.25, "wer_greedy_interval": [0.1, 0.4], "seconds": 3.0}
    assert list(comparison.figures(sentences)) == ["wer_greedy"]


def test_a_summary_links_the_report_of_each_run(tmp_path):
    make_run(tmp_path / "my runs" / "one", losses=(3.0, 2.0, 1.0))
    report.write_report(tmp_path / "my runs" / "one")
    score(tmp_path / "my runs" / "one", 70.0)
    make_run(tmp_path / "two", "lipnet", metadata={"symbols": "ab"})
    out = report.write_summary([tmp_path / "my runs" / "one", tmp_path / "two"], tmp_path / "index.html", title="Both")
    page = out.read_text(encoding="utf-8")
    links = re.findall(r'<a href="([^"#]+)">(\w+)</a>', page)
    assert links == [("my%20runs/one/report.html", "next_frame"), ("two/report.html", "lipnet")]
    assert (tmp_path / "my runs" / "one" / "report.html").exists() and (tmp_path / "two" / "report.html").exists()
    assert "mse 70 (69 to 71)" in page and "not evaluated yet" in page and "<td>3</td>" in page
    with pytest.raises(UsageError, match="gone"):
        report.write_summary([tmp_path / "gone"], tmp_path / "other.html")
    assert not (tmp_path / "other.html").exists()
