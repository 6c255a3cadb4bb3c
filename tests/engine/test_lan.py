"""``lan:`` beside a real engine: who is on the link gets in, for as long as that is the link."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.engine.scene import OFFICE, STRANGER, allow, apply
from tests.lab.daemon import Daemon
from tests.lab.engine import Engine
from tests.lab.host import HOST_V4, HOST_V6, Host
from tests.lab.wait import becomes_true

pytestmark = pytest.mark.engine

ON_THE_LINK, BEHIND = STRANGER, OFFICE


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    with Host() as host, Engine(host, "20.10") as engine:
        engine.container("web", "-p", "8080:80")
        yield host


def served(host: Host, caller: tuple[str, str]) -> list[bool]:
    """Whether the caller is, over IPv4 and over IPv6."""
    return [
        host.outside.tcp(address, 8080, source=source, patience=1).text == "web"
        for address, source in zip((HOST_V4, HOST_V6), caller, strict=True)
    ]


@pytest.mark.slow
def test_the_networks_of_an_interface_are_followed(host: Host) -> None:
    assert served(host, BEHIND) == [True, True], "it is open without dockerfw"
    apply(host, allow("published = [8080]", "lan:eth0"))
    assert served(host, ON_THE_LINK) == [True, True]
    assert served(host, BEHIND) == [False, False]
    with Daemon(host) as daemon:
        host.ip("addr add 198.51.100.1/24 dev eth0")
        assert becomes_true(lambda: served(host, BEHIND) == [True, False], 10), daemon.log()
        assert host.dockerfw("status").returncode == 0
        host.ip("addr del 198.51.100.1/24 dev eth0")
        assert becomes_true(lambda: served(host, BEHIND) == [False, False], 10), daemon.log()
        assert served(host, ON_THE_LINK) == [True, True]
        assert "lan:eth0 is 203.0.113.0/24, 2001:db8:1::/64" in daemon.log()
    assert "198.51.100.0/24" not in host.read("/var/lib/dockerfw/policy/lans.json")
