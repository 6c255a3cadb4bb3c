"""What a module refers to: dotted names, each resolved through imports, aliases and assignments.

``import time as t`` and then ``t.time()`` is a reference to ``time.time``; so are
``from time import time``, ``now = time.time`` and ``getattr(time, "time")``, and in a class that is
derived from another, what it has from there. What cannot be told from the text of one module, such
as the attributes of a value that was passed in, is none.
"""

from __future__ import annotations

import ast
import builtins
from collections import defaultdict
from collections.abc import Container, Iterator
from functools import cache
from importlib import import_module
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import TypeVar

_Node = TypeVar("_Node", bound=ast.AST)
_DEEPEST = 12
"""Dots in a name: more than anybody writes."""


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

    What is not only the type of something, but called, derived from or handed on, is yielded with
    ``()`` as well. ``getattr`` with a name that stands there is resolved, and is no use by itself.
    """
    known = _names(tree)
    inner = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    inner |= {id(node.func) for node in _nodes(tree, ast.Call) if _got(node) is not None}
    types = {
        id(part)
        for node in ast.walk(tree)
        for stated in (getattr(node, "annotation", None), getattr(node, "returns", None))
        if stated is not None
        for part in ast.walk(stated)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Name | ast.Attribute | ast.Call) and id(node) not in inner:
            for name in _resolved(node, known):
                yield name, node.lineno
                if id(node) not in types:
                    yield f"{name}()", node.lineno


def attributes(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Yield the names of attributes that are read of whatever: by dot, `getattr` or pattern."""
    known = _names(tree)
    yield from ((node.attr, node.lineno) for node in _nodes(tree, ast.Attribute))
    for call in _nodes(tree, ast.Call):
        if got := _got(call):
            yield got[1], call.lineno
    for case in _nodes(tree, ast.MatchClass):
        yield from ((name, case.cls.lineno) for name in case.kwd_attrs)
        for name in _resolved(case.cls, known):
            in_place = getattr(_value(name), "__match_args__", ())
            yield from ((read, case.cls.lineno) for read in in_place[: len(case.patterns)])


def is_borrowed(name: str, libraries: Container[str]) -> bool:
    """Return True if a dotted name leads through one module to what that has from elsewhere.

    ``shutil.os.system``, and ``dockerfw.clock.time``: a module that another one has imported. Of
    our own modules what they have imported of libraries, too, and whatever is called as one of
    these and is not there.
    """
    parts = name.removesuffix("()").split(".")
    found = _imported(".".join(parts))
    ours = parts[0] == "dockerfw"
    for count, value in enumerate(found, start=1):
        if not isinstance(value, ModuleType):
            return ours and _is_of_a_library(value)
        if value.__name__.split(".")[0] != parts[0] and parts[:count] != ["os", "path"]:
            return True
    return ours and any(part in libraries for part in parts[len(found) :])


def _is_of_a_library(value: object) -> bool:
    """Return True for a class or a function that stands in a module that is not ours."""
    if not isinstance(value, type | FunctionType | BuiltinFunctionType):
        return False
    home = import_module(value.__module__)
    there = getattr(home, value.__name__, None) is value
    return there and home.__name__.split(".")[0] != "dockerfw"


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


def _nodes(tree: ast.Module, kind: type[_Node]) -> Iterator[_Node]:
    return (node for node in ast.walk(tree) if isinstance(node, kind))


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
    match node:
        case ast.Assign(targets=targets, value=value):
            for target in targets:
                yield from _taken_apart(target, value)
        case ast.AnnAssign(target=target, value=ast.expr() as value):
            yield ast.unparse(target), value
        case ast.NamedExpr(target=target, value=value):
            yield target.id, value
        case ast.ClassDef(name=name, bases=bases):
            yield from ((name, base) for base in bases)
        case ast.arguments(defaults=defaults, kwonlyargs=named, kw_defaults=others):
            by_place = [*node.posonlyargs, *node.args]
            given = [
                *zip(reversed(by_place), reversed(defaults), strict=False),
                *zip(named, others, strict=True),
            ]
            yield from ((arg.arg, value) for arg, value in given if value is not None)


def _taken_apart(target: ast.expr, value: ast.expr) -> Iterator[tuple[str, ast.expr]]:
    match target, value:
        case ast.Name(id=name), _:
            yield name, value
        case ((ast.Tuple() | ast.List()), (ast.Tuple() | ast.List())):
            for part, given in zip(target.elts, value.elts, strict=False):
                yield from _taken_apart(part, given)


def _resolved(node: ast.expr, known: dict[str, set[str]]) -> set[str]:
    """Return the dotted names that an expression may be; none for what the text does not tell."""
    match node:
        case ast.Name(id=name):
            found = known.get(name, set())
            return found or ({f"builtins.{name}"} if hasattr(builtins, name) else set())
        case ast.Attribute(value=value, attr=attribute):
            found = _resolved(value, known)
            # ``x = x.next`` has no end.
            return {f"{name}.{attribute}" for name in found if name.count(".") < _DEEPEST}
        case ast.IfExp(body=body, orelse=other):
            return _resolved(body, known) | _resolved(other, known)
        case ast.BoolOp(values=values):
            return set().union(*(_resolved(value, known) for value in values))
        case ast.NamedExpr(value=value):
            return _resolved(value, known)
        case _ if got := _got(node):
            return {f"{found}.{got[1]}" for found in _resolved(got[0], known)}
        case _:
            return set()


def _got(node: ast.AST) -> tuple[ast.expr, str] | None:
    """Return the value and the name of ``getattr(value, "name")``; None for all else."""
    match node:
        case ast.Call(func=ast.Name(id="getattr"), args=[value, ast.Constant(value=str(name)), *_]):
            return value, name
    return None


def _value(name: str) -> object:
    """Return what a dotted name is; None where that cannot be imported."""
    found = _imported(name)
    return found[-1] if len(found) == len(name.split(".")) else None


@cache
def _imported(name: str) -> tuple[object, ...]:
    """Return what each part of a dotted name is, as far as it can be imported and followed."""
    first, *others = name.split(".")
    found: list[object] = []
    path = first
    try:
        found.append(import_module(first))
        for part in others:
            path = f"{path}.{part}"
            if isinstance(found[-1], ModuleType) and not hasattr(found[-1], part):
                import_module(path)
            found.append(getattr(found[-1], part))
    except (ImportError, AttributeError):
        pass
    return tuple(found)
