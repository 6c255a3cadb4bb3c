"""Tables that others wrote with nft, as ``nft --json`` prints them -> `ForeignTable`s. Pure.

What is written in a form that is not known here counts as one more condition, which a packet may
meet or not.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from dockerfw.kernel.nft.printed import FAMILIES, named_elements, network, plain, port_range
from dockerfw.model.foreign import (
    NEVER,
    Asked,
    ForeignChain,
    ForeignRule,
    ForeignTable,
    ForeignVerdict,
    Hook,
    NameAsked,
    NetworksAsked,
)
from dockerfw.model.net import Family

_HOOKS: Mapping[str, Hook] = {"prerouting": "prerouting", "forward": "forward", "input": "input"}
_VERDICTS: Mapping[str, ForeignVerdict] = {
    "accept": "accept",
    "drop": "drop",
    "reject": "drop",
    "return": "return",
    # A program decides.
    "queue": "drop",
}
_PAST_RULES: Mapping[str, ForeignVerdict] = {"notrack": "notrack", "flow": "flow"}
_PROTOCOL = {"meta": {"key": "l4proto"}}
_ICMP = ("icmp", "icmpv6")
_FEW = ("inet_service", "ifname", "inet_proto")
_DESTINATION_TYPE = {"result": "type", "flags": ["daddr"]}
_STATEMENTS = ("counter", "log", "mangle")
_HANDLE = re.compile(r"^\s*(.*?) # handle (\d+)$", re.MULTILINE)


def foreign_table(text: str, listing: str, *sets: str) -> ForeignTable | None:
    """Return one table; None where the text is not what nft prints.

    ``listing`` is the table as ``nft --handle`` lists it: the words for people. ``sets`` are those
    of its sets and maps whose elements ``text`` leaves out and that were listed by themselves; what
    the others hold is not known.
    """
    words = {int(handle): rule for rule, handle in _HANDLE.findall(listing)}
    try:
        listed = [item for one in sets for item in json.loads(one)["nftables"]]
        return _table(json.loads(text)["nftables"], named_elements(listed), words)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def small_sets(text: str) -> list[tuple[str, str]]:
    """Return the sets and maps of a table that hold few elements at the most, as their kind
    (``set`` or ``map``) and name: of ports, of interfaces, and of verdicts.
    """
    try:
        items = json.loads(text)["nftables"]
        return [
            (kind, str(item[kind]["name"]))
            for item in items
            for kind in ("set", "map")
            if kind in item
            and (item[kind].get("map") == "verdict" or item[kind].get("type") in _FEW)
        ]
    except (ValueError, KeyError, TypeError, AttributeError):
        return []


def _table(
    items: list[dict[str, Any]], listed: Mapping[str, list[Any]], words: Mapping[int, str]
) -> ForeignTable:
    shown = {name: held for name, held in named_elements(items).items() if held}
    named = {**shown, **listed}
    table = next(item["table"] for item in items if "table" in item)
    family = FAMILIES.get(table["family"])
    rules: dict[str, list[ForeignRule]] = {}
    for item in items:
        if "rule" in item:
            rule = item["rule"]
            text = words.get(rule["handle"], f"the rule with handle {rule['handle']}")
            reader = _Reader(named, text)
            rules.setdefault(rule["chain"], []).extend(reader.rules(family, rule["expr"]))
    chains = {}
    for item in items:
        if "chain" in item:
            chain = item["chain"]
            filters = chain.get("type") == "filter"
            chains[chain["name"]] = ForeignChain(
                f"chain {chain['name']} of nft's table {table['family']} {table['name']}",
                tuple(rules.get(chain["name"], ())),
                _HOOKS.get(chain.get("hook", "")) if filters else None,
                drops=chain.get("policy") == "drop",
            )
    return ForeignTable(family, chains)


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads the expressions of one rule, in their order."""

    named: Mapping[str, list[Any]]
    text: str

    def rules(
        self, family: Family | None, expressions: list[dict[str, Any]]
    ) -> Iterator[ForeignRule]:
        # More than one where a rule is for several protocols.
        asked = [Asked(family)]
        for expression in expressions:
            kind = next(iter(expression))
            if kind == "match":
                asked = [one for held in asked for one in self._matched(held, expression["match"])]
                continue
            for one in asked:
                yield from self._done(one, kind, expression)
            if kind not in (*_STATEMENTS, *_PAST_RULES, *_VERDICTS, "vmap", "jump", "goto"):
                asked = [replace(one, unread=True) for one in asked]

    def _matched(self, asked: Asked, match: Mapping[str, Any]) -> Iterator[Asked]:
        """Yield what is asked with one more condition; several of which one has to hold."""
        negated = match["op"] == "!="
        known = match["op"] in ("==", "in", "!=")
        values = self._values(match["right"]) if known else None
        left = match["left"]
        if left == _PROTOCOL and values and not negated:
            for value in values:
                yield _narrowed(asked, left, [value])
        else:
            yield _narrowed(asked, left, values, negated=negated)

    def _done(self, asked: Asked, kind: str, expression: dict[str, Any]) -> Iterator[ForeignRule]:
        if kind == "vmap":
            vmap = expression["vmap"]
            entries = self._values(vmap["data"])
            for key, verdict in entries or ():
                yield from self._ends(_narrowed(asked, vmap["key"], [plain(key)]), verdict)
            if entries is None:  # it may do anything
                yield ForeignRule(self.text, replace(asked, unread=True), "accept")
                yield ForeignRule(self.text, replace(asked, unread=True), "drop")
        elif kind in ("jump", "goto", *_VERDICTS):
            yield from self._ends(asked, expression)
        elif kind in _PAST_RULES:
            yield ForeignRule(self.text, asked, _PAST_RULES[kind])

    def _ends(self, asked: Asked, verdict: Mapping[str, Any]) -> Iterator[ForeignRule]:
        kind = next(iter(verdict))
        if kind == "jump":
            yield ForeignRule(self.text, asked, "jump", verdict["jump"]["target"])
        elif kind == "goto":
            yield ForeignRule(self.text, asked, "goto", verdict["goto"]["target"])
        elif kind in _VERDICTS:
            unread = asked.unread or kind == "queue"
            yield ForeignRule(self.text, replace(asked, unread=unread), _VERDICTS[kind])

    def _values(self, right: Any) -> list[Any] | None:
        if isinstance(right, str) and right.startswith("@"):
            return self.named.get(right)
        if isinstance(right, dict) and "set" in right:
            return list(right["set"])
        return right if isinstance(right, list) else [right]


