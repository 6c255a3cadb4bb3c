"""Tables of iptables, anybody's -> `ForeignTable`s. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from ipaddress import ip_network
from typing import Any

from dockerfw.kernel.iptables.parse import interface_pattern, port_range, split_words
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
from dockerfw.model.host import Flavour
from dockerfw.model.net import Family
from dockerfw.plan.state import LiveRule, TablesState
from dockerfw.rules.names import is_our_chain

TABLES = ("raw", "mangle", "nat", "filter")
_HOOKS: Mapping[str, Hook] = {"PREROUTING": "prerouting", "FORWARD": "forward", "INPUT": "input"}
_VERDICTS: Mapping[str, ForeignVerdict] = {
    "ACCEPT": "accept",
    "DROP": "drop",
    "REJECT": "drop",
    "RETURN": "return",
    # A program decides.
    "NFQUEUE": "drop",
    "NOTRACK": "notrack",
    "FLOWOFFLOAD": "flow",
}
# Options that ask nothing, or what every packet in question has.
_NOTHING = ("--comment", "--reject-with", "--notrack")
# Modules that ask nothing without options of their own; all others ask by their name alone.
_ONLY_OPTIONS = (
    *("addrtype", "comment", "conntrack", "icmp", "icmp6", "multiport", "rpfilter", "state"),
    *("tcp", "udp", "sctp", "dccp", "udplite"),
)


def foreign_tables(state: TablesState, flavour: Flavour) -> Iterator[ForeignTable]:
    """Yield the tables, without our chains."""
    for table in TABLES:
        chains = state.tables.get(table, {})
        yield ForeignTable(
            state.family,
            {
                name: ForeignChain(
                    f"{table} {name} of ip{'6' if state.family == 6 else ''}tables-{flavour}",
                    tuple(_rules(chain.rules, state.family, frozenset(chains))),
                    # Nothing may be dropped in nat.
                    _HOOKS.get(name) if chain.policy != "-" and table != "nat" else None,
                    drops=chain.policy == "DROP",
                )
                for name, chain in chains.items()
                if not is_our_chain(name)
            },
        )


def _rules(
    rules: tuple[LiveRule, ...], family: Family, known: frozenset[str]
) -> Iterator[ForeignRule]:
    for rule in rules:
        target = rule.target or ""
        if is_our_chain(target):
            continue
        words = split_words(rule.text)
        asked = _asked(words, family)
        if target in known:
            yield ForeignRule(rule.text, asked, "goto" if rule.goto else "jump", target)
        elif target in _VERDICTS:
            if target == "NFQUEUE":
                asked = replace(asked, unread=True)
            yield ForeignRule(rule.text, asked, _VERDICTS[target])
        elif target == "CT" and "--notrack" in words:
            yield ForeignRule(rule.text, asked, "notrack")


def _asked(words: list[str], family: Family) -> Asked:
    if "rpfilter" in words and "--invert" in words:
        # The way back leads elsewhere: who claims no false source is not meant.
        return Asked(family, states=NEVER)
    asked = Asked(family)
    rest = iter(words)
    for word in rest:
        negated = word == "!"
        option = next(rest, "") if negated else word
        if not option.startswith("-"):
            continue  # a second value
        value = next(rest, "")
        if option in ("-j", "-g", *_NOTHING):
            continue
        if option == "--tcp-flags":
            value = f"{value} {next(rest, '')}"
        try:
            asked = asked.also(Asked(**_condition(option, value, negated=negated)))
        except ValueError:
            asked = replace(asked, unread=True)
    return asked


def _condition(  # noqa: C901 - one case a condition
    option: str, value: str, *, negated: bool
) -> dict[str, Any]:
    """Return the fields of `Asked` for one condition; `ValueError` for one that is not known."""
    match option:
        case "-m" if value in _ONLY_OPTIONS:
            return {}
        case "-i":
            return {"in_interface": NameAsked(interface_pattern(value), negated)}
        case "-o":
            return {"out_interface": NameAsked(interface_pattern(value), negated)}
        case "-s":
            return {"source": NetworksAsked((ip_network(value),), negated)}
        case "-d":
            return {"destination": NetworksAsked((ip_network(value),), negated)}
        case "-p" if not negated:
            return {"protocol": "icmp" if value == "ipv6-icmp" else value}
        case "--dport" | "--dports" if not negated:
            return {"ports": tuple(port_range(part) for part in value.split(","))}
        case "--ctstate" | "--state" if not negated:
            return {"states": frozenset(value.split(","))}
        case "--ctorigdstport" if not negated:
            return {"original_ports": (port_range(value),)}
        case "--dst-type" if "," not in value:
            return {"destination_type": NameAsked(value, negated)}
        case "--ctdir" | "--tcp-flags" | "--rt-type":
            begins = _begins(option, value) != negated
            return {} if begins else {"states": NEVER}
    raise ValueError(option)


def _begins(option: str, value: str) -> bool:
    """Return True if what begins a connection is what this condition is about."""
    if option == "--ctdir":
        return value == "ORIGINAL"
    if option == "--tcp-flags":
        looked_at, wanted = value.split()
        return wanted == ("SYN" if "SYN" in looked_at.split(",") else "NONE")
    return False  # an IPv6 header that no ordinary packet has
