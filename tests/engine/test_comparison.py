"""docs/comparison.md: its table is what packets find, on the oldest engine and on a new one.

Each set-up is ours to write, in the manner of the tool that the page names. One office may have the
web server; a cell says on which engines a stranger reaches a container by that way all the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeAlias

import pytest

from tests.engine.scene import OFFICE, STRANGER, allow, apply
from tests.lab.engine import Engine, EngineContainer, Version
from tests.lab.firewalld import Firewalld
from tests.lab.host import HOST_V4, HOST_V6, Host
from tests.lab.place import Probe, patient
from tests.paths import DOCS, FIXTURES

pytestmark = pytest.mark.slow

ENGINES: tuple[Version, ...] = ("20.10", "28.5")
PUBLISHED, LOOPBACK, OWN_NETWORK = 8080, 9090, 8088
WAYS = ("published, IPv4", "published, IPv6", "own IPv4", "own IPv6", "127.0.0.1", "host network")


@dataclass(frozen=True, slots=True)
class Site:
    """A host with one container for each way; ``six`` has an IPv6 address of its own."""

    host: Host
    engine: Engine
    web: EngineContainer
    six: EngineContainer

    def reached(self, who: tuple[str, str]) -> set[str]:
        """By which ways one of the outside gets an answer."""
        v4, v6 = who
        targets = [
            ("published, IPv4", HOST_V4, PUBLISHED),
            ("published, IPv6", HOST_V6, PUBLISHED),
            ("own IPv4", self.web.address, 80),
            ("own IPv6", self.six.ipv6[0], 80),
            ("host network", HOST_V4, OWN_NETWORK),
        ]
        outside = self.host.outside
        asked = [Probe(outside, "tcp", a, port, v6 if ":" in a else v4) for _, a, port in targets]
        answers = patient([(one, True) for one in asked])
        found = {
            way for (way, _, _), answer in zip(targets, answers, strict=True) if answer.reached
        }
        by_neighbour = outside.syn("127.0.0.1", LOOPBACK, source=v4)
        return found | ({"127.0.0.1"} if by_neighbour else set())


SetUp: TypeAlias = Callable[[Site], None]


@contextmanager
def site(version: Version, *options: str, firewalld: bool = False) -> Iterator[Site]:
    with Host() as host:
        if firewalld:
            wall = Firewalld(host, "2.3")
            setting = "s/^StrictForwardPorts=.*/StrictForwardPorts=yes/"
            wall.run("sed", "-i", setting, "/etc/firewalld/firewalld.conf")
            wall.restart()
            wall.cmd("--zone=public", "--add-interface=eth0")
        with Engine(host, version, *options) as engine:
            engine.docker("network", "create", "--ipv6", "--subnet", "fd00:6::/64", "dual")
            published = ("-p", f"{PUBLISHED}:80", "-p", f"127.0.0.1:{LOOPBACK}:80")
            web = engine.container("web", *published)
            six = engine.container("six", "--network", "dual")
            engine.container("hostnet", "--network", "host", env={"PORT": str(OWN_NETWORK)})
            yield Site(host, engine, web, six)


def nothing(_site: Site) -> None:
    """Docker alone."""


def ufw(site: Site) -> None:
    """Ufw denies what comes in, but for the office, behind Docker's own rules."""
    for program in ("iptables", "ip6tables"):
        text = (FIXTURES / "ufw-0.36" / f"{program}.rules").read_text(encoding="ascii")
        site.host.run([f"{program}-restore", "--noflush"], stdin=text)


def by_hand(site: Site) -> None:
    """The rule that Docker's manual has for DOCKER-USER."""
    drop = ("-i", "eth0", "!", "-s", "198.51.100.0/24", "-j", "DROP")
    site.host.run(["iptables", "-I", "DOCKER-USER", *drop])


def by_hand_with_ipv6(site: Site) -> None:
    by_hand(site)
    drop = ("-i", "eth0", "!", "-s", "2001:db8:10::/48", "-j", "DROP")
    # Engine 20.10 has no such chain by itself, so they are put where it would be called.
    chain = "FORWARD" if site.engine.version == "20.10" else "DOCKER-USER"
    site.host.run(["ip6tables", "-I", chain, *drop])


def by_hand_and_ufw(site: Site) -> None:
    by_hand_with_ipv6(site)
    ufw(site)


