"""Tables that others wrote with nft, as ``nft --json`` prints them -> `NatRule`s. Pure.

What is written in a form that is not known here is left out: such NAT opens nothing by itself.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from typing import Any

from dockerfw.kernel.nat import NatRule
from dockerfw.kernel.nft.printed import FAMILIES, named_elements, network, port_range
from dockerfw.model.net import Family

_STATEMENTS = frozenset(("counter", "log", "mangle", "notrack"))
_STOPS = frozenset(("accept", "return", "drop"))


@dataclass(slots=True)
class NatTable:
    """Chains by name, and those at which packets from outside begin."""

    chains: dict[str, tuple[NatRule, ...]] = field(default_factory=dict)
    starts: list[str] = field(default_factory=list)


def nat_table(text: str) -> NatTable:
    """Return one table; an empty one where the text is not what nft prints."""
    try:
        items: list[dict[str, Any]] = json.loads(text)["nftables"]
        return _table(items)
    except (ValueError, KeyError, TypeError, AttributeError):
        return NatTable()


def _table(items: list[dict[str, Any]]) -> NatTable:
    table = NatTable()
    named = named_elements(items)
    for item in items:
        if "chain" in item:
            chain = item["chain"]
            table.chains[chain["name"]] = ()
            if chain.get("type") == "nat" and chain.get("hook") == "prerouting":
                table.starts.append(chain["name"])
    for item in items:
        if "rule" in item:
            rule = item["rule"]
            family = FAMILIES.get(rule["family"])
            table.chains[rule["chain"]] += tuple(_Reader(named, family).rules(rule["expr"]))
    return table


def _ends(asked: NatRule, verdict: Mapping[str, Any]) -> Iterator[NatRule]:
    target = verdict.get("jump") or verdict.get("goto")
    if target:
        yield replace(asked, jump=target["target"])
    elif verdict.keys() & _STOPS:
        yield replace(asked, stops=True)


def _is_here(left: Any, values: list[Any]) -> bool:
    """Return True for ``fib daddr type local``: every packet to this host meets it."""
    fib = left.get("fib", {}) if isinstance(left, dict) else {}
    to_type = fib.get("result") == "type" and fib.get("flags") in ("daddr", ["daddr"])
    return to_type and values == ["local"]


@dataclass(slots=True)
class _Reader:
    """Reads the expressions of one rule, in their order."""

    named: Mapping[str, list[Any]]
    family: Family | None

    def rules(self, expressions: list[dict[str, Any]]) -> Iterator[NatRule]:
        asked = NatRule(family=self.family)
        for expression in expressions:
            if "match" in expression:
                asked = self._narrowed(asked, expression["match"])
            elif "dnat" in expression:
                yield from self._rewritten(asked, expression["dnat"])
            elif "redirect" in expression:
                port = (expression["redirect"] or {}).get("port")
                if port is None or isinstance(port, int):
                    yield replace(asked, to=(None, port))
            elif "vmap" in expression:
                yield from self._by_map(asked, expression["vmap"])
            elif not expression.keys() & _STATEMENTS:
                yield from _ends(asked, expression)
                asked = replace(asked, conditional=True)

    def _narrowed(self, asked: NatRule, match: Mapping[str, Any]) -> NatRule:
        if match["op"] not in ("==", "in"):
            return replace(asked, conditional=True)
        return self._where(asked, match["left"], self._values(match["right"]))

    def _where(self, asked: NatRule, left: Any, values: list[Any]) -> NatRule:
        """Return the rule with one more condition; one of another kind makes it conditional."""
        payload = left.get("payload", {}) if isinstance(left, dict) else {}
        meta = left.get("meta", {}).get("key") if isinstance(left, dict) else None
        protocol, name = str(payload.get("protocol")), payload.get("field")
        if name == "dport":
            known = asked.protocol if protocol == "th" else protocol
            return replace(asked, protocol=known, ports=tuple(map(port_range, values)))
        if name == "daddr" and protocol in FAMILIES:
            networks = tuple(map(network, values))
            return replace(asked, family=FAMILIES[protocol], networks=networks)
        if len(values) == 1 and (meta == "l4proto" or name in ("protocol", "nexthdr")):
            return replace(asked, protocol=str(values[0]))
        if len(values) == 1 and meta == "nfproto":
            return replace(asked, family=FAMILIES.get(values[0]))
        return asked if _is_here(left, values) else replace(asked, conditional=True)

    def _values(self, right: Any) -> list[Any]:
        if isinstance(right, str) and right.startswith("@"):
            return self.named[right]
        if isinstance(right, dict) and "set" in right:
            return list(right["set"])
        return [right]

    def _rewritten(self, asked: NatRule, dnat: Mapping[str, Any]) -> Iterator[NatRule]:
        address, port = dnat.get("addr"), dnat.get("port")
        if isinstance(address, dict) and "map" in address:
            for narrowed, value in self._entries(asked, address["map"]):
                parts = value["concat"] if isinstance(value, dict) else [value, port]
                yield replace(narrowed, to=(ip_address(parts[0]), parts[1]))
        elif isinstance(address, str) and (port is None or isinstance(port, int)):
            yield replace(asked, to=(ip_address(address), port))

    def _by_map(self, asked: NatRule, vmap: Mapping[str, Any]) -> Iterator[NatRule]:
        for narrowed, verdict in self._entries(asked, vmap):
            yield from _ends(narrowed, verdict)

    def _entries(self, asked: NatRule, chosen: Mapping[str, Any]) -> Iterable[tuple[NatRule, Any]]:
        for key, value in self._values(chosen["data"]):
            yield self._where(asked, chosen["key"], [key]), value
