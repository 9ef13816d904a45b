"""What every classifier asks of a class tree: its split as the configuration says, and classes the model knows.

The `config` here is any system's that has the fields `split`, `group_pattern`, `val_fraction`, `test_fraction`,
`val_groups`, `test_groups`, `train_list`, `test_list`, `num_classes`, `data_dir` and `seed`.
"""

from collections.abc import Sequence

from tfav.data import splits
from tfav.data.folders import Example
from tfav.errors import DataError, UsageError
from tfav.io.text_files import same_form

PARTS = ("all", "train", "val", "test")


def make_split(examples: Sequence[Example], config) -> splits.Split:
    """Divides the examples as `config.split` says; `auto` goes by a table's parts, or by group where there are some.

    All stretches of a video come to one side.

    Raises:
        UsageError: Groups are named where the names spell none.
        DataError: The split leaks, or leaves a class out.
    """
    if config.split == "auto" and examples[0].part:
        told = splits.by_part(examples)
        if told.val or not config.val_fraction:
            return told
        drawn = _draw_split(told.train, config, {"val": config.val_fraction, "test": 0.0, "seed": config.seed})
        return told._replace(train=drawn.train, val=drawn.val)
    if config.split == "lists":
        listed = splits.by_lists(examples, config.train_list, config.test_list)
        if not config.val_fraction:
            return listed
        # Only what the lists train on is divided further, so that only its names need spell groups.
        grouped = splits.has_groups(listed.train, config.group_pattern)
        return splits.by_lists(
            examples,
            config.train_list,
            config.test_list,
            val=config.val_fraction,
            group_pattern=config.group_pattern if grouped else "",
            seed=config.seed,
        )
    shares = {"val": config.val_fraction, "test": config.test_fraction, "seed": config.seed}
    return _draw_split(examples, config, shares, val_groups=config.val_groups, test_groups=config.test_groups)


def _draw_split(examples: Sequence[Example], config, shares: dict, val_groups=(), test_groups=()) -> splits.Split:
    if config.split == "group" or (config.split == "auto" and splits.has_groups(examples, config.group_pattern)):
        return splits.by_group(
            examples,
            config.group_pattern,
            val_groups=val_groups,
            test_groups=test_groups,
            **shares,
        )
    if val_groups or test_groups:
        raise UsageError("val_groups and test_groups need names that match group_pattern, with --split group.")
    if len({example.video for example in examples}) < len(examples):  # stretches of one video stay together
        examples = [example._replace(group=example.video.as_posix()) for example in examples]
        return splits.by_group(examples, config.group_pattern, **shares)
    return splits.by_fraction(examples, **shares)


def groups_of(examples: Sequence[Example], config) -> list[str]:
    """What a split keeps on one side, for each example: its group where there are several, else its video."""
    if splits.has_groups(examples, config.group_pattern):
        found = splits.group_finder(examples, config.group_pattern)
        return [found[example] for example in examples]
    return [example.video.as_posix() for example in examples]


def part_of(examples: Sequence[Example], config, part: str) -> list[Example]:
    """The examples to score: `all`, or the `train`, `val` or `test` part of the split that `config` describes.

    Raises:
        UsageError: An unknown part, or one that the split does not have.
        DataError: As in `make_split`.
    """
    if part not in PARTS:
        raise UsageError(f"part must be one of {', '.join(PARTS)}. Received: part={part}")
    if part == "all":
        return list(examples)
    chosen = getattr(make_split(examples, config), part)
    if not chosen:
        raise UsageError(f"the run's split has no {part} part. Choose another one of {', '.join(PARTS)}.")
    return list(chosen)


def check_class_count(labels: Sequence[str], config) -> list[str]:
    """The class names, if they are as many as the model has outputs.

    Raises:
        UsageError: They are not.
        DataError: There is but one.
    """
    if config.num_classes and config.num_classes != len(labels):
        raise UsageError(
            f"{config.data_dir}: holds {len(labels)} classes ({', '.join(labels[:6])}"
            f"{', ...' if len(labels) > 6 else ''}), the model has {config.num_classes}. "
            f"Give --num-classes {len(labels)}."
        )
    if len(labels) < 2:
        raise DataError(f"{config.data_dir}: holds one class only; a classifier needs two or more.")
    return list(labels)


def check_known_classes(data_dir, found: Sequence[str], known: Sequence[str]) -> None:
    """Refuses classes the model was not trained on.

    Raises:
        DataError: Naming them.
    """
    forms = {same_form(label) for label in known}
    unknown = [label for label in found if same_form(label) not in forms]
    if unknown:
        raise DataError(
            f"{data_dir}: the model does not know class {', '.join(unknown)}. It knows: {', '.join(known)}. "
            "Rename the folder, or train on these classes."
        )


def count_classes(split: splits.Split, labels: Sequence[str]) -> dict[str, dict[str, int]]:
    """How many examples of each class each part has: `{part: {label: count}}`."""
    return {
        part: {label: sum(label in example.labels for example in examples) for label in labels}
        for part, examples in split._asdict().items()
    }
