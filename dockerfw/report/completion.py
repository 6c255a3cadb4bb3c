"""The names that a shell offers at TAB, as the lines of a file. Pure.

A line is ``KIND NAME``: ``source`` is a list of ``[sources]``, ``container`` a container that runs,
``target`` a port of one (``web:80``) or of this host (``:8080``), in the words of ``explain``.
"""

from __future__ import annotations

from collections.abc import Iterator
from re import compile as compile_regex

from dockerfw.model.inventory import Inventory
from dockerfw.model.policy import Policy, PortRange
from dockerfw.text import short_port

_PLAIN = compile_regex(r"[A-Za-z0-9_.:/@+][A-Za-z0-9_.:/@+-]*")
"""What a shell takes for one word, and for no command and no option: nothing else is offered."""


def names(policy: Policy, inventory: Inventory) -> str:
    """Return the lines, in their order, each once."""
    found = {f"source {name}" for name, _ in policy.named if _PLAIN.fullmatch(name)}
    running = {c.name for c in inventory.containers if _PLAIN.fullmatch(c.name)}
    found |= {f"container {name}" for name in running}
    found |= {f"target {word}" for word in _targets(policy, inventory, running)}
    return "".join(f"{line}\n" for line in sorted(found))


def _targets(policy: Policy, inventory: Inventory, running: set[str]) -> Iterator[str]:
    for container in inventory.containers:
        for binding in inventory.published(container):
            yield f":{short_port(binding.host_port, binding.protocol)}"
            if container.name in running:
                yield f"{container.name}:{short_port(binding.container_port, binding.protocol)}"
        if container.name in running:
            for protocol, number in inventory.network_owner(container).routed:
                yield f"{container.name}:{short_port(number, protocol)}"
    for rule in policy.statements:
        ports = [spec for spec in rule.ports if isinstance(spec, PortRange)]
        for container, _ in inventory.select(rule.to) if rule.to and ports else ():
            if container.name in running:
                for spec in ports:
                    yield f"{container.name}:{short_port(spec.first, spec.protocol)}"
