"""What a run reads of clips whose sentences are known: error rates by each way of decoding, and times of words."""

import collections
import dataclasses
import time
from pathlib import Path

import numpy as np
from tqdm import tqdm

from tfav.data import shards
from tfav.data.shards import Entry, Index
from tfav.errors import DataError, TfavError, UsageError
from tfav.io.atomic_write import partial_file
from tfav.io.console import say
from tfav.metrics import word_error_rate as text_metrics
from tfav.speech import recordings
from tfav.systems.lipnet import dataset, decoding
from tfav.systems.lipnet.config import Config
from tfav.systems.lipnet.reader import DECODERS, Posteriors, Reader, open_reader, store_weights, stored_weights
from tfav.training import run_folder as runs

EXAMPLES_NAME = "evaluation_examples.npz"
_NUM_CONFUSIONS = 20
_NUM_EXAMPLES = 3
_TUNED_CLIPS = 100  # of the validation part, on which a language model's weight is chosen


def evaluate(
    run_dir: Path | str,
    data_dir: Path | str | None = None,
    *,
    part: str = "all",
    progress: bool = True,
    lm: Path | str | None = None,
    hot_words: Path | str | None = None,
    **changes,
) -> dict:
    """Reads clips and compares.

    The mouths of the first three clips and of the three read worst are kept in the run folder, for its report.

    Args:
        run_dir: A trained run, or `pretrained`.
        data_dir: Prepared shards; or videos in one of GRID's trees, whose mouths are then cut out into the cache. None:
            the run's own.
        part: `train`, `val` or `test` of the run's split, or `all` clips.
        progress: Show a bar.
        lm: A language model in ARPA format. How much it counts is chosen, once, on the validation part of the run's
            own data, and kept in the run folder for `predict_files`.
        hot_words: As `decoding.read_hot_words` has it.
        **changes: Fields that only decoding and the data look at, such as `grammar`, `cache_dir`.

    Returns:
        JSON-ready: for each way of decoding `wer_greedy`, `cer_greedy`, `wer_greedy_interval` and so on; `clips`,
        `seconds`; `word_start_error_sec` where alignments are there: `median` and `p90`, of the true sentence aligned,
        and `median_read`, of the words read rightly; `unseen_symbols` and `unseen_words`, which training never saw,
        with how often they are said; `confusions`, the most frequent `[said, read, count]`; `examples`, a row for each
        clip, with its word `errors`; `failed`, clips that could not be read, with the reason.

    Raises:
        UsageError: No run, no such part, or another mouth crop.
        DataError: Not one usable clip.
    """
    started = time.monotonic()
    reader = open_reader(run_dir, lm=lm, hot_words=hot_words, **changes)
    if lm is not None:
        reader = _weigh(reader, run_dir, Path(lm))
    config = recordings.at_home(reader.config, **({} if data_dir is None else {"data_dir": str(data_dir)}))
    index, unprepared = dataset.prepared_index(config)
    failed = [{"path": name, "reason": reason} for name, reason in unprepared.items()]
    names = [entry.id for entry in index.entries]
    if part != "all":
        names = _part(names, config, part)
    entries = []
    for entry in shards.in_stored_order(index, names):
        try:
            dataset.encode_entries(config, [entry])
            entries.append(entry)
        except DataError as error:
            failed.append({"path": entry.id, "reason": str(error)})
    if not entries:
        raise DataError(f"{config.data_dir}: none of {len(failed)} clips can be read; first: {failed[0]['reason']}")
    rows, errors = [], []
    with tqdm(total=len(entries), desc="evaluate", unit="clip", disable=None if progress else True) as bar:
        for entry, posteriors in clip_posteriors(reader, config, index, entries):
            read = reader.read(posteriors)
            rows.append({"path": entry.id, "reference": entry.text, **read})
            errors.append(_start_errors(entry, posteriors, read, reader))
            bar.update()
    result = summarize(rows)
    result |= _summarize_starts(errors) | _unseen(entries, config)
    if not runs.is_shipped(run_dir):
        _keep_examples(Path(run_dir) / EXAMPLES_NAME, index, rows)
    result |= {"examples": rows, "data": str(data_dir or config.data_dir), "part": part, "failed": failed}
    result["seconds"] = round(time.monotonic() - started, 2)
    return result


