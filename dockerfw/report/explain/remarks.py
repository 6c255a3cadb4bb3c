"""What ``explain`` adds on the question itself: why there is no path, and what was meant. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from dockerfw.model.host import HostFacts
from dockerfw.model.inventory import Inventory
from dockerfw.model.net import Family
from dockerfw.report.explain.explanation import Row
from dockerfw.report.explain.reader import ParsedSource, ParsedTarget
from dockerfw.text import short_port

NO_PATH = "no path"


def no_path(source: ParsedSource, target: ParsedTarget, facts: HostFacts) -> tuple[Row, ...]:
    """Return one row for each family of the source: there is no path, and why."""
    families = dict.fromkeys(s.family for s in source.senders)
    return tuple(
        Row(NO_PATH, family, False, f"denied: {_why_no_path(family, target, facts)}")
        for family in families
    )


def _why_no_path(family: Family, target: ParsedTarget, facts: HostFacts) -> str:
    if family not in facts.families:
        return f"this host has no IPv{family}"
    if target.address is not None and target.address.version != family:
        return f"{target.address} is no IPv{family} address"
    if target.container is None:
        port = "icmp" if target.protocol == "icmp" else f"{target.port}/{target.protocol}"
        return (
            f"no container publishes {port} on an IPv{family} address that others "
            "than this host reach"
        )
    name = target.container.name
    if target.protocol == "icmp":
        return f"{name} has no IPv{family} address"
    return f"{name} has no IPv{family} address and does not publish {target.port} on one"


def remarks(target: ParsedTarget, inventory: Inventory) -> Iterator[str]:
    """Yield what the user may have overlooked about the container of the target."""
    container = target.container
    if container is None or target.protocol == "icmp":
        return
    bindings = inventory.published(container)
    mine = [b for b in bindings if b.protocol == target.protocol]
    behind = sorted({b.container_port for b in mine if b.host_port == target.port})
    if behind and all(b.container_port != target.port for b in mine):
        yield (
            f"{container.name} publishes {behind[0]} as {target.port}: "
            f"write {container.name}:{short_port(behind[0], target.protocol)} or "
            f":{short_port(target.port, target.protocol)}"
        )
    others = sorted({b.protocol for b in bindings if b.container_port == target.port})
    if others and target.protocol not in others:
        port = short_port(target.port, others[0])
        yield f"{container.name} publishes {port}: write {container.name}:{port}"
    loopback = [b for b in mine if b.container_port == target.port]
    if loopback and all(b.host_address.is_loopback for b in loopback):
        yield (
            f"{container.name} publishes {target.port} on {loopback[0].host_address} alone: "
            "that host port is for this host itself"
        )
    network_owner = inventory.network_owner(container)
    if network_owner.id != container.id:
        yield f"{container.name} is at the addresses of {network_owner.name}"
