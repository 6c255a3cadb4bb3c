"""What this host gave to the policy when it was applied, and does not give any more.

Pure. A host that never had it is warned of at every apply (``host_warnings.py``), and who applied
all the same knows. One that loses it afterwards (a module that is not loaded after a reboot,
another kernel, nft taken away, dockerd moved) holds less than was applied.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal, TypeAlias

from dockerfw.model.host import HostFacts
from dockerfw.report.host_warnings import proxy_next_step

Means: TypeAlias = Literal["nf_tables", "frames", "labels", "first packet"]
"""nf_tables     the seal can be had
frames        the seal has its half in nft's bridge family
labels        connections can be labelled
first packet  docker-proxy is closed from its first packet
"""

_WHAT: dict[Means, str] = {
    "nf_tables": (
        "nothing seals the chains: denied packets pass while Docker or another tool moves its jump "
        "or flushes iptables; install nftables, load nf_tables"
    ),
    "frames": (
        "a container with NET_RAW can hide its packets from the rules of its bridge; load the "
        "bridge family of nf_tables"
    ),
    "labels": (
        "connections cannot be labelled, so nothing remembers who began one; load nf_conntrack and "
        "nft_ct"
    ),
    "first packet": (
        "a port of docker-proxy (IPv6, mostly) is closed once dockerfw knows of it, not before"
    ),
}
# Docker may not run just now, and need no proxy.
_NOT_KNOWN_TO_BE_OPEN = ("closed", "no proxy", "unseen")


def given(facts: HostFacts) -> tuple[Means, ...]:
    """Return what this host gives, for `lost` to go by later."""
    every = {
        "nf_tables": facts.nf_tables,
        "frames": facts.frames,
        "labels": facts.labels,
        "first packet": facts.proxy.first_packet == "closed",
    }
    return tuple(means for means in _WHAT if every[means])


def lost(had: Iterable[str], facts: HostFacts) -> tuple[str, ...]:
    """Return what of it is not there any more, a reason each with the next step."""
    return tuple(_lost(frozenset(had), facts))


def _lost(had: frozenset[str], facts: HostFacts) -> Iterator[str]:
    gone = had - set(given(facts))
    if facts.proxy.first_packet in _NOT_KNOWN_TO_BE_OPEN:
        gone -= {"first packet"}
    if "nf_tables" in gone:  # the others are its parts
        gone = frozenset({"nf_tables"})
    for means, what in _WHAT.items():
        if means in gone:
            step = proxy_next_step(facts) if means == "first packet" else "or apply again as it is"
            yield f"this host gave more when the policy was applied: now {what}; {step}"
