"""The half of the seal in nft's bridge family: what no iptables rule gets to see.

Pure. br_netfilter shows IPv4 and IPv6 to the rules, and nothing else. But a container's kernel
takes tags of 802.1Q and 802.1ad with id 0 off by itself, however many there are, and then finds the
packet (kernel 6.18; of PPPoE, MPLS, SNAP, MACsec and their like it accepts none unless told to).

``meta ibrname`` is not in every kernel, so ports tell: those of containers are called ``veth`` and
seven hex digits. Others' with such a name are listed.
"""

from __future__ import annotations

from collections.abc import Mapping

from dockerfw.kernel.nft.half import Half
from dockerfw.model.docker_names import VETH_PREFIX
from dockerfw.rules.names import FRAMES_TABLE, SealSet
from dockerfw.rules.ruleset import Seal

TABLE = " ".join(FRAMES_TABLE)
SET_TYPES: Mapping[SealSet, str] = {"others": "ifname"}
# Before br_netfilter (-1), and not before a bridge has learnt who is where.
_HOOKS = {"forward": ("forward", -300), "input": ("input", -300)}

_UNSEEN = "ether type != { ip, ip6, arp }"
_DOCKERS = f'"{VETH_PREFIX}*"'


def half(seal: Seal, verdict: str) -> Half:
    """Return the table; ``verdict`` is what becomes of what may not pass."""
    unseen = [
        "oifname @others return",
        f"oifname {_DOCKERS} {verdict}",
    ]
    rules = {"forward": _forward(seal), "unseen": unseen}
    if not seal.inside:
        rules["input"] = _input(verdict)
    return Half(TABLE, tuple(SET_TYPES.items()), _HOOKS, rules)


def _forward(seal: Seal) -> list[str]:
    """Where the policy restricts nothing between containers, their frames are their own affair."""
    if not seal.inside:
        return [f"{_UNSEEN} jump unseen"]
    return [
        f"{_UNSEEN} iifname != {_DOCKERS} jump unseen",
        f"{_UNSEEN} iifname @others jump unseen",
    ]


def _input(verdict: str) -> list[str]:
    """To this host: its rules see the packet, but what binds ports to addresses has not seen it."""
    return [f"{_UNSEEN} iifname {_DOCKERS} iifname != @others {verdict}"]


TRY = "".join(
    f"{line}\n"
    for line in (
        f"add table {TABLE}_try",
        f"add chain {TABLE}_try forward {{ type filter hook forward priority -300; }}",
        f"add rule {TABLE}_try forward {_UNSEEN} iifname != {_DOCKERS} oifname {_DOCKERS} drop",
    )
)
"""A document by which ``nft --check`` tells whether frames can be filtered."""
