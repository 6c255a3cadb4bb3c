"""The networks of an interface and the notices of their changes, asked of a real kernel."""

from __future__ import annotations

import ctypes
import os
import select
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dockerfw.kernel import lan
from dockerfw.kernel.netlink import AddressNotices
from tests.lab.guard import elsewhere
from tests.lab.host import Host
from tests.packets.runner import HostRunner

pytestmark = pytest.mark.lab

CLONE_NEWNET = 0x40000000


@pytest.fixture
def host() -> Iterator[Host]:
    with Host() as host:
        host.ip("link add lan0 type veth peer name other", "link set lan0 up", "link set other up")
        yield host


@pytest.fixture
def notices(host: Host) -> Iterator[AddressNotices]:
    """Made in the network of the host, by a thread that ends there."""

    def make() -> AddressNotices:
        with Path(elsewhere(host.namespaces.network)).open("rb") as namespace:
            libc = ctypes.CDLL(None, use_errno=True)
            assert libc.setns(namespace.fileno(), CLONE_NEWNET) == 0, os.strerror(
                ctypes.get_errno()
            )
        return AddressNotices()

    with ThreadPoolExecutor(1) as thread:
        found = thread.submit(make).result()
    yield found
    found.close()


def networks(host: Host, interface: str = "lan0") -> list[str]:
    return [str(network) for network in lan.networks(HostRunner(host), interface)]


def told(notices: AddressNotices) -> bool:
    return bool(select.select([notices], [], [], 10)[0]) and notices.read()


def test_addresses_and_routes_on_the_link_are_its_networks(host: Host) -> None:
    assert networks(host) == []
    host.ip(
        "addr add 192.168.3.7/24 dev lan0",
        "addr add 10.1.2.3 peer 10.9.9.9 dev lan0",
        "addr add 2001:db8:a1::7/64 dev lan0 nodad",
        "addr add 2001:db8:a2::7/128 dev lan0 nodad",
        "route add 2001:db8:a2::/64 dev lan0 proto ra",
        "route add 2001:db8:a3::/64 dev lan0 via 2001:db8:a1::1",
        "route add 203.0.113.128/25 via 192.168.3.1 dev lan0",
    )
    assert networks(host) == [
        "10.9.9.9/32",
        "192.168.3.0/24",
        "2001:db8:a1::/64",
        "2001:db8:a2::/64",
    ]
    assert networks(host, "nothere") == []


@pytest.mark.parametrize(
    ("change", "undo"),
    [
        ("addr add 192.168.3.7/24 dev lan0", "addr del 192.168.3.7/24 dev lan0"),
        ("addr add 2001:db8:a1::7/64 dev lan0 nodad", "addr del 2001:db8:a1::7/64 dev lan0"),
        ("route add 2001:db8:a2::/64 dev lan0", "route del 2001:db8:a2::/64 dev lan0"),
    ],
)
def test_every_change_is_announced(
    host: Host, notices: AddressNotices, change: str, undo: str
) -> None:
    host.ip(change)
    assert told(notices)
    notices.read()
    host.ip(undo)
    assert told(notices)
