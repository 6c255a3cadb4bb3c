"""docs/recipes.md: each policy in force on a host with a shop, and who gets in by then.

A recipe's claims are rows here, by its heading and which of its policies it is; a policy without
a row fails. Its commands are run after its policies.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.documents import Block, blocks
from tests.engine.scene import CONFIG, OFFICE, STRANGER
from tests.lab.engine import Engine, EngineContainer
from tests.lab.host import HOST_V4, HOST_V6, Host
from tests.lab.place import Place, Probe, Question, disagreements
from tests.paths import DOCS

HERE = "tests/engine/test_recipes.py"
PAGE = "docs/recipes.md"
LISTS = "/etc/dockerfw/lists"
ELSEWHERE = ("192.0.2.7", "2001:db8:20::7")
SERVICES = {"proxy": "8080:80", "app": "8000:8000", "db": "5432:5432"}

FENCED = blocks(DOCS / "recipes.md")
SHARED = FENCED[0].text
RECIPES = {
    heading: [b for b in FENCED if b.heading == heading and b.language in ("toml", "sh")]
    for heading in dict.fromkeys(block.heading for block in FENCED[1:])
}


@dataclass(frozen=True, slots=True)
class Claim:
    """Who reaches a container, at a port of its own, by every way that there is; or by none."""

    who: str
    to: str
    is_open: bool
    protocol: Question = "tcp"


def opens(who: str, *to: str, protocol: Question = "tcp") -> list[Claim]:
    return [Claim(who, one, True, protocol) for one in to]


def closes(who: str, *to: str, protocol: Question = "tcp") -> list[Claim]:
    return [Claim(who, one, False, protocol) for one in to]


ALL = ("proxy", "app", "db")
ONE_OFFICE = [*opens("office", "db"), *closes("stranger", "db"), *closes("elsewhere", "db")]
CLAIMS: dict[str, list[list[Claim]]] = {
    "A reverse proxy on the host": [
        [*opens("host", *ALL), *closes("stranger", *ALL), *closes("office", *ALL)],
        [*opens("stranger", "proxy"), *opens("proxy", "app"), *closes("stranger", "app", "db")],
    ],
    "Cloudflare, and other lists": [
        [*opens("elsewhere", "proxy"), *opens("office", "proxy"), *closes("stranger", *ALL)]
    ],
    "Health checks and monitoring": [
        [*opens("elsewhere", *ALL), *closes("stranger", *ALL), *opens("app", "db")]
    ],
    "VPN": [
        [*opens("tunnel", "db"), *closes("tunnel", "app"), *closes("stranger", "db")],
        [*opens("tunnel", "app"), *closes("another", "app"), *closes("stranger", "app")],
        [*opens("vpn", *ALL), *closes("app", "db"), *closes("stranger", *ALL)],
    ],
    "Deploying with Compose, and a gate in CI": [
        [*opens("office", "proxy"), *closes("stranger", *ALL), *closes("office", "db")]
    ],
    "fail2ban and CrowdSec": [[*opens("stranger", "proxy"), *closes("elsewhere", "proxy")]],
    "A database for one office": [ONE_OFFICE],
    "At home, with a prefix that changes": [
        [*opens("elsewhere", "app"), *closes("stranger", "app"), *closes("office", "app")],
        [*opens("stranger", "proxy"), *closes("office", "proxy")],
    ],
    "Game servers": [
        [
            *opens("office", "game", protocol="udp"),
            *closes("stranger", "game", protocol="udp"),
            *opens("elsewhere", "game"),
            *closes("office", "game"),
        ]
    ],
    "From ufw-docker": [ONE_OFFICE],
    "From rules of your own in DOCKER-USER": [
        [*opens("office", *ALL), *closes("stranger", *ALL), *closes("elsewhere", *ALL)]
    ],
}

# What others here, and the tests below them, put in force in much the same form.
ALIKE = {
    "From ufw-docker",
    "From rules of your own in DOCKER-USER",
    "A database for one office",
    "Deploying with Compose, and a gate in CI",
    "Health checks and monitoring",
}


class Street:
    """A host with a shop of Compose's, a game, a VPN by interface and one as a container."""

    def __init__(self, host: Host, engine: Engine) -> None:
        self.host = host
        self.engine = engine
        engine.docker("network", "create", "shop_default")
        self.containers: dict[str, EngineContainer] = {}
        for service, published in SERVICES.items():
            port = published.partition(":")[2]
            labels = {"project": "shop", "service": service}
            options = [f"--label=com.docker.compose.{key}={value}" for key, value in labels.items()]
            options += ["--network=shop_default", "-p", published]
            name = f"shop-{service}-1"
            self.containers[service] = engine.container(name, *options, env={"PORT": port})
        self.containers["vpn"] = engine.container("vpn", "--network=shop_default")
        both = [word for kind in ("udp", "tcp") for word in ("-p", f"27015:27015/{kind}")]
        self.containers["game"] = engine.container("game", *both, env={"PORT": "27015"})
        self.containers["game"].listen("27015/udp")
        host.bridge("wg0", "10.8.0.1/24")
        self.clients: dict[str, Place] = {
            name: host.container(name, {"wg0": (f"10.8.0.{number}/24",)}, by_docker=False)
            for name, number in (("tunnel", 2), ("another", 3))
        }
        host.write(f"{LISTS}/cloudflare.netset", "192.0.2.0/24\n2001:db8:20::/48\n", 0o600)
        host.write(f"{LISTS}/banned.netset", "192.0.2.7\n2001:db8:20::7\n", 0o600)
        host.write("/etc/dockerfw/conf.d/shared.toml", SHARED, 0o600)
        names = "192.0.2.7 home.example.org\n2001:db8:20:5::1 home.example.org\n"
        host.write("/etc/hosts", names)
        program = f'#!/bin/sh\nexec {sys.executable} -m dockerfw "$@"\n'
        host.write("/run/lab/bin/dockerfw", program, 0o755)

    def ways(self, claim: Claim) -> list[Probe]:
        """By published port in both families, and straight to the container's address."""
        container = self.containers[claim.to]
        outer, own = map(int, SERVICES.get(claim.to, "27015:27015").split(":"))
        place, v4, v6 = self._caller(claim.who)
        found = [Probe(place, claim.protocol, container.address, own, v4)]
        if place is not self.host:
            found.append(Probe(place, claim.protocol, HOST_V4, outer, v4))
        if v6 and claim.protocol == "tcp":
            found.append(Probe(place, claim.protocol, HOST_V6, outer, v6))
        return found

    def _caller(self, who: str) -> tuple[Place, str | None, str | None]:
        outside = {"office": OFFICE, "stranger": STRANGER, "elsewhere": ELSEWHERE}
        if who in outside:
            return (self.host.outside, *outside[who])
        if who == "host":
            return self.host, None, None
        return self.clients.get(who) or self.containers[who], None, None

    def wrong(self, claims: list[Claim]) -> list[str]:
        """What a claim says and packets do not, in words."""
        return disagreements([(way, c.is_open) for c in claims for way in self.ways(c)])

    def put_in_force(self, block: Block) -> str:
        self.host.write(CONFIG, block.text, 0o600)
        return self.host.dockerfw("apply", "--yes").stderr

    def follow(self, block: Block) -> str:
        """Run commands of the page in the policy's folder; status 3 of a plan is no failure."""
        script = f"""set -e
            PATH=/run/lab/bin:$PATH
            cd /etc/dockerfw
            dockerfw() {{ command dockerfw "$@" || [ "$1 $?" = "plan 3" ]; }}
            {block.text}"""
        return self.host.run(["bash", "-c", script], timeout=120).stdout


