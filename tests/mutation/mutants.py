"""What may be changed in a source file: every mutant is one expression replaced by another.

Left out, since no test could or should notice: strings and docstrings, annotations, decorators, `__repr__`, all that
stands in a `raise`, in an `assert`, or in a call that prints or warns, and keywords that change how fast or how
carefully something is done and not what comes out (`_NOT_THE_RESULT`).
"""

import ast
import copy
import dataclasses
import hashlib
from collections import Counter
from collections.abc import Iterator

_COMPARED = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_TURNED = {ast.Lt: ast.Gt, ast.LtE: ast.GtE, ast.Gt: ast.Lt, ast.GtE: ast.LtE}
_COMPUTED = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
}
_OPPOSITES = [
    ("min", "max"),
    ("minimum", "maximum"),
    ("argmin", "argmax"),
    ("reduce_min", "reduce_max"),
    ("any", "all"),
    ("mean", "sum"),
    ("reduce_mean", "reduce_sum"),
    ("floor", "ceil"),
    ("sin", "cos"),
    ("append", "extend"),
]
_OPPOSITE = dict(_OPPOSITES) | {b: a for a, b in _OPPOSITES}
# Speed, care and what is shown; and what only says how an error is worded.
_NOT_THE_RESULT = {
    "autograph",
    "chunksize",
    "compression",
    "copy",
    "daemon",
    "deterministic",
    "encoding",
    "errors",
    "exist_ok",
    "ignore_errors",
    "indent",
    "jit_compile",
    "maxsize",
    "message",
    "missing_ok",
    "num_parallel_calls",
    "parallel_iterations",
    "parents",
    "reduce_retracing",
    "stacklevel",
    "strict",
    "timeout",
    "verbose",
    "write_graph",
}
_SAYS = {"print", "warn", "round", "sleep", "getLogger", "info", "debug", "warning", "write", "prefetch", "lru_cache"}


_WHOLE = {"drop argument", "swap arguments", "return", "assign"}  # what takes their place needs no brackets


@dataclasses.dataclass(frozen=True)
class Mutant:
    """One change of one file.

    Attributes:
        function: Dotted name of the outermost function or method it stands in, `<module>` outside of all.
        block: Number of the part of that function (see `instrument`), 0 for its beginning.
        kind: What is done, such as `"compare"`.
        line: Line number, from 1.
        before: The expression as it is.
        after: The expression that takes its place.
        ordinal: Number among those with the same function, kind, before and after.
    """

    function: str
    block: int
    kind: str
    line: int
    before: str
    after: str
    ordinal: int
    span: tuple[int, int, int, int]

    def key(self, file: str) -> str:
        """A name that edits elsewhere in the file do not change."""
        return f"{file}::{self.function}::{self.kind}::{self.before} -> {self.after}::{self.ordinal}"


def find(source: str) -> list[Mutant]:
    """All mutants of a source text, from top to bottom."""
    seen, found = Counter(), []
    for function, block, kind, node, after in _visit(ast.parse(source)):
        span = (node.lineno, node.col_offset, node.end_lineno, node.end_col_offset)
        before, after = ast.unparse(node), ast.unparse(after)
        if before == after:
            continue
        names = (function, kind, before, after)
        found.append(Mutant(function, block, kind, node.lineno, before, after, seen[names], span))
        seen[names] += 1
    return found


def apply(source: str, mutant: Mutant) -> str:
    """The source text with the change made."""
    lines = source.encode().splitlines(keepends=True)  # columns of `ast` count bytes
    first, start, last, end = mutant.span
    # In brackets, since what takes the place of an operand may bind less tightly.
    new = mutant.after if mutant.kind in _WHOLE else f"({mutant.after})"
    text = b"".join(lines[: first - 1]) + lines[first - 1][:start] + new.encode()
    text += lines[last - 1][end:] + b"".join(lines[last:])
    changed = text.decode()
    ast.parse(changed)
    return changed


