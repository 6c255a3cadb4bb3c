"""``[[allow]]`` and ``[[deny]]`` -> `Allow` and `Deny`.

Takes the node of one such table and the sources that have a name, gives a value; what is wrong
becomes a finding, so that a policy with findings is never used. A new key of a rule begins here, in
``model/policy.py`` and in ``policy/json_schema.py``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Literal

from dockerfw.model.policy import Allow, Deny, PortSpec, PublishedSpec, Selector, Source
from dockerfw.policy.document import Node, check_keys, convert_all, strings, values
from dockerfw.policy.named_sources import NamedSources
from dockerfw.policy.ports import parse_port, parse_published
from dockerfw.policy.selectors import parse_target
from dockerfw.policy.words import shown

LISTS: Mapping[str, tuple[str, ...]] = {
    "allow": ("to", "ports", "published", "from", "until"),
    "deny": ("to", "ports", "published", "from"),
    "expect": ("from", "to", "is"),
}
"""The keys of each kind of statement; those of ``[[expect]]`` are read by ``expectations.py``."""
_MISPLACED: Mapping[str, Mapping[str, str]] = {
    "deny": {"until": "`until` is for [[allow]] only: a deny does not end by itself"},
}


@dataclass(frozen=True, slots=True)
class _Rule:
    """What [[allow]] and [[deny]] have in common."""

    sources: tuple[Source, ...]
    to: tuple[Selector, ...]
    ports: tuple[PortSpec, ...]
    published: tuple[PublishedSpec, ...]
    written_from: tuple[str, ...]


def statements(tables: Sequence[Node], kind: Literal["allow", "deny", "expect"]) -> list[Node]:
    """Return all tables ``[[kind]]``; keys that are unknown there become findings."""
    found = []
    for table in tables:
        node = table.get(kind)
        if node is None or not node.is_list_of_tables:
            continue
        for statement in node.elements():
            check_keys(statement, LISTS[kind], f"[[{kind}]]", _MISPLACED.get(kind, {}))
            found.append(statement)
    return found


def read_allow(node: Node, sources: NamedSources) -> Allow:
    """Return one ``[[allow]]``."""
    has_ports, has_published = "ports" in node.value, "published" in node.value
    if has_ports and has_published:
        node.error("an allow has `ports` or `published`, not both: write two [[allow]]")
    elif not has_ports and not has_published:
        node.error("an allow needs `to` with `ports`, or `published`")
    elif has_ports and "to" not in node.value:
        node.error('`ports` are ports of containers: add `to` (`to = "*"` is every container)')
    rule = _rule(node, sources, "allow")
    return Allow(
        node.origin,
        rule.sources,
        rule.to,
        rule.ports,
        rule.published,
        _until(node.get("until")),
        rule.written_from,
    )


def read_deny(node: Node, sources: NamedSources) -> Deny:
    """Return one ``[[deny]]``."""
    has_ports, has_published = "ports" in node.value, "published" in node.value
    if has_ports and has_published:
        node.error("a deny has `ports` or `published`, not both: write two [[deny]]")
    elif has_ports and "to" not in node.value:
        node.error('`ports` are ports of containers: add `to` (`to = "*"` is every container)')
    rule = _rule(node, sources, "deny")
    return Deny(node.origin, rule.sources, rule.to, rule.ports, rule.published, rule.written_from)


def _rule(node: Node, sources: NamedSources, verdict: Literal["allow", "deny"]) -> _Rule:
    if "from" not in node.value:
        node.error('no `from`: write who is meant (`from = "any"` is everyone)')
    to = strings(_not_empty(node, "to"), "the name of a container or a selector")
    source = _not_empty(node, "from")
    written = () if source is None else tuple(e.value for e in source.elements())
    return _Rule(
        sources=() if source is None else sources.read(source, verdict),
        to=convert_all(to, parse_target),
        ports=convert_all(values(_not_empty(node, "ports")), parse_port),
        published=convert_all(values(_not_empty(node, "published")), parse_published),
        written_from=tuple(word for word in written if isinstance(word, str)),
    )


def _not_empty(node: Node, key: str) -> Node | None:
    """Return what is written for a key; an empty list is reported: it could mean all or nothing."""
    found = node.get(key)
    if found is not None and found.value == []:
        found.error(f"`{key}` is empty: write at least one entry, or take the rule out")
    return found


def _until(node: Node | None) -> datetime | None:
    """Return the end of a rule in UTC. A local time would be another moment on another host."""
    if node is None:
        return None
    until = node.value
    if not isinstance(until, datetime) or until.tzinfo is None:
        local = until.isoformat() if isinstance(until, datetime) else "2027-01-31T00:00:00"
        node.error(
            f"{shown(until)}: `until` is a date-time with a zone and without quotes: "
            f"write `{local}Z` for UTC, or `{local}+01:00`, say"
        )
        return None
    try:
        return until.astimezone(timezone.utc)
    except OverflowError:
        node.error(f"{shown(until)}: `until` lies outside of the years 1 to 9999: take it out")
        return None
