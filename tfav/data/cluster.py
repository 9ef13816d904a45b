"""Which of several training machines this process is, by `TF_CONFIG`, TensorFlow's own way to say so.

TF_CONFIG='{"cluster": {"worker": ["host0:4000", "host1:4000"]}, "task": {"type": "worker", "index": 0}}'
"""

import os
from typing import NamedTuple

import tensorflow as tf

from tfav.errors import UsageError


class ClusterInfo(NamedTuple):
    """This process among the training machines; `index` 0 is the one that keeps the run folder."""

    count: int
    index: int


def cluster_info() -> ClusterInfo:
    """Reads `TF_CONFIG`; `ClusterInfo(1, 0)` without it.

    Raises:
        UsageError: It is no such JSON, or has roles other than chief and worker.

    Example:
        >>> cluster_info()
        ClusterInfo(count=1, index=0)
    """
    text = os.environ.get("TF_CONFIG", "").strip()
    if not text:
        return ClusterInfo(1, 0)
    try:
        resolver = tf.distribute.cluster_resolver.TFConfigClusterResolver()
        cluster, here = resolver.cluster_spec(), (resolver.task_type, resolver.task_id)
        # TensorFlow counts the chief, where there is one, before the workers.
        tasks = [(role, i) for role in ("chief", "worker") if role in cluster.jobs for i in cluster.task_indices(role)]
        return ClusterInfo(len(tasks), tasks.index(here))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(
            'TF_CONFIG must be JSON such as {"cluster": {"worker": ["host0:4000", "host1:4000"]}, "task": {"type": '
            f'"worker", "index": 0}}}}. Received: TF_CONFIG={text[:200]}'
        ) from error