def draw(files: dict[str, str], count: int, seed: int) -> list[tuple[str, Mutant]]:
    """Mutants of many files drawn at random, one a line at most; an edit elsewhere does not change the draw.

    Args:
        files: Path to source text.
        count: How many at most.
        seed: Of the draw.
    """
    lines: dict[tuple[str, int], tuple[bytes, str, Mutant]] = {}
    for file, source in files.items():
        for mutant in find(source):
            ticket = hashlib.sha256(f"{seed}/{mutant.key(file)}".encode()).digest()
            best = lines.get((file, mutant.line))
            if best is None or ticket < best[0]:
                lines[file, mutant.line] = (ticket, file, mutant)
    # Drawn by line and not by mutant, or lines with many numbers in them would be half of it.
    chosen = sorted(lines.values(), key=lambda row: hashlib.sha256(row[0]).digest())[:count]
    return [(file, mutant) for _, file, mutant in chosen]


def instrument(source: str, head: str, note: str, first: int) -> tuple[str, list[str]]:
    """The source text in which each part of each function says that it is run.

    Args:
        source: Of a module.
        head: Statement put at its beginning.
        note: Statement put at the beginning of each part, with `{}` for its number.
        first: Number of its first part.

    Returns:
        The text, and the name `function#block` of each part, in order of those numbers.
    """
    tree, names = ast.parse(source), []
    for function, block, body in [(None, 0, tree.body), *_parts(tree)]:
        text = head if function is None else note.format(first + len(names))
        body.insert(1 if _is_docstring(body[0]) and len(body) > 1 else 0, ast.parse(text).body[0])
        if function is not None:
            names.append(f"{function}#{block}")
    return ast.unparse(ast.fix_missing_locations(tree)), names


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _functions(node: ast.AST, outer: str = "") -> Iterator[tuple[str, ast.AST]]:
    """The outermost functions and methods."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef):
            yield from _functions(child, f"{outer}{child.name}.")
        elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{outer}{child.name}", child
        elif not isinstance(child, ast.expr):
            yield from _functions(child, outer)


def _parts(tree: ast.Module) -> Iterator[tuple[str, int, list]]:
    """Each list of statements that is run, or not, as one: bodies of functions, branches, loops and handlers."""
    for name, function in _functions(tree):
        for number, body in enumerate(_bodies(function)):
            yield name, number, body


def _bodies(node: ast.AST) -> Iterator[list]:
    for child in ast.walk(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.If | ast.For | ast.While):
            yield child.body
        if isinstance(child, ast.If | ast.For | ast.While) and child.orelse:
            yield child.orelse
        if isinstance(child, ast.Try):
            yield from (handler.body for handler in child.handlers)


def _visit(tree: ast.Module):
    places = {id(body[0]): (name, number) for name, number, body in _parts(tree)}
    functions = {id(function): (name, 0) for name, function in _functions(tree)}  # for the defaults of arguments
    yield from _walk(tree, ("<module>", 0), places, functions)


def _walk(node: ast.AST, here: tuple[str, int], places: dict, functions: dict):
    yield from ((*here, kind, at, after) for kind, at, after in _changes(node))
    skipped = _left_out(node)
    for name, value in ast.iter_fields(node):
        if name in skipped:
            continue
        place = here
        for child in value if isinstance(value, list) else [value]:
            if not isinstance(child, ast.AST):
                continue
            place = places.get(id(child), place)  # the first statement of a part; the ones behind it are in it too
            if not _is_silent(child):
                yield from _walk(child, functions.get(id(child), place), places, functions)


def _left_out(node: ast.AST) -> set[str]:
    """Fields of a node that are not looked into."""
    left_out = {"annotation", "returns", "decorator_list", "type_params", "bases"}
    if isinstance(node, ast.Call) and _called(node) == "Field":
        left_out.add("keywords")
    return left_out


def _is_silent(node: ast.AST) -> bool:
    """Whether nothing in it is changed."""
    if isinstance(node, ast.Raise | ast.Assert | ast.JoinedStr | ast.Import | ast.ImportFrom):
        return True
    if isinstance(node, ast.FunctionDef):
        return node.name in {"__repr__", "__str__", "main"}
    if isinstance(node, ast.keyword):
        return node.arg in _NOT_THE_RESULT
    if isinstance(node, ast.Call):
        return _called(node) in _SAYS or _called(node).endswith(("Error", "Warning"))
    if isinstance(node, ast.If):
        return isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
    return False


def _called(node: ast.Call) -> str:
    return getattr(node.func, "id", getattr(node.func, "attr", ""))


def _changes(node: ast.AST) -> Iterator[tuple[str, ast.AST, ast.AST]]:
    """Kind, the node that is replaced, and what replaces it."""
    match node:
        case ast.Compare(ops=[operator]):
            for table in (_COMPARED, _TURNED):
                if type(operator) in table:
                    yield "compare", node, _with(node, ops=[table[type(operator)]()])
        case ast.BinOp(op=operator) if type(operator) in _COMPUTED and not _is_text(node):
            yield "compute", node, _with(node, op=_COMPUTED[type(operator)]())
        case ast.BoolOp(op=operator):
            yield "and, or", node, _with(node, op=ast.And() if isinstance(operator, ast.Or) else ast.Or())
        case ast.UnaryOp(op=ast.Not() | ast.USub()):
            yield ("not" if isinstance(node.op, ast.Not) else "sign"), node, node.operand
        case ast.Constant(value=bool() as value):
            yield "boolean", node, ast.Constant(not value)
        case ast.Constant(value=int() as value):
            yield "constant", node, ast.Constant(value + 1)
            if value > 1:
                yield "constant", node, ast.Constant(value - 1)
        case ast.Constant(value=float() as value):
            yield "constant", node, ast.Constant(value * 2 if value else 1.0)
        case ast.IfExp():
            yield "branch", node, _with(node, body=node.orelse, orelse=node.body)
        case ast.If(test=test) | ast.While(test=test) if isinstance(test, ast.Name | ast.Attribute | ast.Call):
            yield "branch", test, ast.UnaryOp(ast.Not(), test)
        case ast.AugAssign(op=operator) if type(operator) in _COMPUTED and not _is_text(node.value):
            yield "assign", node, _with(node, op=_COMPUTED[type(operator)]())
        case ast.Return(value=value) if value is not None and not _is_silent(value) and not _is_text(value):
            yield "return", value, ast.Constant(None)
        case ast.Call():
            yield from _changed_calls(node)


def _changed_calls(node: ast.Call) -> Iterator[tuple[str, ast.AST, ast.AST]]:
    if len(node.args) > 1 and not any(isinstance(argument, ast.Starred) for argument in node.args[:2]):
        yield "swap arguments", node, _with(node, args=[node.args[1], node.args[0], *node.args[2:]])
    for index, keyword in enumerate(node.keywords):
        if keyword.arg is not None and keyword.arg not in _NOT_THE_RESULT:
            yield "drop argument", node, _with(node, keywords=node.keywords[:index] + node.keywords[index + 1 :])
    function = node.func
    if isinstance(function, ast.Name) and function.id in _OPPOSITE:
        yield "opposite", function, ast.Name(_OPPOSITE[function.id])
    if isinstance(function, ast.Attribute) and function.attr in _OPPOSITE:
        yield "opposite", function, _with(function, attr=_OPPOSITE[function.attr])


def _is_text(node: ast.expr) -> bool:
    """Whether it is a text, or joins texts or a path, which any change breaks at once."""
    if isinstance(node, ast.BinOp):
        return _is_text(node.left) or _is_text(node.right)
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str | None))


def _with(node: ast.AST, **fields) -> ast.AST:
    new = copy.copy(node)
    for name, value in fields.items():
        setattr(new, name, value)
    return new
