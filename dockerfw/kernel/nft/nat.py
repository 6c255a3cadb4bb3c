"""Tables that others wrote with nft, as ``nft --json`` prints them -> `NatRule`s. Pure.

What is written in a form that is not known here makes a rule conditional, or unread where it is
about where the rule leads: such NAT opens nothing by itself.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from typing import Any, TypeGuard

from dockerfw.kernel.nat import NatRule
from dockerfw.kernel.nft.printed import FAMILIES, named_elements, network, plain, port_range
from dockerfw.model.net import Address, Family

_MOST = 4096
"""So many addresses and ports of one rule are enough for people; else it is not read."""
_REWRITES = frozenset(("dnat", "redirect"))
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
    """Reads the expressions of one rule, in their order.

    What several values of one condition ask for may take several `NatRule`s.
    """

    named: Mapping[str, list[Any]]
    family: Family | None

    def rules(self, expressions: list[dict[str, Any]]) -> Iterator[NatRule]:
        asked = [NatRule(family=self.family)]
        for expression in expressions:
            if "match" in expression:
                asked = [one for each in asked for one in self._matching(each, expression["match"])]
            elif expression.keys() & _REWRITES:
                for each in asked:
                    yield from self._rewritten(each, expression)
            elif "vmap" in expression:
                for each in asked:
                    yield from self._by_map(each, expression["vmap"])
            elif not expression.keys() & _STATEMENTS:
                for each in asked:
                    yield from _ends(each, expression)
                asked = [replace(each, conditional=True) for each in asked]
            if len(asked) > _MOST:
                asked = [NatRule(family=self.family, unread=True)]

    def _matching(self, asked: NatRule, match: Mapping[str, Any]) -> Iterable[NatRule]:
        if match["op"] not in ("==", "in"):
            return (replace(asked, conditional=True),)
        left, values = match["left"], self._values(match["right"])
        joined = isinstance(left, dict) and "concat" in left
        if values is None or (joined and len(values) > _MOST):
            return (replace(asked, unread=True),)
        if joined or _is_protocol(left):
            return dict.fromkeys(_where(asked, left, [value]) for value in values)
        return (_where(asked, left, values),)

    def _values(self, right: Any) -> list[Any] | None:
        """Return the values, and pairs of a map; None where they are not known."""
        found = [right]
        if isinstance(right, str) and right.startswith("@"):
            if right not in self.named:
                return None
            found = self.named[right]
        elif isinstance(right, dict) and "set" in right:
            found = right["set"]
        return [plain(value) for value in found]

    def _rewritten(self, asked: NatRule, expression: Mapping[str, Any]) -> Iterator[NatRule]:
        to = expression.get("dnat") or expression.get("redirect") or {}
        address, port = to.get("addr"), to.get("port")
        by_map = address if _is_map(address) else port
        try:
            if _is_map(by_map):
                for narrowed, value in self._entries(asked, by_map["map"]):
                    yield replace(narrowed, to=_destination(address, port, value))
            else:
                yield replace(asked, to=_destination(address, port, None))
        except (ValueError, KeyError, TypeError):
            yield replace(asked, unread=True)

    def _by_map(self, asked: NatRule, vmap: Mapping[str, Any]) -> Iterator[NatRule]:
        for narrowed, verdict in self._entries(asked, vmap):
            yield from _ends(narrowed, verdict)

    def _entries(self, asked: NatRule, chosen: Mapping[str, Any]) -> Iterator[tuple[NatRule, Any]]:
        values = self._values(chosen["data"])
        if values is None:
            raise KeyError(chosen["data"])
        for key, value in values:
            yield _where(asked, chosen["key"], [plain(key)]), value


def _is_map(part: Any) -> TypeGuard[dict[str, Any]]:
    return isinstance(part, dict) and "map" in part


def _is_protocol(left: Any) -> bool:
    if not isinstance(left, dict):
        return False
    asks = left.get("meta", {}).get("key"), left.get("payload", {}).get("field")
    return asks[0] == "l4proto" or asks[1] in ("protocol", "nexthdr")


def _destination(address: Any, port: Any, chosen: Any) -> tuple[Address | None, int | None]:
    """Return where NAT leads; ``chosen`` is the value in place of what is a map.

    Raises as Python does for what is no single address or port.
    """
    if isinstance(chosen, dict):
        address, port = chosen["concat"]
    elif _is_map(address):
        address = chosen
    elif _is_map(port):
        port = chosen
    if isinstance(address, int) or isinstance(port, str):
        raise TypeError(address, port)
    return ip_address(address) if address is not None else None, port if port is None else int(port)


def _where(asked: NatRule, left: Any, values: list[Any]) -> NatRule:
    """Return the rule with one more condition: unread if it is written in a way that is not known
    here, and conditional if it is of a kind that is not.
    """
    try:
        if isinstance(left, dict) and "concat" in left:
            for part, value in zip(left["concat"], values[0]["concat"], strict=True):
                asked = _where(asked, part, [value])
            return asked
        found = _condition(asked, left, values)
    except (ValueError, KeyError, TypeError):
        return replace(asked, unread=True)
    return found or replace(asked, conditional=True)


def _condition(asked: NatRule, left: Any, values: list[Any]) -> NatRule | None:
    payload = left.get("payload", {}) if isinstance(left, dict) else {}
    meta = left.get("meta", {}).get("key") if isinstance(left, dict) else None
    protocol, name = str(payload.get("protocol")), payload.get("field")
    if name == "dport":
        known = asked.protocol if protocol == "th" else protocol
        return replace(asked, protocol=known, ports=tuple(map(port_range, values)))
    if name == "daddr" and protocol in FAMILIES:
        networks = tuple(map(network, values))
        return replace(asked, family=FAMILIES[protocol], networks=networks)
    if len(values) == 1 and _is_protocol(left):
        return replace(asked, protocol=str(values[0]))
    if len(values) == 1 and meta == "nfproto":
        return replace(asked, family=FAMILIES[values[0]])
    return asked if _is_here(left, values) else None
