"""Counts what Python does, so that growth can be tested without a clock; and hosts that grow."""

from __future__ import annotations

import sys
from collections.abc import Callable
from ipaddress import IPv4Address, ip_network
from types import FrameType
from typing import Any

from dockerfw.kernel.iptables.foreign import TABLES, foreign_tables
from dockerfw.kernel.iptables.parse import parse
from dockerfw.model.foreign import ForeignTable
from dockerfw.model.host import HostFacts
from dockerfw.model.inventory import Container, Inventory, Network
from dockerfw.model.routes import Route
from dockerfw.plan.state import TablesState
from dockerfw.policy.document import Document
from dockerfw.policy.files import PolicyText
from tests import build

FACTS = HostFacts(br_netfilter=(True, True))
FEW = 16
SLACK = 1.05
FIXED = 2_000
"""Instructions that may come on top of twice the growth: long lines wrap, numbers get a digit."""


def inventory(containers: int, networks: int) -> Inventory:
    """Containers with a host port each, spread over networks."""
    parts: list[Network | Container] = [
        build.network(f"net{n}", f"10.{n}.0.0/16") for n in range(networks)
    ]
    for number in range(containers):
        home = number % networks
        address = IPv4Address(f"10.{home}.0.2") + number // networks
        parts.append(
            build.container(
                f"app-{number}", f"net{home} {address}", published=f"{10_000 + number}:80"
            )
        )
    return build.inventory(*parts)


def routes(running: Inventory) -> tuple[Route, ...]:
    """To each network by its bridge, and to all else by eth0."""
    return (
        Route(ip_network("0.0.0.0/0"), "eth0"),
        *(Route(subnet, str(n.bridge)) for n in running.bridges() for subnet in n.subnets),
    )


def docker_tables(running: Inventory) -> tuple[ForeignTable, ...]:
    """Return what Docker writes for these: some rules a bridge, and one a published port."""
    lines = ["*filter", ":FORWARD DROP [0:0]", ":DOCKER - [0:0]", ":STAGE-1 - [0:0]"]
    lines += [":STAGE-2 - [0:0]", "-A FORWARD -j STAGE-1"]
    for network in running.bridges():
        bridge = network.bridge
        lines += [
            f"-A FORWARD -o {bridge} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
            f"-A FORWARD -o {bridge} -j DOCKER",
            f"-A FORWARD -i {bridge} ! -o {bridge} -j ACCEPT",
            f"-A STAGE-1 -i {bridge} ! -o {bridge} -j STAGE-2",
            f"-A STAGE-2 -o {bridge} -j DROP",
        ]
    for container in running.containers:
        (endpoint,) = container.endpoints
        for binding in container.ports:
            to = f"-d {endpoint.ipv4}/32 -p tcp -m tcp --dport {binding.container_port}"
            lines.append(f"-A DOCKER {to} -j ACCEPT")
    text = "\n".join([*lines, "COMMIT", ""])
    return tuple(foreign_tables(TablesState(4, parse(text, TABLES)), "nft"))


def text(rules: int, sources: int, *, containers: int, beside: int = 0) -> PolicyText:
    """Rules of three kinds by turns: about a container, about a host port, a deny.

    ``beside``: so far are the sources of the first rule from where they were.
    """
    blocks = []
    for number in range(rules):
        first = int(IPv4Address("198.18.0.0")) + number * sources + (0 if number else beside)
        written = ", ".join(f'"{ip_network(first + n)}"' for n in range(sources))
        one = number % containers
        kind, target = (
            ("allow", f'to = "app-{one}"\nports = [80]'),
            ("allow", f"published = [{10_000 + one}]"),
            ("deny", f'to = "app-{one}"\nports = [80]'),
        )[number % 3]
        blocks.append(f"[[{kind}]]\n{target}\nfrom = [{written}]\n")
    return PolicyText((Document("/etc/dockerfw/config.toml", "\n".join(blocks).encode()),))


def assert_linear(counts: list[int], slack: float = SLACK) -> None:
    """``counts`` are of one, two and four times as many: what is always the same cancels out."""
    first, second = counts[1] - counts[0], counts[2] - counts[1]
    assert second <= 2 * first * slack + FIXED, f"{counts}: {second / max(first, 1):.2f} times"


def operations(function: Callable[[], object]) -> int:
    """Return how many instructions of Python's own machine ``function`` takes.

    What C code does within one instruction is not seen: a sort, a set operation, a copy.
    """
    count = 0

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal count
        del argument
        frame.f_trace_lines = False
        frame.f_trace_opcodes = True
        count += event == "opcode"
        return trace

    before = sys.gettrace()
    # From Python 3.12 on they are seen only if somebody has asked for them before.
    sys._getframe().f_trace_opcodes = True
    sys.settrace(trace)
    try:
        function()
    finally:
        sys.settrace(before)
    return count
