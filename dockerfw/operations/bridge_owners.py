"""Which bridges of this host are somebody else's, so that the seal leaves them alone.

A bridge that nobody knows is sealed: Docker may have made it for a network since it last answered.
It is somebody else's only by an answer of Docker that is younger than the bridge by a grace, and
where nothing of Docker's is about it. What goes by what was last seen knows those that such an
answer was recorded for, less those that show something of Docker's by now, and never another one.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import replace

from dockerfw.model.docker_names import is_docker_bridge
from dockerfw.model.host import Bridge, HostFacts, Proxy
from dockerfw.model.inventory import Inventory, is_interface_name
from dockerfw.model.policy import Policy
from dockerfw.operations.session import Session
from dockerfw.state.last_seen import LastSeen

BRIDGE_GRACE = 3.0
"""Seconds between Docker's making of a bridge and its first rule for it, at the most. Its answers
have the network after the last rule."""
PAUSE = 0.3
"""Seconds between two questions to Docker meanwhile."""


def unclaimed(facts: HostFacts, inventory: Inventory) -> tuple[Bridge, ...]:
    """Return the bridges that Docker does not have, and that nothing shows to be Docker's.

    One whose name cannot be written is left out: it is sealed, whatever Docker answers.
    """
    claimed = {network.bridge for network in inventory.bridges()}
    return tuple(
        b
        for b in facts.bridges
        if b.name not in claimed and is_interface_name(b.name) and not _shows(facts, b)
    )


def _shows(facts: HostFacts, bridge: Bridge) -> bool:
    """Return True if something of Docker's is about this bridge."""
    by_name = is_docker_bridge(bridge.name)
    return by_name or bridge.has_containers or bridge.name in facts.named_by_docker


def by_answer(
    facts: HostFacts, inventory: Inventory, *, among: Container[str] | None = None
) -> HostFacts:
    """Return the facts with foreign bridges by an answer that is younger than the facts.

    ``among`` are the names of those that have had their grace; None: all have.
    """
    names = (bridge.name for bridge in unclaimed(facts, inventory))
    foreign = frozenset(name for name in names if among is None or name in among)
    return replace(facts, foreign_bridges=foreign)


def by_record(facts: HostFacts, last_seen: LastSeen) -> HostFacts:
    """Return the facts with foreign bridges, and where dockerd will start, by what was recorded
    when Docker last answered.

    They need not exist yet, as at a boot.
    """
    claimed = {network.bridge for network in last_seen.inventory().bridges()}
    claimed |= {bridge.name for bridge in facts.bridges if _shows(facts, bridge)}
    foreign = frozenset(last_seen.foreign_bridges()) - claimed
    proxy = _by_record(facts.proxy, last_seen.dockerd())
    return replace(facts, foreign_bridges=foreign, proxy=proxy)


def _by_record(now: Proxy, last: Proxy) -> Proxy:
    """A dockerd that does not run yet will start where it did, and listen on what it did."""
    if now.first_packet != "unseen":
        return now
    # None where it may run unseen: then its ports are not known.
    homes = (*dict.fromkeys((*last.homes, *now.homes)),) if now.homes else ()
    return replace(now, homes=homes, dockerd_ports=now.dockerd_ports | last.dockerd_ports)


def ask_docker(session: Session, policy: Policy, facts: HostFacts) -> tuple[HostFacts, Inventory]:
    """Return what runs now, and the facts with the bridges that are foreign by that answer.

    ``facts`` are older than the answer. Raises `Failed` without one.
    """
    return await_claims(session, policy, facts, session.inventory(policy))


def await_claims(
    session: Session, policy: Policy, facts: HostFacts, inventory: Inventory
) -> tuple[HostFacts, Inventory]:
    """As `ask_docker`, with the first answer given: bridges that are new have their grace."""
    recorded = session.store.last_seen.foreign_bridges()

    def new() -> list[str]:
        found = unclaimed(facts, inventory)
        return [b.name for b in found if recorded.get(b.name) != b.index]

    if not new():
        return by_answer(facts, inventory), inventory
    session.notify(
        f"asking Docker for {BRIDGE_GRACE:.0f} s whether it is about to claim {', '.join(new())}"
    )
    grown = {bridge.name for bridge in facts.bridges}
    deadline = session.clock.monotonic() + BRIDGE_GRACE
    while new() and session.clock.monotonic() < deadline:
        session.clock.sleep(PAUSE)
        inventory = session.inventory(policy, warn=False)
    # By now Docker's rules name a bridge that is its own, however slow its iptables is.
    facts = session.kernel.facts(prefer=facts.flavour)
    inventory = session.inventory(policy, warn=False)
    return by_answer(facts, inventory, among=grown), inventory
