"""A seal as nft would list it. Real listings are read in ``tests/packets/test_seal.py``."""

from __future__ import annotations

from ipaddress import ip_address

from dockerfw.model.net import Port
from dockerfw.rules.ruleset import Seal

LIST_SEAL = "nft --stateless --numeric list table inet dockerfw"
LIST_FRAMES = "nft --stateless --numeric list table bridge dockerfw"
SEAL = Seal(
    mark=0x20000000,
    observe=False,
    inside=True,
    foreign_bridges=frozenset({"virbr0"}),
    guarded=frozenset(
        {
            (None, 4, Port("tcp", 8080)),
            (ip_address("2001:db8::1"), 6, Port("udp", 53)),
            (None, 4, Port("icmp", 0)),
        }
    ),
)


def tables(document: str) -> tuple[str, str]:
    """What nft would list of each table of a document of ours."""
    packets, add, frames = document.partition("add table bridge")
    return listed(packets), listed(add + frames)


def listed(document: str) -> str:
    """What nft would list of a document of ours: tabs, empty lines, elements one a line."""
    lines = []
    for line in document.splitlines()[2:]:
        depth = (len(line) - len(line.lstrip(" "))) // 2
        text = line.replace(", ", ",\n\t\t\t     ") if "elements" in line else line
        lines.append("\t" * depth + text.strip(" "))
    return "\n".join(lines)