ROUTED = """*filter
:ufw-user-forward - [0:0]
:DOCKER-USER - [0:0]
-A ufw-user-forward -p tcp -s 198.51.100.0/24 --dport 80 -j ACCEPT
-A DOCKER-USER -j ufw-user-forward
-A DOCKER-USER -s 10.0.0.0/8 -j RETURN
-A DOCKER-USER -s 172.16.0.0/12 -j RETURN
-A DOCKER-USER -s 192.168.0.0/16 -j RETURN
-A DOCKER-USER -p udp --sport 53 --dport 1024:65535 -j RETURN
-A DOCKER-USER -p tcp --syn -d 192.168.0.0/16 -j DROP
-A DOCKER-USER -p tcp --syn -d 10.0.0.0/8 -j DROP
-A DOCKER-USER -p tcp --syn -d 172.16.0.0/12 -j DROP
-A DOCKER-USER -p udp --dport 0:32767 -d 192.168.0.0/16 -j DROP
-A DOCKER-USER -p udp --dport 0:32767 -d 10.0.0.0/8 -j DROP
-A DOCKER-USER -p udp --dport 0:32767 -d 172.16.0.0/12 -j DROP
-A DOCKER-USER -j RETURN
COMMIT
"""


def ufw_docker(site: Site) -> None:
    """Ufw, and its route rules asked by DOCKER-USER, private networks apart."""
    ufw(site)
    site.host.run(["iptables-restore", "--noflush"], stdin=ROUTED)


def dockerfw(site: Site) -> None:
    rules = [allow(f'to = "{to}"\nports = [{port}]', "office") for to, port in TARGETS]
    apply(site.host, *rules)


TARGETS = (("web", 80), ("six", 80), ("hostnet", OWN_NETWORK))

MEASURED = (DOCS / "comparison.md").read_text(encoding="utf-8").partition("<!-- measured -->")[2]
TABLE = {
    cells[0]: cells[1:]
    for line in re.findall(r"^\| (.*) \|$", MEASURED.partition("\n\n")[0], re.MULTILINE)
    if len(cells := line.split(" | ")) == len(WAYS) + 1
}
IN_ONE_HOST: dict[str, SetUp] = {
    "Docker alone": nothing,
    "ufw": ufw,
    "`DOCKER-USER` by hand, IPv4": by_hand,
    "`DOCKER-USER` by hand, both families": by_hand_with_ipv6,
    "both families, and ufw": by_hand_and_ufw,
    "ufw-docker's way": ufw_docker,
    "dockerfw": dockerfw,
}


def shown(row: str, version: Version) -> set[str]:
    """By which ways the page says that a stranger gets in."""
    return {
        way
        for way, cell in zip(WAYS, TABLE[row], strict=True)
        if cell in ("open", f"open on {version}")
    }


@pytest.mark.parametrize("version", ENGINES)
@pytest.mark.parametrize("row", IN_ONE_HOST)
def test_a_stranger_gets_in_where_the_page_says_so(row: str, version: Version) -> None:
    with site(version) as here:
        IN_ONE_HOST[row](here)

        assert here.reached(STRANGER) == shown(row, version)
        assert "published, IPv4" in here.reached(OFFICE)


@pytest.mark.parametrize("version", ENGINES)
def test_without_rules_of_docker(version: Version) -> None:
    with site(version, "--iptables=false", "--ip6tables=false") as here:
        ufw(here)

        assert here.reached(STRANGER) == shown('`"iptables": false`, and ufw', version)


@pytest.mark.parametrize("version", ENGINES)
def test_firewalld_with_strict_forward_ports(version: Version) -> None:
    with site(version, firewalld=True) as here:
        assert here.reached(STRANGER) == shown("firewalld 2.3, `StrictForwardPorts`", version)


@pytest.mark.parametrize("row, let_in", [("ufw-docker's way", True), ("dockerfw", False)])
def test_a_private_network_is_no_stranger_to_ufw_docker(row: str, let_in: bool) -> None:
    with site("20.10") as here:
        IN_ONE_HOST[row](here)
        here.host.outside.add("192.168.77.7/32")

        assert ("published, IPv4" in here.reached(("192.168.77.7", STRANGER[1]))) is let_in


def test_every_row_of_the_page_is_measured() -> None:
    others = {'`"iptables": false`, and ufw', "firewalld 2.3, `StrictForwardPorts`"}
    assert set(TABLE) == {"set-up"} | set(IN_ONE_HOST) | others
