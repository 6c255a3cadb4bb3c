"""The addresses of the names in a policy (``host:`` sources), asked of DNS before it is planned."""

from __future__ import annotations

from dataclasses import replace

from dockerfw.clock import Clock
from dockerfw.dns.resolve_once import resolve
from dockerfw.errors import DockerfwError
from dockerfw.policy.files import PolicyText
from dockerfw.state.store import Store


def with_names(store: Store, text: PolicyText, clock: Clock) -> PolicyText:
    """Return the policy with the addresses of its names, and a warning for each that failed.

    A name that fails keeps the addresses that it has in the policy in force. Takes
    `resolve_once.TIMEOUT` seconds at the most.
    """
    origins = text.parse().host_names()
    if not origins:
        return text
    try:
        in_force = store.policy.load()
    except (DockerfwError, OSError):
        in_force = None
    found = resolve(origins, in_force.names if in_force else {}, clock)
    return replace(text, names=found.names, warnings=(*text.warnings, *found.warnings(origins)))
