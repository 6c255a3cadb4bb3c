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

from dockerfw.kernel.nft.printed import FAMILIES, named_elements, network, port_range
from dockerfw.model.foreign import (
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
}
_PAST_RULES: Mapping[str, ForeignVerdict] = {"notrack": "notrack", "flow": "flow"}
_STATEMENTS = ("counter", "log", "limit", "mangle")
_HANDLE = re.compile(r"^\s*(.*?) # handle (\d+)$", re.MULTILINE)


def foreign_table(text: str, listing: str) -> ForeignTable | None:
    """Return one table; None where the text is not what nft prints.

    ``listing`` is the table as ``nft --handle`` lists it: the words for people.
    """
    words = {int(handle): rule for rule, handle in _HANDLE.findall(listing)}
    try:
        return _table(json.loads(text)["nftables"], words)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _table(items: list[dict[str, Any]], words: Mapping[int, str]) -> ForeignTable:
    named = named_elements(items)
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
        asked = Asked(family)
        for expression in expressions:
            kind = next(iter(expression))
            if kind == "match":
                match = expression["match"]
                negated = match["op"] == "!="
                known = match["op"] in ("==", "in", "!=")
                values = self._values(match["right"]) if known else None
                asked = _narrowed(asked, match["left"], values, negated=negated)
            elif kind == "vmap":
                vmap = expression["vmap"]
                for key, verdict in self._values(vmap["data"]) or ():
                    yield from self._ends(_narrowed(asked, vmap["key"], [key]), verdict)
            elif kind in ("jump", "goto", *_VERDICTS):
                yield from self._ends(asked, expression)
            elif kind in _PAST_RULES:
                yield ForeignRule(self.text, asked, _PAST_RULES[kind])
            elif kind not in _STATEMENTS:
                asked = replace(asked, unread=True)

    def _ends(self, asked: Asked, verdict: Mapping[str, Any]) -> Iterator[ForeignRule]:
        kind = next(iter(verdict))
        if kind == "jump":
            yield ForeignRule(self.text, asked, "jump", verdict["jump"]["target"])
        elif kind == "goto":
            yield ForeignRule(self.text, asked, "goto", verdict["goto"]["target"])
        elif kind in _VERDICTS:
            yield ForeignRule(self.text, asked, _VERDICTS[kind])

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


def _condition(asked: Asked, left: Any, values: list[Any], *, negated: bool) -> Asked | None:
    meta = left.get("meta", {}).get("key")
    payload = left.get("payload", {})
    if meta in ("iifname", "iif") and len(values) == 1:
        return replace(asked, in_interface=NameAsked(str(values[0]), negated))
    if meta in ("oifname", "oif") and len(values) == 1:
        return replace(asked, out_interface=NameAsked(str(values[0]), negated))
    if payload.get("protocol") in FAMILIES and payload.get("field") in ("saddr", "daddr"):
        networks = NetworksAsked(tuple(map(network, values)), negated)
        family = FAMILIES[payload["protocol"]]
        if payload["field"] == "saddr":
            return replace(asked, family=family, source=networks)
        return replace(asked, family=family, destination=networks)
    if negated:
        return None
    if payload.get("field") == "dport":
        protocol = asked.protocol if payload["protocol"] == "th" else payload["protocol"]
        return replace(asked, protocol=protocol, ports=tuple(map(port_range, values)))
    if meta == "l4proto" and len(values) == 1:
        return replace(asked, protocol=str(values[0]).replace("ipv6-icmp", "icmp"))
    if meta == "nfproto" and len(values) == 1:
        return replace(asked, family=FAMILIES[values[0]])
    if left.get("ct", {}).get("key") == "state":
        return replace(asked, states=frozenset(str(value).upper() for value in values))
    return None
