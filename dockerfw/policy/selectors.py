"""One entry of ``to`` -> `Selector`: which containers, by name, Compose project, label and so on.

Takes a string as it stands in the policy, gives a `Selector` or raises `WordError`. Pure; whether
a container of that name runs is for later. A new kind of selector begins here and in
``model/policy.py``.
"""

from __future__ import annotations

import re

from dockerfw.model.policy import Selector, SelectorKind
from dockerfw.policy.addresses import looks_like_address
from dockerfw.policy.ports import parse_range
from dockerfw.policy.words import (
    WordError,
    check_named,
    check_text,
    did_you_mean,
    shown,
    split_prefix,
)

SELECTOR_KINDS: tuple[SelectorKind, ...] = (
    "container",
    "compose",
    "label",
    "image",
    "network",
    "service",
)

_CONTAINER = re.compile(r"[A-Za-z0-9*][A-Za-z0-9_.*-]*", re.ASCII)
_IMAGE = re.compile(r"[A-Za-z0-9*][A-Za-z0-9_./:@*-]*", re.ASCII)


def parse_target(word: str) -> Selector:
    """Read one entry of ``to``: a selector, with ``!`` in front to leave out its containers."""
    check_text(word)
    negated = word.startswith("!")
    rest = word[1:] if negated else word
    if rest.startswith("!"):
        raise WordError(f"{shown(word)} is negated twice: write {shown(rest.lstrip('!'))}")
    prefix = split_prefix(rest)
    if prefix is None:
        _check_bare_name(rest)
        return _container(rest, negated)
    return parse_selector(*prefix, negated=negated)


def parse_selector(kind: str, name: str, *, negated: bool = False) -> Selector:
    """Return the selector ``kind:name``. Raises `WordError` for a kind that does not exist."""
    check_named(kind, name)
    match kind:
        case "container":
            return _container(name, negated)
        case "compose":
            return _compose(name, negated)
        case "label":
            check_text(name)
            key, equals, value = name.partition("=")
            check_text(key)
            return Selector("label", key, value if equals else None, negated)
        case "image":
            _check_form(_IMAGE, name, "of an image: write one like `image:nginx:*`")
            return Selector("image", name, None, negated)
        case "network":
            _check_exact_name("network", name)
            return Selector("network", name, None, negated)
        case "service":
            _check_exact_name("service", name)
            return Selector("service", name, None, negated)
    raise WordError(_why_no_kind(kind, name))


def is_container_name(word: str) -> bool:
    """Return True if a container may have this name, a pattern with ``*`` included."""
    return _CONTAINER.fullmatch(word) is not None


def _check_bare_name(word: str) -> None:
    if word in ("any", "bridge"):
        raise WordError(
            f"{shown(word)} stands in `from`: write `*` for every container, "
            f"or {shown('container:' + word)} if one has that name"
        )
    if looks_like_address(word):
        raise WordError(
            f"{shown(word)} is an address: `to` takes containers, whose addresses change: "
            "write a name, `compose:`, `label:`, `image:` or `network:`"
        )


def _container(name: str, negated: bool) -> Selector:
    if name.startswith("/") and is_container_name(name[1:]):
        raise WordError(f"{shown(name)}: write the name without the slash, {shown(name[1:])}")
    if re.fullmatch(r"[\w.-]+/[\w.*-]+", name, re.ASCII):
        raise WordError(
            f"{shown(name)} is no name of a container: a service of compose is "
            f"{shown(f'compose:{name}')}"
        )
    _check_form(
        _CONTAINER, name, "of a container: it has letters, digits, `_`, `.`, `-`; `*` is a wildcard"
    )
    return Selector("container", name, None, negated)


def _compose(name: str, negated: bool) -> Selector:
    project, slash, service = name.partition("/")
    for part in (project, service) if slash else (project,):
        _check_form(
            _CONTAINER, part, "for compose: write `compose:PROJECT` or `compose:PROJECT/SERVICE`"
        )
    return Selector("compose", project, service if slash else None, negated)


def _check_form(form: re.Pattern[str], name: str, how: str) -> None:
    check_text(name)
    if not form.fullmatch(name):
        raise WordError(f"{shown(name)} is no name {how}")


def _check_exact_name(kind: str, name: str) -> None:
    check_text(name)
    if "*" in name:
        raise WordError(f"{shown(f'{kind}:{name}')}: `{kind}:` takes one exact name: leave out `*`")


def _why_no_kind(kind: str, name: str) -> str:
    word = shown(f"{kind}:{name}")
    try:
        parse_range(name)
    except WordError:
        kinds = ", ".join(f"`{known}:`" for known in SELECTOR_KINDS)
        near = did_you_mean(kind, SELECTOR_KINDS) or f": write a container's name or one of {kinds}"
        return f"{word}: there is no selector {shown(kind + ':')}{near}"
    return f"{word} holds a port: write {shown(kind)} here and the port in `ports`"