def _unseen(entries: list[Entry], config: Config) -> dict:
    """What the model cannot know: symbols that it has not, and words that the word head has not."""
    symbols = collections.Counter(part for entry in entries for part in config.symbols().split(entry.text))
    words = collections.Counter(word for entry in entries for word in entry.text.split())
    known = config.known_words()
    unseen = {"unseen_symbols": {s: n for s, n in symbols.items() if s not in config.symbols().symbols}}
    return unseen | {"unseen_words": {word: n for word, n in words.items() if known and word not in known}}


def _weigh(reader: Reader, run_dir: Path | str, lm: Path) -> Reader:
    """The reader with the language model weighted as it serves the validation part best; known weights are taken."""
    if runs.is_shipped(run_dir) or stored_weights(Path(run_dir), lm):
        return reader
    try:
        opened = dataset.open_data(recordings.at_home(reader.config))
        names = opened.split.val[:_TUNED_CLIPS]
        if not names:
            raise DataError("the run has no validation part")
        entries = shards.in_stored_order(opened.index, names)
        clips = [
            (entry.text, found.labels) for entry, found in clip_posteriors(reader, opened.config, opened.index, entries)
        ]
    except TfavError as error:
        say(f"the language model counts as much as by default, since its weight cannot be chosen: {error}")
        return reader
    language, errors = decoding.tune(clips, reader.config.symbols(), reader.language)
    say(
        f"the language model's weight {language.weight:g} and bonus {language.bonus:g} leave {errors:.1%} of the words "
        f"of {len(clips)} validation clips wrong"
    )
    store_weights(Path(run_dir), lm, language)
    return dataclasses.replace(reader, language=language)


def clip_posteriors(reader: Reader, config: Config, index: Index, entries: list[Entry]):
    """Yields `(entry, Posteriors)` of clips, in the order in which they are stored."""
    names = [entry.id for entry in entries]
    by_id = iter(shards.in_stored_order(index, names))
    for inputs, _ in dataset.build_dataset(config, index, names):
        batch = reader.posteriors(inputs["frames"].numpy(), inputs["frame_count"].numpy())
        for posteriors in batch:
            yield next(by_id), posteriors


def summarize(rows: list[dict]) -> dict:
    """Error rates of rows with `reference` and a text for each way of decoding."""
    references = [row["reference"] for row in rows]
    result: dict = {"clips": len(rows)}
    for name in DECODERS:
        if name not in rows[0]:
            continue
        scores = text_metrics.evaluate(references, [row[name] for row in rows])
        for metric in ("wer", "cer"):
            result[f"{metric}_{name}"] = scores[metric]
            result[f"{metric}_{name}_interval"] = scores[f"{metric}_interval"]
        result[f"sentences_right_{name}"] = scores["sentences_right"]
    best = _answer_of(rows[0])
    for row, errors in zip(rows, text_metrics.word_errors(references, [row[best] for row in rows]), strict=True):
        row["errors"] = errors
    confusions: collections.Counter = collections.Counter()
    for row in rows:
        said, read = row["reference"].split(), row[best].split()
        if len(said) == len(read):
            confusions.update((a, b) for a, b in zip(said, read, strict=True) if a != b)
    result["confusions"] = [[*pair, count] for pair, count in confusions.most_common(_NUM_CONFUSIONS)]
    return result


def _answer_of(read: dict) -> str:
    """By which way of decoding a clip is answered: the one that knows most."""
    return next(name for name in ("grammar", "lm", "greedy") if name in read)