@pytest.fixture(scope="module")
def street() -> Iterator[Street]:
    with Host(bridge_calls=True) as host, Engine(host, "20.10") as engine:
        street = Street(host, engine)
        everybody = [*opens("stranger", *ALL, "game"), *opens("elsewhere", *ALL)]
        assert street.wrong([*everybody, *opens("tunnel", *ALL)]) == []
        yield street
        host.dockerfw("remove", "--yes")
        assert street.wrong(everybody) == []


def policies(heading: str) -> list[Block]:
    return [block for block in RECIPES[heading] if block.language == "toml"]


def commands(heading: str) -> list[Block]:
    return [block for block in RECIPES[heading] if block.run_by == HERE and block.language == "sh"]


def test_every_policy_of_the_page_has_claims_here() -> None:
    assert {heading: len(policies(heading)) for heading in RECIPES} == {
        heading: len(rows) for heading, rows in CLAIMS.items()
    }


@pytest.mark.parametrize(
    "heading, number",
    [
        pytest.param(heading, number, marks=[pytest.mark.slow] if heading in ALIKE else [])
        for heading, rows in CLAIMS.items()
        for number in range(len(rows))
    ],
)
def test_a_recipe_opens_and_closes_what_it_says(street: Street, heading: str, number: int) -> None:
    said = street.put_in_force(policies(heading)[number])

    assert "warning" not in said
    assert street.wrong(CLAIMS[heading][number]) == []


