"""What grows on a host and in a policy, and what must not grow with it: the number of rules."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator

import pytest

from tests.engine.scene import CONFIG, OFFICE, STRANGER, allow, apply
from tests.lab.engine import Engine
from tests.lab.host import HOST_V4, HOST_V6, Host
from tests.lab.place import Probe, disagreements

NETWORKS = 70
LISTED = 100_000


@pytest.fixture
def engine() -> Iterator[Engine]:
    with Host() as host, Engine(host, "20.10") as engine:
        yield engine


def our_rules(host: Host) -> dict[str, int]:
    """How many rules of ours stand in each program's tables, our jumps included."""
    return {
        program: len(re.findall(r"^-A .*DOCKERFW", host.run([f"{program}-save"]).stdout, re.M))
        for program in ("iptables", "ip6tables")
    }


def seal_rules(host: Host) -> int:
    text = host.run(["nft", "list", "table", "inet", "dockerfw"]).stdout
    return len(re.findall(r"\b(?:accept|drop|mark set)\b", text))


def wrote(host: Host) -> bool:
    """Whether an apply had anything to write."""
    told = json.loads(host.dockerfw("apply", "--json").stdout)
    assert isinstance(told["wrote"], bool)
    return told["wrote"]


def test_seventy_networks_need_no_more_rules_than_one(engine: Engine) -> None:
    host = engine.host
    policy = allow('to = "shop-*"\nports = [80]', "office")

    def network(number: int) -> str:
        name = f"net{number:02}"
        engine.docker("network", "create", "--subnet", f"10.77.{number}.0/28", name)
        return name

    def container(number: int) -> str:
        publish = ("-p", f"{8000 + number}:80")
        return engine.container(
            f"shop-{number}", "--network", f"net{number:02}", *publish
        ).address

    network(0)
    addresses = {0: container(0)}
    apply(host, policy)
    one = (our_rules(host), seal_rules(host))

    for number in range(1, NETWORKS):
        network(number)
    addresses |= {number: container(number) for number in (1, 33, NETWORKS - 1)}
    began = time.monotonic()
    apply(host, policy)
    print(f"apply with {NETWORKS} networks: {time.monotonic() - began:.2f} s")

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


def listed(count: int) -> Iterator[str]:
    """Every second address from 192.0.2.128 away: nothing of it can be drawn together."""
    for number in range(count):
        half, low = divmod(2 * number, 1 << 16)
        yield f"10.{100 + half}.{low >> 8}.{low & 255}"


def test_a_list_of_a_hundred_thousand_addresses_is_one_source(engine: Engine) -> None:
    host, outside = engine.host, engine.host.outside
    web = engine.container("web", "-p", "8080:80")
    entries = list(listed(LISTED))
    member, neighbour = entries[LISTED // 2], None
    neighbour = f"{member.rpartition('.')[0]}.{int(member.rpartition('.')[2]) + 1}"
    outside.add(f"{member}/32", f"{neighbour}/32", "2001:db8:77::1/128", "2001:db8:77::2/128")
    rule = allow('to = "web"\nports = [80]', "file:members.netset")

    def apply_list(lines: list[str]) -> float:
        host.write("/etc/dockerfw/members.netset", "\n".join(lines) + "\n", 0o600)
        began = time.monotonic()
        apply(host, rule)
        return time.monotonic() - began

    apply_list(entries[:100])
    hundred = (our_rules(host), seal_rules(host))
    assert not outside.tcp(HOST_V4, 8080, source=member, patience=0.3).reached
    seconds = apply_list([*entries, "2001:db8:77::1"])
    print(f"apply with {LISTED} addresses: {seconds:.2f} s")

    assert not wrote(host)
    assert our_rules(host)["iptables"] == hundred[0]["iptables"]
    assert (our_rules(host), seal_rules(host)) == hundred
    paths = ((HOST_V4, 8080), (web.address, 80))
    table = [
        (Probe(outside, "tcp", address, port, source), source != neighbour)
        for address, port in paths
        for source in (member, entries[0], entries[-1], neighbour)
    ]
    outside.add(f"{entries[0]}/32", f"{entries[-1]}/32")
    table += [
        (Probe(outside, "tcp", HOST_V6, 8080, "2001:db8:77::1"), True),
        (Probe(outside, "tcp", HOST_V6, 8080, "2001:db8:77::2"), False),
    ]
    assert disagreements(table) == []

    apply_list([line for line in entries if line != member])

    assert disagreements(
        (Probe(outside, "tcp", address, port, source), source == entries[0])
        for address, port in paths
        for source in (member, entries[0])
    ) == []
    assert CONFIG
