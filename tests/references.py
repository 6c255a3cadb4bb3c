"""What a module refers to: dotted names, each resolved through imports, aliases and assignments.

``import time as t`` and then ``t.time()`` is a reference to ``time.time``; so are
``from time import time``, ``now = time.time`` and ``getattr(time, "time")``. What cannot be told
from the text of one module, such as the attributes of a value that was passed in, is none.
"""

from __future__ import annotations

import ast
import builtins
from collections import defaultdict
from collections.abc import Iterator


def imports(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Yield what is imported, with its line; ``from a import b`` is ``a.b``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            dots = "." * node.level
            yield from ((f"{dots}{node.module}.{a.name}", node.lineno) for a in node.names)


def uses(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Yield what is used of what was imported or is built in, with its line, as dotted names.

    What is called, or is the base of a class, is yielded with ``()`` as well.
    """
    known = _names(tree)
    inner = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name | ast.Attribute | ast.Call) and id(node) not in inner:
            yield from ((name, node.lineno) for name in _resolved(node, known))
        called = [node.func] if isinstance(node, ast.Call) else []
        for made in node.bases if isinstance(node, ast.ClassDef) else called:
            yield from ((f"{name}()", made.lineno) for name in _resolved(made, known))


def literals(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Yield the texts of a module with their lines; in f-strings ``{}`` stands for a value.

    Docstrings, and other texts that are statements, are left out.
    """
    silent = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    parts = {
        id(part)
        for node in ast.walk(tree)
        if isinstance(node, ast.JoinedStr)
        for part in node.values
    }
    for node in ast.walk(tree):
        if id(node) in silent | parts:
            continue
        if isinstance(node, ast.JoinedStr):
            yield "".join(_text(part) for part in node.values), node.lineno
        elif isinstance(node, ast.Constant) and isinstance(node.value, str | bytes):
            yield _text(node), node.lineno


def _text(node: ast.expr) -> str:
    value = node.value if isinstance(node, ast.Constant) else "{}"
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _names(tree: ast.Module) -> dict[str, set[str]]:
    """Return what each name of a module may stand for; in whatever function it has that meaning."""
    known: dict[str, set[str]] = defaultdict(set)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.split(".", maxsplit=1)[0]
                known[alias.asname or top].add(alias.name if alias.asname else top)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                known[alias.asname or alias.name].add(f"{node.module}.{alias.name}")
    before = -1
    while before != (before := sum(map(len, known.values()))):  # an alias of an alias
        for node in ast.walk(tree):
            for target, value in _assigned(node):
                known[target] |= _resolved(value, known)
    return known


def _assigned(node: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    if isinstance(node, ast.Assign):
        yield from ((t.id, node.value) for t in node.targets if isinstance(t, ast.Name))
    elif isinstance(node, ast.AnnAssign | ast.NamedExpr) and node.value is not None:
        yield ast.unparse(node.target), node.value


def _resolved(node: ast.expr, known: dict[str, set[str]]) -> set[str]:
    """Return the dotted names that an expression may be; none for what the text does not tell."""
    match node:
        case ast.Name(id=name):
            found = known.get(name, set())
            return found or ({f"builtins.{name}"} if hasattr(builtins, name) else set())
        case ast.Attribute(value=value, attr=attribute):
            return {f"{name}.{attribute}" for name in _resolved(value, known)}
        case ast.Call(func=ast.Name(id="getattr"), args=[value, ast.Constant(value=str(name)), *_]):
            return {f"{found}.{name}" for found in _resolved(value, known)}
        case _:
            return set()
