"""What the policy of now says of a recorded denial, and the rule that would let its source in.

Pure. Takes `Denial`s, the policy in force, what runs and the facts of this host; gives `Row`s with
a reason and, where one rule would do, its lines. The verdict is that of `explain`, for each address
of a source that the policy tells apart from others, coming in where answers to it leave: a record
does not tell the interface. A rule that the parser would refuse, or that is for nobody in
particular, is never proposed: then the reason says why not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from ipaddress import IPv6Network, ip_address, ip_network
from itertools import islice

from dockerfw.errors import PolicyError
from dockerfw.model.denial import Denial
from dockerfw.model.host import HostFacts
from dockerfw.model.inventory import Container, Inventory, Network
from dockerfw.model.net import Address, IPNetwork
from dockerfw.model.policy import Policy, outside_networks, parts
from dockerfw.policy.document import Document
from dockerfw.policy.parser import parse
from dockerfw.report.denied import NOT_ASKED, Names, Row
from dockerfw.report.explain.explainer import Explainer
from dockerfw.report.explain.explanation import Row as PathRow
from dockerfw.report.explain.reader import ParsedSource, ParsedTarget
from dockerfw.report.explain.reasons import NOTHING_ALLOWS
from dockerfw.report.explain.remedy import lines_for, nobody_in_particular
from dockerfw.report.explain.routes import Sender
from dockerfw.text import network_text, printable

ALLOWED_NOW = "the policy allows it now"
STARTED_LATER = "{} has this address now, and was started later: whose it was is not known"
GONE = "no container has this address now"
NOBODY_PUBLISHES = "no container publishes this port now"
THIS_HOST = "no rule is about this host's own addresses: it reaches its containers always"
NO_SENDER = "no container has this source's address now, so no rule can name it"
TWO_NETWORKS = "several Docker networks have addresses of this source, so no one rule names it"
TOLD_APART = "the policy tells addresses of this source apart: see dockerfw explain ADDRESS"
NO_WAY = "no packet from there can come this way now"
UNNAMED = f"{NOTHING_ALLOWS}, and the name of what would be allowed cannot stand in a policy"
ONLY_ALL = f"{NOTHING_ALLOWS}, and only `all` would"
_ADDRESSES_ASKED = 16
_PREFIX = 64
_BY_PORT = ("tcp", "udp", "sctp")


class Reader:
    """Puts names to denials, and asks the policy of now about them."""

    def __init__(
        self,
        policy: Policy,
        inventory: Inventory,
        facts: HostFacts,
        started: Mapping[str, float] = NOT_ASKED,
    ) -> None:
        """``started`` as for `Names`."""
        self._policy = policy
        self._inventory = inventory
        self._names = Names(policy, inventory, facts, started)
        self._explainer = Explainer(policy, inventory, facts)

    def row(self, denial: Denial) -> Row:
        """Return the denial with its names, and what the policy of now says of it."""
        row = self._names.row(denial)
        reason, remedy = self._now(row, self._names.at(denial))
        return replace(row, reason=reason, remedy=remedy)

    def _now(self, row: Row, at: Container | None) -> tuple[str, tuple[str, ...]]:
        """Return why it is denied now, and what would allow it."""
        denial, port = row.denial, row.denial.port
        later = self._names.newcomer(denial)
        if later is not None:
            return STARTED_LATER.format(printable(later.name)), ()
        if at is None and not row.host_port:
            return GONE, ()
        if at is None and not row.container:
            return NOBODY_PUBLISHES, ()
        who = self._who(denial.source)
        if isinstance(who, str):
            return who, ()
        word, sources = who
        target = ParsedTarget(port.protocol, port.number, container=at, host_port=at is None)
        reason = self._verdict(sources, target)
        if reason != NOTHING_ALLOWS:
            return reason, ()
        if port.protocol != "icmp" and (port.protocol not in _BY_PORT or not port.number):
            return ONLY_ALL, ()
        lines = ("[[allow]]", *lines_for(target, self._inventory), f'from  = ["{word}"]')
        return (NOTHING_ALLOWS, lines) if _is_accepted(lines) else (UNNAMED, ())

    def _verdict(self, sources: Iterable[ParsedSource], target: ParsedTarget) -> str:
        """Return `NOTHING_ALLOWS` if a rule for all of them would let all of them in."""
        rows = [row for one in sources for row in self._explainer.paths.rows(one, target)]
        denied = [row for row in rows if not row.allowed]
        if not rows:
            return NO_WAY
        if not denied:
            return ALLOWED_NOW
        return next(_other_reasons(denied), NOTHING_ALLOWS)

    def _who(self, source: IPNetwork) -> tuple[str, tuple[ParsedSource, ...]] | str:
        """Return the word of ``from`` for a source, and who of it stands for all that the policy
        may tell apart; or why there is no such word.
        """
        nobody = nobody_in_particular(source)
        if nobody:
            return nobody
        inside = {n.id: n for n in self._inventory.bridges() if _meet(n, source)}
        if len(inside) > 1:
            return TWO_NETWORKS
        for network in inside.values():
            return self._inside(network, source)
        if source.num_addresses == 1 and source.network_address in self._explainer.reader.local:
            return THIS_HOST
        points = tuple(islice(self._points(source), _ADDRESSES_ASKED + 1))
        if len(points) > _ADDRESSES_ASKED:
            return TOLD_APART
        asked = (self._explainer.reader.source(str(address)) for address in points)
        return network_text(source), tuple(asked)

    def _inside(
        self, network: Network, source: IPNetwork
    ) -> tuple[str, tuple[ParsedSource, ...]] | str:
        """What was not spoofed came in on its own bridge: it is the containers there."""
        bridge = network.bridge or ""
        found = [
            (container, ParsedSource((Sender(address, bridge, network),), (), container))
            for container in self._inventory.containers
            for endpoint in container.endpoints
            for address in endpoint.addresses
            if endpoint.network_id == network.id and address in source
        ]
        if not found:
            return NO_SENDER
        one = source.num_addresses == 1
        word = f"container:{found[0][0].name}" if one else f"network:{network.name}"
        return word, tuple(parsed for _, parsed in found)

    def _points(self, source: IPNetwork) -> Iterator[Address]:
        """Yield the first address of each part of a source that the policy may tell apart."""
        yield source.network_address
        yield from sorted(self._edges.get(source, ()), key=int)

    @cached_property
    def _edges(self) -> dict[IPNetwork, set[Address]]:
        """By /64, the addresses in it at which something begins or ends that rules name."""
        found: dict[IPNetwork, set[Address]] = {}
        policy = self._policy
        named = (*policy.baseline, *(s for one in policy.statements for s in one.sources))
        for network in (n for source in parts(named) for n in outside_networks(source)):
            if network.version == 6 and network.prefixlen > _PREFIX:
                whole = IPv6Network((int(network.network_address), _PREFIX), strict=False)
                for edge in (int(network.network_address), int(network.broadcast_address) + 1):
                    address = ip_address(edge)
                    if address in whole and address != whole.network_address:
                        found.setdefault(whole, set()).add(address)
        return found


def _other_reasons(denied: Iterable[PathRow]) -> Iterator[str]:
    return (row.reason for row in denied if row.reason != NOTHING_ALLOWS)


def _meet(network: Network, source: IPNetwork) -> bool:
    return any(
        subnet.version == source.version and subnet.overlaps(ip_network(source))
        for subnet in network.subnets
    )


def _is_accepted(lines: Iterable[str]) -> bool:
    """Return True if these lines are a rule that a policy may have."""
    text = "".join(f"{line}\n" for line in lines)
    try:
        parse([Document("", text.encode())], _no_file)
    except PolicyError:
        return False
    return printable(text.replace("\n", "")) == text.replace("\n", "")


def _no_file(_document: str, path: str) -> bytes:
    raise FileNotFoundError(path)
