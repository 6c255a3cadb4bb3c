"""An audit as people and programs read it."""

from __future__ import annotations

from dataclasses import replace

from dockerfw.report.audit import audit, document, lines
from tests.build import allow, container, policy
from tests.json_documents import holds
from tests.unit.report.audit.hosts import WEB, shop

SCREEN = """\
NOT PROTECTED by dockerfw: 2 ways in open to anyone

OPEN to anyone
  web  80/tcp  docker-proxy at 8080  IPv6
      docker-proxy listens there, and no rule refuses it
  web  80/tcp  published as 8080  IPv4
      let in by `-d 172.18.0.2/32 ! -i br-front -o br-front -p tcp -m tcp
      --dport 80 -j ACCEPT` in filter DOCKER of iptables-nft

open to neighbours: who can send packets to a private address of this host
  web  80/tcp  direct to 172.18.0.2  IPv4
      let in by `-d 172.18.0.2/32 ! -i br-front -o br-front -p tcp -m tcp
      --dport 80 -j ACCEPT` in filter DOCKER of iptables-nft

closed
  web  all other ports  direct to 172.18.0.2  IPv4
      refused by the policy (drop) of filter FORWARD of iptables-nft

no way in from outside: worker
1 port of this host itself is not dockerfw's business: 22 sshd
containers among each other are not listed: dockerfw explain CONTAINER
  CONTAINER:PORT
next: dockerfw init -o /etc/dockerfw/config.toml writes a policy; dockerfw plan
  shows what it would close
"""


def test_the_worst_comes_first_and_each_way_in_says_why() -> None:
    assert "\n".join(lines(audit(shop(WEB, container("worker"))))) + "\n" == SCREEN


def test_no_line_is_wider_than_the_terminal() -> None:
    long = container("a-name-that-goes-on-for-ever-and-a-day", "front 172.18.0.9", published="1:1")
    for width in (60, 80, 120):
        assert max(map(len, lines(audit(shop(WEB, long)), width))) <= width


def test_what_enforcing_would_make_of_it_stands_beside_it() -> None:
    rules = replace(policy(allow("198.51.100.0/24", to="web", ports=(80,))), mode="observe")
    text = "\n".join(lines(audit(replace(shop(), in_force="observing", policy=rules))))
    assert text.startswith("OBSERVING: dockerfw drops nothing; 2 ways in open to anyone\n")
    assert "enforced it is open to 198.51.100.0/24; let in by" in text
    assert "enforced it is closed; docker-proxy listens there" in text


def test_names_from_outside_are_made_printable() -> None:
    odd = replace(WEB, name="a\x1b[31mb")
    assert "\x1b" not in "\n".join(lines(audit(shop(odd))))


def test_programs_get_one_document() -> None:
    found = document(audit(shop()))
    assert (found["in_force"], found["open_to_anyone"], found["unknown"]) == ("no", 2, 0)
    ways = found["ways"]
    assert isinstance(ways, list)
    assert ways[1] == {
        "container": "web",
        "sharing": [],
        "path": "published",
        "families": [4],
        "port": "80/tcp",
        "ports": [{"protocol": "tcp", "first": 80, "last": 80, "others": False}],
        "host_ports": [
            {"address": None, "protocol": "tcp", "first": 8080, "last": 8080, "others": False}
        ],
        "at": None,
        "reach": "anyone",
        "who": "anyone",
        "reason": (
            "let in by `-d 172.18.0.2/32 ! -i br-front -o br-front -p tcp -m tcp --dport 80 "
            "-j ACCEPT` in filter DOCKER of iptables-nft"
        ),
        "enforced": None,
    }
    holds("audit", {"schema": 1, **found})
    assert found["own_ports"] == [{"port": "22", "program": "sshd"}]
