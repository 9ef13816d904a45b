"""The made corpora of both systems."""

from tests.systems.av_words.conftest import grid_tree, made_index, make_clip
from tests.systems.lipnet.conftest import grid, make_video, shard_folder

__all__ = ["grid", "grid_tree", "made_index", "make_clip", "make_video", "shard_folder"]
