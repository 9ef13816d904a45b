"""Class trees: natural order, and every way in which a tree can be wrong."""

import pytest

from tfav.data.folders import scan
from tfav.errors import DataError, UsageError


def make(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir() if name.endswith("/") else path.touch()


def test_videos_and_labels_in_natural_order(tmp_path):
    make(tmp_path, "class10/v10.avi", "class2/v10.mp4", "class2/v9.AVI", "class2/notes.txt", ".hidden/v.avi")
    tree = scan(tmp_path)
    assert tree.labels == ["class2", "class10"]
    assert [e.name for e in tree.examples] == ["v9", "v10", "v10"]
    assert tree.kind == "videos"


def test_frame_folders_with_spaces_and_non_ascii(tmp_path):
    make(tmp_path, "a b/véloß 1/f_00.jpg", "c/w/f_00.png")
    tree = scan(tmp_path)
    assert (tree.kind, [e.name for e in tree.examples]) == ("frames", ["véloß 1", "w"])


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "no class folders"),
        (["a/v.avi", "b/"], "/b: holds no videos"),
        (["a/v.avi", "b/w/f_0.jpg"], "Use one kind"),
        (["a/v.avi", "a/v.mp4", "b/w.avi"], "share the name v"),
    ],
)
def test_trees_that_cannot_be_used(tmp_path, names, message):
    make(tmp_path, *names)
    with pytest.raises(DataError, match=message):
        scan(tmp_path)


def test_missing_folder(tmp_path):
    with pytest.raises(UsageError, match="gone"):
        scan(tmp_path / "gone")
