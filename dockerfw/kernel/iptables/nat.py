"""The chains of iptables' table ``nat`` -> `NatRule`s, but for Docker's own chains. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from ipaddress import ip_address, ip_network

from dockerfw.kernel.iptables.parse import port_range, split_words
from dockerfw.kernel.nat import NatRule
from dockerfw.model.docker_names import is_docker_chain
from dockerfw.model.net import Address
from dockerfw.plan.state import ChainState, LiveRule

START = "PREROUTING"
_ENDS = ("ACCEPT", "RETURN")
# Options that ask for what is read here, or for nothing.
_KNOWN = frozenset(("-p", "-d", "--dport", "--dports", "--dst-type", "-m", "--comment", "-j", "-g"))
_KNOWN |= {"--to-destination", "--to-ports", "--random", "--random-fully", "--persistent"}
_TO = re.compile(r"(?:\[([0-9a-fA-F:.]+)\]|([0-9.]+)|([0-9a-fA-F:]+))(?::(\d+)(?:-\d+.*)?)?")


def nat_rules(chains: Mapping[str, ChainState]) -> dict[str, tuple[NatRule, ...]]:
    """Return the rules of each chain that jump or rewrite; of one that rewrites and cannot be read
    that much is known.
    """
    return {
        name: tuple(found for rule in chain.rules if (found := _rule(rule)) is not None)
        for name, chain in chains.items()
        if not is_docker_chain(name)
    }


def _rule(rule: LiveRule) -> NatRule | None:
    if rule.target is None or is_docker_chain(rule.target):
        return None
    words = split_words(rule.text)
    options = _options(words)
    try:
        found = replace(_conditions(options), conditional=_asks_more(words, options))
    except ValueError:
        found = NatRule(conditional=True)
    if rule.target in ("DNAT", "REDIRECT"):
        to = _destination(rule.target, options)
        return replace(found, to=to, unread=to is None)
    if rule.target in _ENDS:
        return replace(found, stops=True)
    return replace(found, jump=rule.target)


def _asks_more(words: list[str], options: Mapping[str, str]) -> bool:
    """Return True if packets to the ports and addresses of `_conditions` may pass the rule by."""
    elsewhere = options.get("--dst-type", "LOCAL") != "LOCAL"
    return "!" in words or elsewhere or bool(options.keys() - _KNOWN)


def _options(found: list[str]) -> dict[str, str]:
    """Return options with their values; one that is negated excludes little, and is left out."""
    return {
        word: value
        for before, word, value in zip(["", *found], found, [*found[1:], ""], strict=False)
        if word.startswith("-") and before != "!"
    }


def _conditions(options: Mapping[str, str]) -> NatRule:
    ports = options.get("--dport") or options.get("--dports")
    network = options.get("-d")
    return NatRule(
        protocol=options.get("-p"),
        ports=tuple(map(port_range, ports.split(","))) if ports else None,
        networks=(ip_network(network),) if network else None,
    )


def _destination(
    target: str, options: Mapping[str, str]
) -> tuple[Address | None, int | None] | None:
    """Return what `NatRule.to` is; None where it cannot be read."""
    try:
        if target == "REDIRECT":
            port = options.get("--to-ports")
            return None, int(port) if port else None
        found = _TO.fullmatch(options.get("--to-destination", ""))
        if found is None:
            return None
        return ip_address(found[1] or found[2] or found[3]), int(found[4]) if found[4] else None
    except ValueError:
        return None
