"""Hosts to be audited: Docker's own rules as engine 20.10 writes them, and a shop behind them."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network

from dockerfw.kernel.iptables.foreign import TABLES, foreign_tables
from dockerfw.kernel.iptables.parse import parse
from dockerfw.model.foreign import ForeignTable
from dockerfw.model.inventory import Container, Network
from dockerfw.model.net import Family, Port
from dockerfw.model.routes import Route
from dockerfw.model.surroundings import Listener, Surroundings
from dockerfw.plan.state import TablesState
from dockerfw.report.audit import Audit, Host, Row, audit
from tests.build import container, facts, inventory, network

FRONT = network("front", "172.18.0.0/16")
WEB = container("web", "front 172.18.0.2", published="8080:80")
DOCKER = """*filter
:INPUT {input} [0:0]
:FORWARD {forward} [0:0]
:DOCKER - [0:0]
:DOCKER-USER - [0:0]
-A FORWARD -j DOCKER-USER
-A FORWARD -o br-front -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -o br-front -j DOCKER
-A DOCKER -d 172.18.0.2/32 ! -i br-front -o br-front -p tcp -m tcp --dport 80 -j ACCEPT
{rules}
COMMIT
"""
FACTS = replace(
    facts("203.0.113.1", "2001:db8:1::1", bridges=("br-front",)),
    routes=(Route(ip_network("0.0.0.0/0"), "eth0"), Route(ip_network("::/0"), "eth0")),
)
AROUND = Surroundings(
    interfaces=("eth0", "wg0", "br-front"),
    listeners=(
        Listener(Port("tcp", 8080), None, (4,), "docker-proxy"),
        Listener(Port("tcp", 8080), None, (6,), "docker-proxy"),
        Listener(Port("tcp", 22), None, (4, 6), "sshd"),
    ),
)


def docker(
    *rules: str, family: Family = 4, forward: str = "DROP", accepts: str = "ACCEPT"
) -> tuple[ForeignTable, ...]:
    """Docker's chains of one family, and further rules; policies of FORWARD and INPUT."""
    text = DOCKER.format(input=accepts, forward=forward, rules="\n".join(rules))
    return tuple(foreign_tables(TablesState(family, parse(text, TABLES)), "nft"))


def user(rule: str) -> tuple[ForeignTable, ...]:
    """Docker's chains, with a rule in DOCKER-USER."""
    return docker(f"-A DOCKER-USER {rule}")


def shop(*parts: Container | Network, tables: tuple[ForeignTable, ...] | None = None) -> Host:
    """A host on which these run; without any the one container ``web``."""
    running = inventory(FRONT, *(parts or (WEB,)))
    return Host(running, FACTS, AROUND, docker() if tables is None else tables)


def row(found: Audit, path: str, family: int = 4, name: str = "web", ports: str = "") -> Row:
    """The one row of this path and family."""
    rows = [
        one
        for one in found.rows
        if one.path == path
        and family in one.families
        and name in one.containers
        and ports in ("", str(one.ports.ranges))
    ]
    assert len(rows) == 1, found.rows
    return rows[0]


def answer(host: Host, path: str = "published", family: int = 4) -> tuple[str, str]:
    """Who gets in to ``web`` by a path: the reach, and in words."""
    found = row(audit(host), path, family)
    return found.reach, found.who
