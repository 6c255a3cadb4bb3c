"""The networks of the interfaces in a policy (``lan:`` sources), asked before it is planned."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from dockerfw.kernel.interface import Kernel
from dockerfw.model.policy import LanNetworks
from dockerfw.model.remark import coded
from dockerfw.policy.files import PolicyText


def with_networks(kernel: Kernel, text: PolicyText) -> PolicyText:
    """Return the policy with the networks of its interfaces, and a warning for each without one."""
    origins = text.parse().interfaces()
    if not origins:
        return text
    found = kernel.networks(origins)
    return replace(text, lans=found, warnings=(*text.warnings, *_without(text, found)))


def without_networks(text: PolicyText) -> PolicyText:
    """Return the policy as it is where nobody knows the host: with a warning for each interface."""
    return replace(text, warnings=(*text.warnings, *_without(text, {})))


@coded("no-lan-network")
def _without(text: PolicyText, known: LanNetworks) -> Iterator[str]:
    for interface, origin in text.parse().interfaces().items():
        if not known.get(interface):
            where = f"{origin}: " if origin else ""
            what = "has no network here, so it opens nothing until it has one"
            yield f"{where}lan:{interface} {what}"
