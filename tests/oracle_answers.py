"""Whose packets are answers, written a second time from the promise: who began?

Pure. Takes policy, inventory and facts as ``tests/oracle.py`` does, the packet that made the entry
of a connection (`First`) and a `Question` about the container address and port that it came from;
says from whom a packet passes that travels the other way.

The reading:

* A container begins from its own address, on its own bridge: in TCP by the packet that does that,
  in other protocols by any packet from a port that it does not serve. Whoever was asked is heard.
* It serves what it publishes and what an allow opens at its address: single ports, ranges of no
  more than 1,024, and of all else the ports below 32768. ``all`` is every protocol.
* The middle of a TCP connection begins nothing; but what goes on to a port that another container
  serves, from one that nobody serves and that a kernel takes, is a client's, and was judged.
* TCP that would begin a connection is never an answer.
* Where nobody began, what would be an answer is judged as if it began.
"""

from __future__ import annotations

from dataclasses import dataclass

from dockerfw.model.host import HostFacts
from dockerfw.model.inventory import Inventory
from dockerfw.model.net import Address
from dockerfw.model.policy import BridgeSource, Policy, PortKeyword, PortRange
from tests.intervals import NOTHING, IntervalSet
from tests.oracle import WIDE, Question, allowed_sources
from tests.oracle_inventory import World, addresses_of

KERNELS_OWN = 32768


@dataclass(frozen=True, slots=True)
class First:
    """The packet that made the entry: it claims to come from what the question asks for.

    interface  it came in on
    port       it was sent to, of the peer
    begins     a TCP packet of the form that begins a connection
    """

    interface: str
    port: int
    begins: bool = True


def heard_sources(
    policy: Policy,
    inventory: Inventory,
    facts: HostFacts,
    question: Question,
    first: First,
    *,
    crossing: bool = False,
) -> IntervalSet:
    """The peers that are heard at this address and port, when the entry was made by ``first``.

    ``crossing``: what they send is a TCP packet that would begin a connection.
    """
    reading = _Answers(policy, inventory, question)
    judged = allowed_sources(policy, inventory, facts, question)
    if (question.protocol == "tcp" and crossing) or not reading.on_own_bridge(first):
        return judged
    if reading.begun(first):
        return IntervalSet.everything(question.family)
    return judged | reading.servers(first)


class _Answers:
    def __init__(self, policy: Policy, inventory: Inventory, question: Question) -> None:
        self.policy = policy
        self.world = World(inventory)
        self.question = question

    def on_own_bridge(self, first: First) -> bool:
        return any(
            self.question.address in subnet
            for network in self.world.bridges_named(first.interface)
            for subnet in network.subnets
        )

    def begun(self, first: First) -> bool:
        question = self.question
        if question.protocol in ("tcp", "icmp"):
            return first.begins
        return not self.serves(question.address, question.protocol, question.port)

    def servers(self, first: First) -> IntervalSet:
        """Who is asked by a client whose entry is gone."""
        question = self.question
        addresses = {
            a
            for c in self.world.containers
            for e in self.world.endpoints(c)
            for a in addresses_of(e)
            if a.version == question.address.version
        }
        if question.protocol != "tcp" or question.port < KERNELS_OWN:
            return NOTHING
        if self.serves(question.address, "tcp", question.port):
            return NOTHING
        asked = [a for a in addresses if self.serves(a, "tcp", first.port)]
        return IntervalSet.of_addresses(asked, question.family)

    def serves(self, address: Address, protocol: str, port: int) -> bool:
        here = [
            container
            for container in self.world.containers
            if any(address in addresses_of(e) for e in self.world.endpoints(container))
        ]
        if any((protocol, port) in self.world.published_ports(c) for c in here):
            return True
        low = port < KERNELS_OWN or protocol not in ("tcp", "udp")
        beyond = [s for s in self.policy.baseline if not isinstance(s, BridgeSource)]
        if here and beyond and low:
            return True
        return any(
            self._opens(spec, protocol, port, low)
            for allow in self.policy.allows
            if not allow.published
            for _, endpoints in self.world.named(allow.to)
            if any(address in addresses_of(e) for e in endpoints)
            for spec in allow.ports or (PortKeyword.ALL,)
        )

    @staticmethod
    def _opens(spec: PortRange | PortKeyword, protocol: str, port: int, low: bool) -> bool:
        if isinstance(spec, PortKeyword):
            return spec is PortKeyword.ALL and low
        wide = spec.last - spec.first >= WIDE
        return spec.protocol == protocol and port in spec and (low or not wide)
