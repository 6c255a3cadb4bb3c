"""Policies that people copy: the example file and the blocks of the manual."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, ip_network

import pytest

from dockerfw.model.host import HostFacts
from dockerfw.model.inventory import Container, Endpoint, Inventory, Network, PublishedPort
from dockerfw.model.policy import Policy
from dockerfw.policy.addresses import parse_network
from dockerfw.policy.document import Document
from dockerfw.policy.parser import parse
from dockerfw.policy.sources import parse_interface
from dockerfw.policy.words import WordError
from dockerfw.report.explain import broken_expectations
from tests.paths import REPOSITORY

MANUAL = (REPOSITORY / "docs" / "policy.md").read_text()
BLOCKS = re.findall(r"```toml\n(.*?)```", MANUAL, re.DOTALL)


def read(text: str) -> Policy:
    return parse([Document("config.toml", text.encode())], lambda _document, _path: b"")


def shop_container(number: int, service: str, host: str, host_port: int, port: int) -> Container:
    return Container(
        id=f"{number:064x}",
        name=f"shop-{service}-1",
        labels=(
            ("com.docker.compose.project", "shop"),
            ("com.docker.compose.service", service),
        ),
        endpoints=(Endpoint("shop_default", "net", IPv4Address(f"172.18.0.{number}")),),
        ports=(PublishedPort(IPv4Address(host), host_port, port, "tcp"),),
    )


SHOP = Inventory(
    containers=(
        shop_container(2, "proxy", "0.0.0.0", 8080, 80),
        shop_container(3, "app", "0.0.0.0", 8000, 8000),
        shop_container(4, "db", "0.0.0.0", 5432, 5432),
        shop_container(5, "admin", "127.0.0.1", 9090, 80),
    ),
    networks=(Network("net", "shop_default", "bridge", "br-shop", (ip_network("172.18.0.0/16"),)),),
)


def test_the_expectations_of_the_example_hold_in_its_shop() -> None:
    policy = read((REPOSITORY / "config.example.toml").read_text())
    found = broken_expectations(policy, SHOP, HostFacts())
    assert policy.expects
    assert (found.errors, found.warnings) == ((), ())


@pytest.mark.parametrize("text", BLOCKS)
def test_every_policy_in_the_manual_parses_without_a_warning(text: str) -> None:
    assert read(text).warnings == ()


def test_what_the_manual_calls_refused_is_told_what_the_manual_says() -> None:
    section = MANUAL.partition("### Refused, with what to write instead")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(.*?)` \| (.*?) \|$", section, re.MULTILINE)
    assert len(rows) == 5
    for word, told in rows:
        with pytest.raises(WordError) as caught:
            parse_network(word)
        for instead in re.findall(r"`(.*?)`", told):
            assert instead in str(caught.value)
    with pytest.raises(WordError, match="ip -br link"):
        parse_interface("sixteen-letters-")