def _keep_examples(path: Path, index: Index, rows: list[dict]) -> None:
    worst = sorted((row for row in rows if row["errors"]), key=lambda row: -row["errors"])[:_NUM_EXAMPLES]
    chosen = {row["path"]: row for row in [*rows[:_NUM_EXAMPLES], *worst]}
    entries = shards.in_stored_order(index, list(chosen))
    decode = shards.decoder(index)
    clips = [decode(row)["frames"].numpy()[..., 0] for row in shards.read_rows(index, entries)]
    arrays = {f"mouth_{number}": clip for number, clip in enumerate(clips)}
    worst_names = [row["path"] for row in worst]
    with partial_file(path) as partial:
        np.savez_compressed(partial, names=[entry.id for entry in entries], worst=np.array(worst_names, str), **arrays)


def describe_evaluation(result: dict) -> str:
    """The figures as text."""
    lines = [f"{result['clips']} clips ({result['data']}), {result['seconds']} s"]
    for name in DECODERS:
        if f"wer_{name}" in result:
            low, high = result[f"wer_{name}_interval"]
            lines.append(
                f"{name:<8} WER {result[f'wer_{name}']:6.2%} ({low:.1%} to {high:.1%})  CER "
                f"{result[f'cer_{name}']:6.2%}  sentences right {result[f'sentences_right_{name}']:.1%}"
            )
    starts = result.get("word_start_error_sec")
    if starts:
        lines.append(f"starts of words off by {1000 * starts['median']:.0f} ms (median)")
    for name, what in (("unseen_symbols", "symbols"), ("unseen_words", "words")):
        if unseen := result.get(name):
            told = ", ".join(f"{part} {count}x" for part, count in list(unseen.items())[:10])
            times = sum(unseen.values())
            lines.append(f"{what} that training does not know: {len(unseen)}, said {times} times: {told}")
    if result["confusions"]:
        lines.append("read wrongly: " + ", ".join(f"{a} as {b} {n}x" for a, b, n in result["confusions"][:10]))
    for row in [row for row in result["examples"] if row["reference"] != row["greedy"]][:5]:
        lines.append(f"  {row['path']}: {row['reference']!r} read as {row['greedy']!r}")
    lines += [f"failed: {row['path']}: {row['reason']}" for row in result["failed"]]
    return "\n".join(lines)


def _part(names: list[str], config: Config, part: str) -> list[str]:
    split = dataset.make_split(names, config)._asdict()
    if part not in split or not split[part]:
        there = ", ".join([name for name, members in split.items() if members] + ["all"])
        raise UsageError(f"the run's data have no part {part!r}. There are: {there}.")
    return split[part]


def _start_errors(entry: Entry, posteriors: Posteriors, read: dict, reader: Reader) -> tuple[list, list]:
    """Errors of word starts in seconds: of the true sentence, and of the words read rightly."""
    truth = np.reshape(entry.word_times_sec, (-1, 2))[:, 0]
    if not len(truth):
        return [], []
    found = reader.align(entry.text, posteriors)
    given = [abs(word.start_sec - start) for word, start in zip(found, truth, strict=True)]
    text = read[_answer_of(read)] or read["greedy"]
    words = text.split()
    if len(words) != len(truth):
        return given, []
    own = reader.align(text, posteriors)
    right = zip(own, entry.words, truth, strict=True)
    return given, [abs(word.start_sec - start) for word, said, start in right if word.text == said]


def _summarize_starts(errors: list[tuple[list, list]]) -> dict:
    given = [error for row, _ in errors for error in row]
    own = [error for _, row in errors for error in row]
    if not given:
        return {}
    summary = {"median": float(np.median(given)), "p90": float(np.percentile(given, 90)), "words": len(given)}
    if own:
        summary["median_read"] = float(np.median(own))
    return {"word_start_error_sec": summary}
