"""The rule that would let a source in where nothing allows it, as lines of a policy. Pure.

Takes what the user wrote and what it was read as; gives the lines, or none where no allow would do:
where a deny decides, where the source is spoofed, where no packet comes this way.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_network

from dockerfw.model.inventory import Inventory
from dockerfw.model.net import Address, IPNetwork
from dockerfw.report.explain.explanation import Row
from dockerfw.report.explain.reader import ParsedSource, ParsedTarget, network_of
from dockerfw.report.explain.reasons import NOTHING_ALLOWS
from dockerfw.text import bracketed, port_list, short_port


def remedy(
    word: str,
    source: ParsedSource,
    target: ParsedTarget,
    rows: Iterable[Row],
    inventory: Inventory,
) -> tuple[str, ...]:
    """Return the lines of an ``[[allow]]``; ``word`` is the source as the user wrote it."""
    if not any(row.reason == NOTHING_ALLOWS for row in rows):
        return ()
    who = word_for(word, source, inventory)
    what = lines_for(target, inventory)
    if who is None or not what:
        return ()
    return ("[[allow]]", *what, f'from  = ["{who}"]')


def lines_for(target: ParsedTarget, inventory: Inventory) -> tuple[str, ...]:
    """Return what an ``[[allow]]`` for this target says of it; nothing where no container has that
    address.
    """
    port = "icmp" if target.protocol == "icmp" else short_port(target.port, target.protocol)
    if target.host_port:
        at = f"{bracketed(target.address)}:" if target.address is not None else ""
        return (f"published = {port_list([at + port])}",)
    name = _name(target, inventory)
    return () if name is None else (f'to    = "{name}"', f"ports = {port_list([port])}")


def _name(target: ParsedTarget, inventory: Inventory) -> str | None:
    if target.container is not None:
        return target.container.name
    return _at(target.address, inventory) if target.address is not None else None


def _at(address: Address, inventory: Inventory) -> str | None:
    """Return the container that has this address, not one of those that share it."""
    for container in inventory.containers:
        if any(address in endpoint.addresses for endpoint in container.endpoints):
            return container.name
    return None


def word_for(word: str, source: ParsedSource, inventory: Inventory) -> str | None:
    """Return the word of ``from``; None where none is for these packets.

    Addresses never mean what comes in on a bridge of Docker's.
    """
    if source.container is not None:
        return f"container:{source.container.name}"
    if source.several:
        return word
    inside = [sender for sender in source.senders if sender.bridge is not None]
    if inside:
        name = _at(inside[0].address, inventory)
        return None if name is None else f"container:{name}"
    address = source.senders[0].address if source.senders else None
    if address is None or nobody_in_particular(ip_network(address)):
        return None
    return None if network_of(inventory, address) is not None else str(address)


_NO_ONES = tuple(
    (ip_network(text), f"{text} is {what}, so no rule is proposed for it")
    for text, what in (
        ("0.0.0.0/8", "no sender's address"),
        ("127.0.0.0/8", "this host's loopback"),
        ("224.0.0.0/4", "multicast, which nobody sends from"),
        ("240.0.0.0/4", "reserved, and broadcast"),
        ("::/64", "loopback, and no sender's address"),
        ("100::/64", "for packets to throw away"),
        ("fe80::/10", "link-local, which any neighbour may be"),
        ("ff00::/8", "multicast, which nobody sends from"),
    )
)


def nobody_in_particular(source: IPNetwork) -> str:
    """Return why no rule can be meant for an address, or a /64; empty where one can."""
    for network, why in _NO_ONES:
        if network.version == source.version and network.overlaps(ip_network(source)):
            return why
    return ""
