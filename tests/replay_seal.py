"""What the seal makes of packets: who may pass it, and which label a first packet leaves behind.

Pure. A second reading of the rules that ``kernel/nft`` writes, for the property tests: takes the
`Seal` that they are made of, the bridges of the host and a `Packet` of ``rules/walk.py``.
"""

from __future__ import annotations

from dockerfw.model.inventory import Inventory
from dockerfw.model.net import Address, Port
from dockerfw.rules.names import ANSWERLESS_LABEL, JUDGED_LABEL
from dockerfw.rules.ruleset import Seal
from dockerfw.rules.walk import Hook, Packet

UNBEGUN = frozenset({ANSWERLESS_LABEL, JUDGED_LABEL})
EPHEMERAL = 32768


def seal_passes(seal: Seal, inventory: Inventory, hook: Hook, packet: Packet, bit: bool) -> bool:
    """Whether it passes, when the chains let it pass with our bit or without."""
    if seal.observe:
        return True
    docker = {network.bridge for network in inventory.bridges()}
    if packet.interface in docker and not packet.way_back and not packet.reply:
        # Whoever let it pass: no container has that address.
        return packet.leaves_by not in docker and not (hook == "input" and _guards(seal, packet))
    if bit and not seal.shut:
        return True
    if hook == "input":
        return not _guards(seal, packet)
    if packet.leaves_by not in docker or packet.leaves_by in seal.foreign_bridges:
        return True
    crossing = packet.protocol == "tcp" and packet.begins
    if packet.reply and not crossing and ANSWERLESS_LABEL not in packet.labels:
        return True
    inside = packet.interface in docker and packet.way_back
    return seal.inside and inside and packet.interface not in seal.mixed_bridges


def _guards(seal: Seal, packet: Packet) -> bool:
    sent_to = Port(packet.protocol, packet.port)
    return any(
        family == packet.source.version and port == sent_to and at in (None, packet.destination)
        for at, family, port in seal.guarded
    )


def hidden_frame_passes(seal: Seal, *, from_container: bool) -> bool:
    """What becomes of a frame to a container, by its bridge, that hides its packet."""
    if seal.observe or seal.frames is None:
        return True
    return seal.inside and from_container


def label_of(seal: Seal, inventory: Inventory, first: Packet) -> frozenset[int] | None:
    """The label of the entry that a forwarded packet makes, if it is not the seal that drops it.

    None: there is no entry.
    """
    bridges = {network.bridge for network in inventory.bridges()}
    home = _home(inventory, first.source)
    if home is not None and _home(inventory, first.source, first.interface) is None:
        return None
    if first.interface not in bridges or first.interface in seal.foreign_bridges:
        return frozenset({ANSWERLESS_LABEL})
    if first.protocol == "tcp" and not first.begins:
        return _midstream(seal, inventory, first)
    if first.protocol in ("tcp", "icmp"):
        return frozenset()
    served = _serves(seal, first.source, first.protocol, first.source_port)
    everything = (first.source, None) in seal.served
    asked_from = first.protocol == "udp" and first.source_port >= EPHEMERAL
    return UNBEGUN if served or (everything and not asked_from) else frozenset()


def _midstream(seal: Seal, inventory: Inventory, first: Packet) -> frozenset[int] | None:
    if _serves(seal, first.source, first.protocol, first.source_port):
        return None
    if first.interface in seal.mixed_bridges and first.interface == first.leaves_by:
        return UNBEGUN
    if first.source_port < EPHEMERAL:
        return None
    if _serves(seal, first.destination, first.protocol, first.port):
        return frozenset()
    if (first.destination, None) in seal.served and first.port < EPHEMERAL:
        return frozenset()
    return None if _home(inventory, first.destination) is None else UNBEGUN


def _serves(seal: Seal, address: Address, protocol: str, port: int) -> bool:
    return any(
        where == address and ports is not None and ports.protocol == protocol and port in ports
        for where, ports in seal.served
    )


def _home(inventory: Inventory, address: Address, bridge: str | None = None) -> str | None:
    """The bridge whose subnet it is of: of that one, if one is named."""
    return next(
        (
            network.bridge
            for network in inventory.bridges()
            for subnet in network.subnets
            if bridge in (None, network.bridge)
            and subnet.version == address.version
            and address in subnet
        ),
        None,
    )