def test_the_gate_in_ci_knows_a_broken_expectation_and_an_open_port(street: Street) -> None:
    recipe = "Deploying with Compose, and a gate in CI"
    street.put_in_force(policies(recipe)[0])
    street.host.write("/etc/dockerfw/host.json", street.host.dockerfw("inventory").stdout)
    for block in commands(recipe):
        street.follow(block)

    text = street.host.read(CONFIG)
    street.host.write(CONFIG, text.replace('is = "denied"', 'is = "allowed"'), 0o600)
    gate = ("check", "-c", CONFIG, "--inventory", "/etc/dockerfw/host.json")
    assert street.host.dockerfw(*gate, check=False).returncode == 2
    street.host.write(CONFIG, text.replace('"office"', '"any"'), 0o600)
    street.host.dockerfw("apply", "--yes")
    assert street.host.dockerfw("audit", "--fail-on", "open", check=False).returncode == 3


def test_a_database_is_lent_and_taken_back(street: Street) -> None:
    recipe = "A database for one office"
    street.put_in_force(policies(recipe)[0])
    (block,) = commands(recipe)

    assert "ticket 42" in street.follow(block)
    assert street.wrong(CLAIMS[recipe][0]) == []


# As fail2ban's action `nftables` writes it with the settings of the page, and CrowdSec's bouncer.
BANS = (
    """
table inet f2b-table {
    set addr-set-web { type ipv4_addr; flags interval; elements = { 192.0.2.7 } }
    set addr6-set-web { type ipv6_addr; flags interval; elements = { 2001:db8:20::7 } }
    chain f2b-chain {
        type filter hook prerouting priority -1;
        meta l4proto { tcp } ip saddr @addr-set-web drop
        meta l4proto { tcp } ip6 saddr @addr6-set-web drop
    }
}
""",
    """
table ip crowdsec {
    set banned { type ipv4_addr; elements = { 192.0.2.7 } }
    chain input { type filter hook input priority -10; ip saddr @banned drop; }
    chain forward { type filter hook forward priority -10; ip saddr @banned drop; }
}
table ip6 crowdsec6 {
    set banned { type ipv6_addr; elements = { 2001:db8:20::7 } }
    chain input { type filter hook input priority -10; ip6 saddr @banned drop; }
    chain forward { type filter hook forward priority -10; ip6 saddr @banned drop; }
}
""",
)


@pytest.mark.parametrize("bans", BANS, ids=["fail2ban", "CrowdSec"])
def test_a_ban_of_another_tool_holds_over_an_allow(street: Street, bans: str) -> None:
    street.put_in_force(policies("A reverse proxy on the host")[1])
    assert street.wrong(opens("elsewhere", "proxy")) == []

    street.host.run(["nft", "-f", "-"], stdin=bans)

    assert street.wrong([*closes("elsewhere", "proxy"), *opens("stranger", "proxy")]) == []
    assert street.host.dockerfw("status", check=False).returncode == 0
    for line in bans.splitlines():
        if line.startswith("table"):
            street.host.run(["nft", "delete", *line.split()[:3]])


def test_rules_by_hand_go_and_dockerfw_stays(street: Street) -> None:
    recipe = "From rules of your own in DOCKER-USER"
    by_hand = ["-i", "eth0", "!", "-s", "198.51.100.0/24", "-m", "comment", "--comment", "by hand"]
    street.host.run(["iptables", "-I", "DOCKER-USER", *by_hand, "-j", "DROP"])
    street.put_in_force(policies(recipe)[0])
    assert street.wrong(CLAIMS[recipe][0]) == []

    (block,) = commands(recipe)
    assert "PROTECTED" in street.follow(block)

    left = street.host.run(["iptables", "-S", "DOCKER-USER"]).stdout
    assert left == "-N DOCKER-USER\n-A DOCKER-USER -j DOCKERFW\n"
    assert street.wrong(CLAIMS[recipe][0]) == []
