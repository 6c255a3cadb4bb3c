"""Which of its addresses a published port of a container is led to."""

from __future__ import annotations

import pytest

from dockerfw.kernel.iptables.foreign import TABLES, foreign_tables
from dockerfw.kernel.iptables.parse import parse
from dockerfw.model.foreign import ForeignTable
from dockerfw.plan.state import TablesState
from dockerfw.report.docker_nat import DockerNat
from tests.build import container, inventory, network

WEB = container("web", "alpha 172.30.0.2", "zeta 172.19.0.4 fd00:7::4", published="8080:80")
RUNNING = inventory(
    network("alpha", "172.30.0.0/24"), network("zeta", "172.19.0.0/16", "fd00:7::/64"), WEB
)
BOTH = ["172.30.0.2", "172.19.0.4"]


def docker(*rules: str) -> list[ForeignTable]:
    text = "\n".join(["*filter", ":DOCKER - [0:0]", ":MINE - [0:0]", *rules, "COMMIT", ""])
    return list(foreign_tables(TablesState(4, parse(text, TABLES)), "nft"))


@pytest.mark.parametrize(
    ("rule", "led_to"),
    [
        ("-A DOCKER -d 172.19.0.4/32 ! -i br-zeta -p tcp -m tcp --dport 80 -j ACCEPT", BOTH[1:]),
        ("-A DOCKER -d 172.30.0.2/32 ! -i br-alpha -p tcp -m tcp --dport 80 -j ACCEPT", BOTH[:1]),
        # What is not about this very port, or not Docker's, tells nothing.
        ("-A DOCKER -d 172.19.0.4/32 -p tcp -m tcp --dport 81 -j ACCEPT", BOTH),
        ("-A DOCKER -d 172.19.0.4/32 -p udp -m udp --dport 80 -j ACCEPT", BOTH),
        ("-A DOCKER -d 172.19.0.4/32 -p tcp -m tcp --dport 80 -j DROP", BOTH),
        ("-A DOCKER ! -d 172.19.0.4/32 -p tcp -m tcp --dport 80 -j ACCEPT", BOTH),
        ("-A DOCKER -d 172.19.0.0/16 -p tcp -m tcp --dport 80 -j ACCEPT", BOTH),
        ("-A MINE -d 172.19.0.4/32 -p tcp -m tcp --dport 80 -j ACCEPT", BOTH),
    ],
)
def test_it_is_the_one_that_dockers_own_filter_opens(rule: str, led_to: list[str]) -> None:
    found = DockerNat(docker(rule), RUNNING).leads_to(WEB, 4, "tcp", 80)
    assert [str(address) for address, _ in found] == led_to
    assert all(home and address in home.subnets[0] for address, home in found)


def test_the_only_address_of_a_family_is_the_one() -> None:
    nat = DockerNat([], RUNNING)
    assert [str(address) for address, _ in nat.leads_to(WEB, 6, "tcp", 80)] == ["fd00:7::4"]
    alone = container("alone")
    assert nat.leads_to(alone, 4, "tcp", 80) == ()
