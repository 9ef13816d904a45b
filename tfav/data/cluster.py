"""Which of several training machines this process is, by `TF_CONFIG`, TensorFlow's own way to say so.

TF_CONFIG='{"cluster": {"worker": ["host0:4000", "host1:4000"]}, "task": {"type": "worker", "index": 0}}'
"""

import json
import os
from typing import NamedTuple

from tfav.errors import UsageError


class Place(NamedTuple):
    """This process among the training machines; `index` 0 is the one that keeps the run folder."""

    count: int
    index: int


def place() -> Place:
    """Reads `TF_CONFIG`; `Place(1, 0)` without it.

    Raises:
        UsageError: It is no such JSON, or has roles other than chief and worker.
    """
    text = os.environ.get("TF_CONFIG", "").strip()
    if not text:
        return Place(1, 0)
    try:
        config = json.loads(text)
        cluster, kind, index = config["cluster"], config["task"]["type"], config["task"]["index"]
        # TensorFlow counts the chief, where there is one, before the workers.
        tasks = [(role, number) for role in ("chief", "worker") for number in range(len(cluster.get(role, ())))]
        return Place(len(tasks), tasks.index((kind, int(index))))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(
            'TF_CONFIG must be JSON such as {"cluster": {"worker": ["host0:4000", "host1:4000"]}, "task": {"type": '
            f'"worker", "index": 0}}}}. Received: TF_CONFIG={text[:200]}'
        ) from error
