"""The tool that plants bugs: what it changes, what it leaves alone, and that it finds the tests."""

import ast

from tests.mutation import mutants
from tests.mutation.__main__ import batches, choose, unnoticed

SOURCE = '''"""A module."""
LIMIT = 3


def chosen(values: list[int], low=0.5, *, strict=False):
    """Picks."""
    if strict and low < LIMIT:
        raise ValueError(f"too low: {low + 1}")
    kept = [value for value in values if value >= low]
    print("kept", 4)
    return sorted(kept, key=abs, reverse=True)[:2] if kept else -1


class Box:
    """Holds."""

    def __repr__(self):
        return "Box" + str(7)

    def side(self, folder, name):
        """Reads."""
        path = folder / "a" / name
        return max(path, 10 * self.width)
'''


def changes():
    return {(m.function, m.kind, m.before, m.after) for m in mutants.find(SOURCE)}


def test_operators_constants_arguments_and_signs_are_changed():
    found = changes()
    for expected in (
        ("<module>", "constant", "3", "4"),
        ("chosen", "constant", "0.5", "1.0"),
        ("chosen", "boolean", "False", "True"),
        ("chosen", "and, or", "strict and low < LIMIT", "strict or low < LIMIT"),
        ("chosen", "compare", "low < LIMIT", "low <= LIMIT"),
        ("chosen", "compare", "low < LIMIT", "low > LIMIT"),
        ("chosen", "compare", "value >= low", "value > low"),
        ("chosen", "drop argument", "sorted(kept, key=abs, reverse=True)", "sorted(kept, key=abs)"),
        ("chosen", "sign", "-1", "1"),
        ("Box.side", "opposite", "max", "min"),
        ("Box.side", "compute", "10 * self.width", "10 / self.width"),
        ("Box.side", "swap arguments", "max(path, 10 * self.width)", "max(10 * self.width, path)"),
        ("Box.side", "return", "max(path, 10 * self.width)", "None"),
    ):
        assert expected in found, expected


def test_texts_errors_and_paths_are_left_alone():
    assert not any("too low" in before or "kept', 4" in before or before in ("7", "4") for _, _, before, _ in changes())
    assert not any("folder / 'a'" in before for _, kind, before, _ in changes() if kind == "compute")


def test_each_change_is_one_place_and_leaves_a_module():
    tree = ast.dump(ast.parse(SOURCE))
    for mutant in mutants.find(SOURCE):
        changed = mutants.apply(SOURCE, mutant)
        assert ast.dump(ast.parse(changed)) != tree
        assert sum(a != b for a, b in zip(changed.splitlines(), SOURCE.splitlines(), strict=True)) == 1


def test_the_draw_stays_when_lines_are_added_above():
    files, moved = {"a.py": SOURCE}, {"a.py": SOURCE.replace("LIMIT = 3", "# new\n\nLIMIT = 3")}
    drawn = [mutant.key(file) for file, mutant in mutants.draw(files, 4, seed=1)]
    assert drawn == [mutant.key(file) for file, mutant in mutants.draw(moved, 4, seed=1)]
    assert len(drawn) == 4 and drawn != [mutant.key(file) for file, mutant in mutants.draw(files, 4, seed=2)]
    lines = [mutant.line for _, mutant in mutants.draw(files, 100, seed=1)]
    assert len(lines) == len(set(lines))


def test_parts_say_that_they_run():
    text, names = mutants.instrument(SOURCE, "from noted_in_test import noted", "noted({}, 1)", 10)
    assert names == ["chosen#0", "chosen#1", "Box.__repr__#0", "Box.side#0"]
    seen = {}
    exec(
        compile(text.replace("from noted_in_test import noted", "noted = seen.__setitem__"), "m", "exec"),
        {"seen": seen},
    )
    assert seen == {} and ast.get_docstring(ast.parse(text)) == "A module."
    space = {"seen": seen}
    exec(compile(text.replace("from noted_in_test import noted", "noted = seen.__setitem__"), "m", "exec"), space)
    assert space["chosen"]([1, 5, 3]) == [5, 3] and seen == {10: 1}
    (raised,) = [m for m in mutants.find(SOURCE) if m.before == "low < LIMIT" and m.after == "low <= LIMIT"]
    assert raised.block == 0  # the condition, and not what follows from it


def test_tests_of_the_part_come_first_and_quick_ones_before_slow_ones():
    (mutant,) = [m for m in mutants.find(SOURCE) if m.before == "value >= low" and m.after == "value > low"]
    rows = [
        {"test": "t/a.py::slow", "seconds": 50.0, "parts": ["m.py::chosen#0"]},
        {"test": "t/b.py::quick", "seconds": 0.1, "parts": ["m.py::chosen#0", "m.py::Box.side#0"]},
        {"test": "t/a.py::other", "seconds": 0.1, "parts": ["m.py::chosen#1"]},
        {"test": "t/c.py::very slow", "seconds": 60.0, "parts": ["m.py::chosen#0"]},
    ]
    chosen, left_out = choose(rows, "m.py", mutant)
    assert [row["test"] for row in chosen] == ["t/b.py::quick", "t/a.py::slow"] and left_out == 1
    chosen, _ = choose(rows[2:3], "m.py", mutant)  # nothing runs the part: what runs the function
    assert [row["test"] for row in chosen] == ["t/a.py::other"]
    assert choose(rows, "n.py", mutant) == ([], 0)
    rows.append({"test": "t/d.py::a", "seconds": 1.0, "parts": ["part/n.py::f#0"]})
    assert choose(rows, "part/table.py", mutant) == (rows[-1:], 0)  # runs the folder's, whose sizes stand in the table


def test_tests_are_run_file_by_file_at_first_and_then_by_folders():
    tests = ["t/a.py::x", "t/a.py::y", "u/b.py::x", "t/c.py::x", "u/d.py::x", "t/e.py::x"]
    assert batches(tests) == [tests[:2], tests[2:3], ["t/c.py::x", "t/e.py::x"], ["u/d.py::x"]]


def test_what_was_not_noticed_is_found_again_in_code_that_was_edited():
    some = [m for m in mutants.find(SOURCE) if m.kind == "compare"]
    rows = [{"mutant": m.key("m.py"), "outcome": "passed"} for m in some]
    rows += [{**rows[0], "outcome": "failed"}, {"mutant": "m.py::gone::not::not a -> a::0", "outcome": "passed"}]
    rows += [{**rows[-1], "mutant": "n.py::gone::not::not a -> a::0"}]
    edited = "import math\n" + SOURCE
    found = unnoticed({"m.py": edited}, rows)
    assert [(file, m.key(file)) for file, m in found] == [("m.py", m.key("m.py")) for m in some[1:]] and len(some) > 2
    assert all(m.line == old.line + 1 for (_, m), old in zip(found, some[1:], strict=True))
