"""What grows on a host and in a policy, and what must not grow with it: the number of rules."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from ipaddress import IPv4Address

import pytest

from tests.engine.scene import OFFICE, STRANGER, allow, apply
from tests.lab.engine import Engine
from tests.lab.host import HOST_V4, HOST_V6, Host
from tests.lab.place import Probe, disagreements

NETWORKS = 70


@pytest.fixture
def engine() -> Iterator[Engine]:
    with Host() as host, Engine(host, "20.10") as engine:
        yield engine


def our_rules(host: Host) -> dict[str, int]:
    """How many rules of ours stand in each program's tables, our jumps included."""
    return {
        program: len(
            re.findall(r"^-A .*DOCKERFW", host.run([f"{program}-save"]).stdout, re.MULTILINE)
        )
        for program in ("iptables", "ip6tables")
    }


def seal_rules(host: Host) -> int:
    text = host.run(["nft", "list", "table", "inet", "dockerfw"]).stdout
    return len(re.findall(r"\b(?:accept|drop|mark set)\b", text))


def wrote(host: Host) -> bool:
    """Whether an apply had anything to write."""
    told = json.loads(host.dockerfw("apply", "--json").stdout)
    assert isinstance(told["changed"], bool)
    return told["changed"]


def test_seventy_networks_need_no_more_rules_than_one(engine: Engine) -> None:
    host = engine.host
    policy = allow('to = "shop-*"\nports = [80]', "office")

    def network(number: int) -> None:
        subnet = f"10.77.{number}.0/28"
        engine.docker("network", "create", "--subnet", subnet, f"net{number:02}")

    def container(number: int) -> str:
        where = ("--network", f"net{number:02}", "-p", f"{8000 + number}:80")
        return engine.container(f"shop-{number}", *where).address

    network(0)
    addresses = {0: container(0)}
    apply(host, policy)
    one = (our_rules(host), seal_rules(host))

    for number in range(1, NETWORKS):
        network(number)
    addresses |= {number: container(number) for number in (1, 33, NETWORKS - 1)}
    began = time.monotonic()
    apply(host, policy)
    print(f"apply with {NETWORKS} networks: {time.monotonic() - began:.2f} s")  # noqa: T201 - for pytest -s

    assert (our_rules(host), seal_rules(host)) == one
    assert not wrote(host)
    outside = host.outside
    table = [
        (Probe(outside, "tcp", address, port, source), source in OFFICE)
        for number, own in addresses.items()
        for address, port, family in (
            (HOST_V4, 8000 + number, 0),
            (own, 80, 0),
            (HOST_V6, 8000 + number, 1),
        )
        for source in (OFFICE[family], STRANGER[family])
    ]
    assert disagreements(table) == []


def listed(count: int) -> list[str]:
    """Every second address from 10.100.0.0 on, so that no two of them make a network."""
    return [str(IPv4Address("10.100.0.0") + 2 * number) for number in range(count)]


MEMBER_V6, OTHER_V6 = "2001:db8:77::1", "2001:db8:77::2"


@pytest.mark.slow  # tests/packets/test_repair.py has a long list without an engine
@pytest.mark.parametrize("lines", [10_000, 100_000])
def test_a_long_list_is_one_source(engine: Engine, lines: int) -> None:
    host, outside = engine.host, engine.host.outside
    web = engine.container("web", "-p", "8080:80")
    entries = listed(lines)
    first, middle, last = entries[0], entries[lines // 2], entries[-1]
    neighbour = str(IPv4Address(middle) + 1)
    outside.add(*(f"{address}/32" for address in (first, middle, last, neighbour)))
    outside.add(f"{MEMBER_V6}/128", f"{OTHER_V6}/128")

    def apply_list(addresses: list[str]) -> float:
        text = "\n".join([*addresses, MEMBER_V6]) + "\n"
        host.write("/etc/dockerfw/members.netset", text, 0o600)
        began = time.monotonic()
        apply(host, allow('to = "web"\nports = [80]', "file:members.netset"))
        return time.monotonic() - began

    def table(members: tuple[str, ...], others: tuple[str, ...]) -> list[tuple[Probe, bool]]:
        return [
            (Probe(outside, "tcp", address, port, source), source in members)
            for address, port in ((HOST_V4, 8080), (web.address, 80))
            for source in members + others
        ]

    apply_list(entries[:100])
    short = (our_rules(host), seal_rules(host))
    assert disagreements(table((first,), (middle, last, neighbour))) == []

    print(f"apply with a list of {lines:,}: {apply_list(entries):.2f} s")  # noqa: T201 - for pytest -s

    assert not wrote(host)
    assert (our_rules(host), seal_rules(host)) == short
    proxied = [
        (Probe(outside, "tcp", HOST_V6, 8080, MEMBER_V6), True),
        (Probe(outside, "tcp", HOST_V6, 8080, OTHER_V6), False),
    ]
    assert disagreements([*table((first, middle, last), (neighbour,)), *proxied]) == []

    apply_list([address for address in entries if address != middle])

    assert disagreements(table((first, last), (middle, neighbour))) == []
