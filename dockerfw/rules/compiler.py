"""(Policy, Inventory, HostFacts) -> Ruleset: what the policy means for what runs here, now.

Pure, and total: any policy and any inventory compile. See ``docs/architecture.md`` for the
kernel state, the two places of judgement (*host*: ``mangle PREROUTING``; *container*: ``filter
FORWARD``), the two classes of source (*inside*, *outside*) and the buckets.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from dockerfw.model.docker_names import VETH_PREFIX
from dockerfw.model.host import HostFacts
from dockerfw.model.inventory import Inventory, is_interface_name
from dockerfw.model.net import FAMILIES, Address, Family, IPNetwork, Port
from dockerfw.model.policy import (
    Allow,
    BridgeSource,
    Deny,
    Origin,
    Policy,
    Selector,
    may_be_inside,
)
from dockerfw.rules.buckets import BucketSets, Spot
from dockerfw.rules.chains import Skeleton
from dockerfw.rules.names import Verdict
from dockerfw.rules.records import record_sets
from dockerfw.rules.rule import Chain
from dockerfw.rules.ruleset import Element, Frames, GuardedPort, IPSet, Ruleset, Seal, ServedPorts
from dockerfw.rules.sources import SourceTerms
from dockerfw.rules.targets import TargetFinder
from dockerfw.rules.topology import guarded_ports, taken_ports, topology

_NOWHERE = Origin("", 0)
_EVERY_CONTAINER = (Selector("container", "*"),)


def compile_ruleset(policy: Policy, inventory: Inventory, facts: HostFacts) -> Ruleset:
    """Return everything that should stand in the kernel for this policy and this inventory."""

    def named(selector: Selector) -> Iterable[Address]:
        return addresses_named(inventory, selector)

    return Compiler(policy, inventory, facts, SourceTerms(named)).ruleset()


def addresses_named(inventory: Inventory, selector: Selector) -> frozenset[Address]:
    """Return the addresses of the containers that a selector names as a source."""
    return frozenset(
        address
        for _, endpoints in inventory.select([selector])
        for endpoint in endpoints
        for address in endpoint.addresses
    )


def statements(policy: Policy) -> tuple[Allow | Deny, ...]:
    """Return what the policy says of sources and targets, in the order of their indexes.

    The baseline, but for ``bridge``, is an allow for every container, and the first of them.
    """
    beyond_bridge = tuple(s for s in policy.baseline if not isinstance(s, BridgeSource))
    baseline = (Allow(_NOWHERE, beyond_bridge, _EVERY_CONTAINER),) if beyond_bridge else ()
    return (*baseline, *policy.allows, *policy.denies)


class Part(NamedTuple):
    """For who compiles an inventory in parts: what `statements` gives, and the indexes of those
    that may be about this part.
    """

    statements: tuple[Allow | Deny, ...]
    about: Sequence[int]


class Compiler:
    """All of a ruleset, or what a part of the inventory adds to its sets.

    A set holds what the policy adds to it by itself (compiled for an empty inventory), each
    network by itself, and each container together with those that share its network and with
    its networks; ``hostnet`` alone is not such a sum. `Ledger` builds on that.
    """

    def __init__(
        self,
        policy: Policy,
        inventory: Inventory,
        facts: HostFacts,
        sources: SourceTerms,
        part: Part | None = None,
    ) -> None:
        self.policy = policy
        self.inventory = inventory
        self.facts = facts
        self.statements = statements(policy) if part is None else part.statements
        self._about = range(len(self.statements)) if part is None else part.about
        self._sources = sources
        meant = (self.statements[index] for index in self._about)
        self._targets = TargetFinder(meant, inventory, facts.forwards)
        self._guarded: frozenset[GuardedPort] | None = None
        self._host_bit = policy.mark & -policy.mark
        self._ok_bit = policy.mark ^ self._host_bit
        self._observe = policy.mode == "observe"
        self._bridge_baseline = any(isinstance(s, BridgeSource) for s in policy.baseline)

    def ruleset(self) -> Ruleset:
        chains: list[Chain] = []
        sets: list[IPSet] = []
        for family in self.facts.families:
            buckets = self.buckets(family, range(len(self.statements)))
            chains += self._skeleton().chains(family, buckets.rules())
            sets += self.topology(family) + buckets.ipsets() + record_sets(family)
        return Ruleset(
            chains=tuple(chains),
            sets=tuple(sorted(sets, key=lambda s: s.name)),
            seal=self.seal(),
            mark_host=self._host_bit,
            mark_ok=self._ok_bit,
        )

    # the statements

    def added(self, family: Family, indexes: Iterable[int]) -> Mapping[str, set[Element]]:
        """Return the elements that these statements add, by the names of the sets."""
        return self.buckets(family, indexes).elements

    def concerns(self, statement: Allow | Deny) -> bool:
        """Return True if a statement names a container of this inventory; without ``to`` none."""
        return bool(statement.to) and bool(self.inventory.select(statement.to))

    def buckets(self, family: Family, indexes: Iterable[int]) -> BucketSets:
        """Return the buckets of these statements, by their indexes in `statements`."""
        sets = BucketSets(family)
        for index in indexes:
            self._fill(sets, index, self.statements[index])
        return sets

    def _fill(self, sets: BucketSets, index: int, statement: Allow | Deny) -> None:
        verdict: Verdict = "deny" if isinstance(statement, Deny) else "allow"
        until = None if isinstance(statement, Deny) else statement.end
        targets = self._targets.find(sets.family, statement)
        for cls, terms in self._sources.terms(index, statement, sets.family).items():
            for term in terms:
                for place, there in targets.items():
                    sets.put(Spot(place, cls, verdict, until), term, there)

    # what is where

    def named_host_ports(self) -> frozenset[Port]:
        """Return the ports of host-network containers that rules name."""
        return frozenset[Port]().union(*self._targets.named_host_ports.values())

    def topology(self, family: Family) -> list[IPSet]:
        named = self._targets.named_host_ports
        return topology(self.inventory, named, self.facts.forwards, family, self.guarded_ports())

    def guarded_ports(self) -> frozenset[GuardedPort]:
        """Return the host ports that are guarded, of the families that this host has."""
        if self._guarded is None:
            found = guarded_ports(self.inventory, self._targets.named_host_ports)
            self._guarded = frozenset(port for port in found if port[1] in self.facts.families)
        return self._guarded

    def served_ports(self, indexes: Iterable[int]) -> frozenset[ServedPorts]:
        """Return the ports that containers serve, by these statements, of this host's families."""
        found = self._targets.served(self.statements[index] for index in indexes)
        return frozenset(one for one in found if one[0].version in self.facts.families)

    def taken_ports(self) -> Iterator[tuple[IPNetwork, Port]]:
        """Yield where on this host containers on bridges publish ports."""
        for family in self.facts.families:
            yield from taken_ports(self.inventory, family)

    # chains and seal

    def seal(self) -> Seal:
        docker = {n.bridge for n in self.inventory.bridges() if n.bridge}
        return Seal(
            mark=self.policy.mark,
            observe=self._observe,
            inside=self._bridge_baseline and not self._inside_denied(),
            shut=self.policy.locked_down,
            bridges=frozenset(docker),
            # One that nft cannot be given is sealed: who needs it is warned.
            foreign_bridges=frozenset(
                name for name in self.facts.foreign_bridges - docker if is_interface_name(name)
            ),
            mixed_bridges=frozenset(
                n.bridge for n in self.inventory.bridges() if n.foreign_ports and n.bridge
            ),
            guarded=self.guarded_ports(),
            served=self.served_ports(self._about),
            host_network=any(
                selector.exact_container for s in self.statements for selector in s.to
            ),
            proxies=self.facts.proxy.cgroup,
            dockerd_ports=self.facts.proxy.dockerd_ports,
            labels=self.facts.labels,
            frames=self._frames() if self.facts.frames else None,
        )

    def _inside_denied(self) -> bool:
        """Even of containers that do not run: rules depend on the policy."""
        return any(may_be_inside(s) for deny in self.policy.denies for s in deny.sources)

    def _frames(self) -> Frames:
        ports = (port for bridge in self.facts.bridges for port in bridge.foreign_ports)
        alike = (port for port in ports if port.startswith(VETH_PREFIX) and is_interface_name(port))
        return Frames(others=frozenset(alike))

    def _skeleton(self) -> Skeleton:
        return Skeleton(
            host_bit=self._host_bit,
            ok_bit=self._ok_bit,
            observe=self._observe,
            on_deny=self.policy.on_deny,
            bridge_baseline=self._bridge_baseline,
            inside_denied=self._inside_denied(),
            labels=self.facts.labels,
            bridged=self._bridged(),
            way_back=self.facts.way_back,
            log=self.policy.log,
        )

    def _bridged(self) -> frozenset[Family]:
        """Return the families of which bridged packets meet the chains, where there may be such
        that are not Docker's. (The match that tells them needs br_netfilter, and would load it.)
        """
        if not any(bridge.foreign_ports for bridge in self.facts.bridges):
            return frozenset()
        seen = zip(FAMILIES, self.facts.br_netfilter, strict=True)
        return frozenset(family for family, on in seen if on)