def _narrowed(asked: Asked, left: Any, values: list[Any] | None, *, negated: bool = False) -> Asked:
    """Return what is asked with one more condition."""
    try:
        found = _condition(asked, left, values, negated=negated) if values is not None else None
    except (ValueError, KeyError, TypeError):
        found = None
    return found or replace(asked, unread=True)


def _condition(  # noqa: C901 - one case a condition
    asked: Asked, left: Any, values: list[Any], *, negated: bool
) -> Asked | None:
    meta = left.get("meta", {}).get("key")
    payload = left.get("payload", {})
    if meta in ("iifname", "iif") and len(values) == 1:
        return asked.also(Asked(in_interface=NameAsked(str(values[0]), negated)))
    if meta in ("oifname", "oif") and len(values) == 1:
        return asked.also(Asked(out_interface=NameAsked(str(values[0]), negated)))
    if payload.get("protocol") in FAMILIES and payload.get("field") in ("saddr", "daddr"):
        networks = NetworksAsked(tuple(map(network, values)), negated)
        family = FAMILIES[payload["protocol"]]
        if payload["field"] == "saddr":
            return asked.also(Asked(family=family, source=networks))
        return asked.also(Asked(family=family, destination=networks))
    if left.get("fib", {}).get("result") == "oif" and values == [False] and not negated:
        # The way back leads elsewhere: who claims no false source is not meant.
        return asked.also(Asked(states=NEVER))
    if left.get("fib") == _DESTINATION_TYPE and len(values) == 1:
        return asked.also(Asked(destination_type=NameAsked(str(values[0]).upper(), negated)))
    if negated:
        return None
    if payload.get("field") == "dport":
        protocol = asked.protocol if payload["protocol"] == "th" else payload["protocol"]
        return asked.also(Asked(protocol=protocol, ports=tuple(map(port_range, values))))
    if meta == "l4proto" and len(values) == 1:
        return asked.also(Asked(protocol=str(values[0]).replace("ipv6-icmp", "icmp")))
    if meta == "nfproto" and len(values) == 1:
        return asked.also(Asked(family=FAMILIES[values[0]]))
    if payload.get("protocol") in _ICMP:
        return asked.also(Asked(protocol="icmp", unread=True))
    return _of_connection(asked, left.get("ct", {}), values)


def _of_connection(asked: Asked, tracked: Any, values: list[Any]) -> Asked | None:
    if tracked.get("key") in ("state", "status"):
        return asked.also(Asked(states=frozenset(str(value).upper() for value in values)))
    if tracked.get("key") == "proto-dst" and tracked.get("dir") == "original":
        return asked.also(Asked(original_ports=tuple(map(port_range, values))))
    return None
