"""The text of ``iptables-save`` -> tables of `LiveRule`s.

Pure. Of a foreign rule it reads where the packet goes and which bits of the mark it may change; of
one of ours the whole meaning. What it cannot read is kept as text.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import ip_network
from itertools import pairwise
from typing import Literal

from dockerfw.plan.state import ChainState, LiveRule
from dockerfw.rules.names import is_our_chain
from dockerfw.rules.rule import (
    LOG_PREFIX,
    TABLES,
    AddressType,
    AddToSet,
    BridgedToOthers,
    ConnState,
    DestNetwork,
    DestPorts,
    Drop,
    Goto,
    IcmpTypes,
    InInterface,
    InSet,
    Limit,
    Log,
    Marked,
    Match,
    NoSyn,
    NoTarget,
    NotTcp,
    Reject,
    Reply,
    Return,
    Rule,
    SetMark,
    SourceNetwork,
    Stray,
    Target,
    Unlabelled,
    WayBack,
)

_DIGEST = re.compile(r"\[([0-9a-f]{8})\]")
# A word is in quotes where it has blanks or signs in it; there a backslash is before `"` and `\`.
_WORD = re.compile(r'"((?:[^"\\]|\\.)*)"(?!\S)|(\S+)')
_ESCAPED = re.compile(r'\\(["\\])')
_COUNTED = re.compile(r"^\[(\d+):(\d+)\] -A (\S+)")
_INTERFACE = re.compile(r"(?:^| )-[io] (\S+)")
_NUMBER = re.compile(r"0x[0-9a-fA-F]+|[0-9]+")
_ALL_BITS = 0xFFFFFFFF
_SIDES: Mapping[str, Literal["src", "dst"]] = {"src": "src", "dst": "dst"}
_ADDRESS_TYPES: Mapping[str, Literal["LOCAL", "UNICAST", "BROADCAST"]] = {
    "LOCAL": "LOCAL", "UNICAST": "UNICAST", "BROADCAST": "BROADCAST",
}  # fmt: skip
_STATES: Mapping[str, Literal["RELATED", "DNAT"]] = {"RELATED": "RELATED", "DNAT": "DNAT"}


def parse(text: str, tables: Collection[str] = TABLES) -> dict[str, dict[str, ChainState]]:
    """Return table -> chain -> `ChainState`, of those tables alone; counters are left out.

    Of the others, no line is read: ``nat`` of a kube-proxy has tens of thousands.
    """
    policies: dict[str, dict[str, str]] = {}
    rules: dict[tuple[str, str], list[LiveRule]] = {}
    for table, line in _table_lines(text):
        if table not in tables:
            continue
        if line.startswith(":"):
            name, policy = line[1:].split(" ", 2)[:2]
            policies.setdefault(table, {})[name] = policy
        elif line.startswith("-A "):
            name, _, rule = line[3:].partition(" ")
            rules.setdefault((table, name), []).append(parse_rule(rule, ours=is_our_chain(name)))
    return {
        table: {
            name: ChainState(policy, tuple(rules.get((table, name), ())))
            for name, policy in chains.items()
        }
        for table, chains in policies.items()
    }


def parse_counters(text: str) -> dict[tuple[str, str], list[tuple[int, int]]]:
    """Return (table, chain) -> (packets, bytes) of each rule, of ``iptables-save -c``."""
    counted: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for table, line in _table_lines(text):
        if rule := _COUNTED.match(line):
            numbers = (int(rule.group(1)), int(rule.group(2)))
            counted.setdefault((table, rule.group(3)), []).append(numbers)
    return counted


def interfaces(rule: LiveRule) -> list[str]:
    """Return the interfaces that a rule names, in or out."""
    return _INTERFACE.findall(rule.text)


def _table_lines(text: str) -> Iterator[tuple[str, str]]:
    table = ""
    for line in text.splitlines():
        if line.startswith("*"):
            table = line[1:]
        elif line and not line.startswith("#") and line != "COMMIT":
            yield table, line


# --- one rule ------------------------------------------------------------------------------------


def parse_rule(text: str, *, ours: bool) -> LiveRule:
    """Return one rule, without ``-A CHAIN``; ``ours``: it stands in a chain of ours."""
    words = split_words(text)
    option, target = next(((o, t) for o, t in pairwise(words) if o in ("-j", "-g")), ("-j", None))
    found = _DIGEST.search(text)
    return LiveRule(
        text,
        target,
        goto=option == "-g",
        bare=words[:1] == [option] and len(words) == 2,
        mark_bits=_written_bits(words, target),
        identity=found.group(1) if found else None,
        meaning=_Reader(words).rule() if ours and found else None,
    )


def split_words(text: str) -> list[str]:
    """Return the words of a rule, those in quotes without them."""
    if '"' not in text:
        return text.split()
    return [_ESCAPED.sub(r"\1", quoted) if quoted else word for quoted, word in _WORD.findall(text)]


def interface_pattern(name: str) -> str:
    """Return the name of an interface as dockerfw has it: ``*`` at the end matches any rest."""
    return f"{name[:-1]}*" if name.endswith("+") else name


def port_range(text: str) -> tuple[int, int]:
    """Return the first and the last of ``80`` or ``8000:8100``."""
    first, _, last = text.partition(":")
    return int(first), int(last or first)


def _written_bits(words: list[str], target: str | None) -> int:
    """The bits of the packet mark that a rule may change."""
    values = dict(pairwise(words))
    if target == "MARK":
        return _either(values.get("--set-xmark") or values.get("--set-mark") or "0xffffffff")
    if target == "CONNMARK" and "--restore-mark" in words:
        mask = values.get("--mask", "0xffffffff")
        return _number(values.get("--nfmask", mask)) | _number(values.get("--ctmask", mask))
    if target == "TPROXY" and "--tproxy-mark" in values:
        return _either(values["--tproxy-mark"])
    if target == "HMARK":
        return _ALL_BITS
    return 0


def _either(mark: str) -> int:
    """``VALUE/MASK``: the mask's bits are cleared, the value's are turned over."""
    value, _, mask = mark.partition("/")
    return _number(value) | _number(mask or "0xffffffff")


def _number(text: str) -> int:
    if _NUMBER.fullmatch(text) is None:
        return _ALL_BITS
    return int(text, 16 if text.startswith("0x") else 10)


# --- a rule of ours ------------------------------------------------------------------------------


class _UnreadableError(Exception):
    """An option that no rule of ours has."""


@dataclass(slots=True)
class _Reader:
    """Reads the options of one rule, in whatever order the tool prints them."""

    words: list[str]
    _rest: Iterator[str] = field(init=False, repr=False)
    _matches: list[Match] = field(default_factory=list)
    _protocol: str = ""
    _ports: bool = False
    _target: Target = field(default_factory=NoTarget)
    _comment: str = ""

    def rule(self) -> Rule | None:
        """Return the rule; None if it is none that this version writes."""
        self._rest = iter(self.words)
        try:
            for word in self._rest:
                negated = word == "!"
                self._take(next(self._rest, "") if negated else word, negated=negated)
        except (ValueError, KeyError, _UnreadableError):
            return None
        if self._protocol and not self._ports:
            self._matches.append(self._whole_protocol())
        return Rule(tuple(self._matches), self._target, self._comment)

    def _next(self) -> str:
        return next(self._rest, "")

    def _take(self, option: str, *, negated: bool) -> None:
        match option:
            case "-m":
                if self._next() == "rpfilter":
                    self._matches.append(WayBack())
            case "--update-counters" | "--physdev-is-bridged" | "--invert" | "--exist":
                self._take_flag(option)
            case "-s" if not negated:
                self._matches.append(SourceNetwork(ip_network(self._next())))
            case "-p":
                self._take_protocol(self._next(), negated=negated)
            case "-i":
                self._matches.append(InInterface(interface_pattern(self._next()), negated))
            case "-d":
                self._matches.append(DestNetwork(ip_network(self._next()), negated))
            case "-j" | "-g" | "--set-xmark" | "--reject-with" | "--add-set" | "--log-prefix":
                self._take_target(option)
            case "--comment":
                self._comment = _DIGEST.sub("", self._next()).strip()
            case _:
                self._take_match(option, negated=negated)

    def _take_flag(self, option: str) -> None:
        match option:
            case "--physdev-is-bridged":
                self._matches.append(BridgedToOthers())
            case "--invert":
                self._matches[self._matches.index(WayBack())] = WayBack(negated=True)
            case "--exist" if isinstance(self._target, AddToSet):
                self._target = replace(self._target, again=True)
            case _:
                pass  # --update-counters, of a negated set

    def _take_protocol(self, protocol: str, *, negated: bool) -> None:
        if not negated:
            self._protocol = protocol
        elif protocol == "tcp":
            self._matches.append(NotTcp())
        else:
            raise _UnreadableError(protocol)

    def _take_match(self, option: str, *, negated: bool) -> None:
        value = self._next()
        match option:
            case "--match-set":
                self._matches.append(InSet(value, self._sides(), negated))
            case "--src-type" | "--dst-type":
                side = _SIDES[option[2:5]]
                self._matches.append(AddressType(side, _ADDRESS_TYPES[value], negated))
            case "--mark":
                bits, _, mask = value.partition("/")
                whole = int(mask or "0xffffffff", 0)
                self._matches.append(Marked(int(bits, 0), whole, negated))
            case "--physdev-out" if negated and value == "veth+":
                pass  # of `BridgedToOthers`
            case "--ctdir" | "--ctstate":
                self._take_conntrack(value, negated=negated)
            case "--limit" if value.endswith("/sec"):
                self._matches.append(Limit(int(value.removesuffix("/sec")), self._burst()))
            case "--label" if negated:
                self._matches.append(Unlabelled(int(value)))
            case _:
                self._take_port(option, value)

    def _sides(self) -> tuple[Literal["src", "dst"], ...]:
        return tuple([_SIDES[side] for side in self._next().split(",")])

    def _burst(self) -> int:
        option = self._next()
        if option != "--limit-burst":
            raise _UnreadableError(option)
        return int(self._next())

    def _take_conntrack(self, value: str, *, negated: bool) -> None:
        if value in ("REPLY", "ORIGINAL"):
            self._matches.append(Reply(negated=value == "ORIGINAL"))
        elif value in _STATES:
            self._matches.append(ConnState(_STATES[value], negated))
        elif value != "NEW" or not self._ports:  # the second half of `Stray`
            raise _UnreadableError(value)

    def _take_port(self, option: str, value: str) -> None:
        self._ports = True
        match option:
            case "--dport":
                self._matches.append(DestPorts(self._protocol, *port_range(value)))
            case "--icmp-type" | "--icmpv6-type":
                self._matches.append(IcmpTypes(int(value)))
            case "--sport" if value == "1:32767":
                self._matches.append(Stray())
            case "--tcp-flags":
                self._next()
                if Stray() not in self._matches:
                    self._matches.append(NoSyn())
            case _:
                raise _UnreadableError(option)

    def _take_target(self, option: str) -> None:
        value = self._next()
        match option, value:
            case "-g", _:
                self._target = Goto(value)
            case "--set-xmark", _:
                bits, _, mask = value.partition("/")
                self._target = SetMark(int(bits, 0), int(mask or "0xffffffff", 0))
            case "--add-set", _:
                self._target = AddToSet(value, self._sides())
            case "--log-prefix", value if value == LOG_PREFIX:
                self._target = Log()
            case "--reject-with", _:
                self._target = Reject(tcp_reset=value == "tcp-reset")
            case "-j", "RETURN":
                self._target = Return()
            case "-j", "DROP":
                self._target = Drop()
            case "-j", "REJECT" | "MARK" | "SET" | "LOG":
                pass  # their options tell
            case _:
                raise _UnreadableError(value)

    def _whole_protocol(self) -> Match:
        if self._protocol in ("icmp", "ipv6-icmp"):
            return IcmpTypes()
        return DestPorts(self._protocol, 0, 65535)
