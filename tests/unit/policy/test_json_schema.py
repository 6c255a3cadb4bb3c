"""The JSON Schema agrees with the parser on what a policy looks like."""

from __future__ import annotations

import sys
from datetime import datetime

import pytest
from jsonschema import Draft202012Validator

from dockerfw.errors import PolicyError
from dockerfw.policy.document import Document
from dockerfw.policy.json_schema import json_schema
from dockerfw.policy.parser import parse
from dockerfw.policy.settings import SECTIONS
from dockerfw.policy.statements import LISTS
from tests.paths import EXAMPLE

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

VALIDATOR = Draft202012Validator(json_schema())


def fits(text: str) -> bool:
    return VALIDATOR.is_valid(as_editors_see_it(tomllib.loads(text)))


def as_editors_see_it(value: object) -> object:
    """JSON has no date-time: editors give its text."""
    match value:
        case dict():
            return {key: as_editors_see_it(inner) for key, inner in value.items()}
        case list():
            return [as_editors_see_it(inner) for inner in value]
        case datetime():
            return value.isoformat()
    return value


def parses(text: str) -> bool:
    try:
        parse([Document("config.toml", text.encode())], lambda _document, _path: b"192.0.2.1\n")
    except PolicyError:
        return False
    return True


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(json_schema())


def test_the_schema_knows_every_key_of_the_policy() -> None:
    properties = json_schema()["properties"]
    assert set(properties) == {*SECTIONS, *LISTS, "sources"}
    for section, keys in SECTIONS.items():
        assert set(properties[section]["properties"]) == set(keys)
    for name, keys in LISTS.items():
        assert set(properties[name]["items"]["properties"]) == set(keys)


def test_the_example_fits() -> None:
    assert fits(EXAMPLE.read_text())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[defaults]\nbaseline = []",
        '[firewall]\nmode = "observe"\non_deny = "reject"\ncommitter = "python-iptables"\nmark = 3',
        "[firewall]\nlog = true",
        "[daemon]\nresync = 86400",
        '[daemon]\nmetrics = "127.0.0.1:9567"\nmetrics_file = "/var/lib/x.prom"',
        '[daemon]\nmetrics = "[::1]:80"',
        '[sources]\n"büro-2.x" = "192.0.2.1"\nb = ["büro-2.x", "iface:wg*", "file:l"]',
        '[[allow]]\nto = ["web-*", "!label:a=b"]\nports = [80, "1-9/udp", "icmp"]\nfrom = "any"',
        '[[allow]]\npublished = ["[2001:db8::1]:443/tcp", "192.0.2.1:53/udp"]\nfrom = "bridge"',
        '[[deny]]\nfrom = ["container:x", "network:a b"]',
        '[sources]\nx = ["any", "!192.0.2.0/24", "!file:l", "!y"]\ny = "192.0.2.1"',
        '[[deny]]\nto = "*"\nfrom = "2001:db8::/32"',
        '[[allow]]\nto = "service:web"\nports = 80\nfrom = "host:vpn.example.org"',
        '[[allow]]\npublished = 80\nfrom = "any"\nuntil = 2027-01-31T00:00:00Z',
        '[[allow]]\npublished = 80\nfrom = "any"\nuntil = 2027-01-31 00:00:00.5+01:00',
        '[[expect]]\nfrom = "192.0.2.1"\nto = ":80"\nis = "denied"',
    ],
)
def test_what_parses_fits(text: str) -> None:
    assert parses(text)
    assert fits(text)


@pytest.mark.parametrize(
    "text",
    [
        "x = 1",
        "[allow]",
        "[firewall]\nmode = 1",
        '[firewall]\nmode = "on"',
        '[firewall]\nmark = "0x3"',
        "[daemon]\nresync = 0",
        "[daemon]\nresync = 1.5",
        '[daemon]\nmetrics = "0.0.0.0:9567"',
        '[daemon]\nmetrics = "localhost:9567"',
        "[daemon]\nmetrics = 9567",
        '[daemon]\nmetrics_file = "dockerfw.prom"',
        "[sources]\nx = []",
        '[sources]\n"a b" = "any"',
        '[[allow]]\nto = "web"\nfrom = "any"',
        '[[allow]]\nports = 80\nfrom = "any"',
        '[[allow]]\nto = "web"\nports = 80',
        '[[allow]]\nto = "web"\nports = 80\npublished = 80\nfrom = "any"',
        '[[allow]]\nto = "web"\nports = []\nfrom = "any"',
        '[[allow]]\nto = "web"\nports = true\nfrom = "any"',
        '[[allow]]\nto = "web"\nports = 65536\nfrom = "any"',
        '[[allow]]\nto = "web"\nports = "80/TCP"\nfrom = "any"',
        '[[allow]]\nto = "web"\nports = "http"\nfrom = "any"',
        '[[allow]]\nto = "lable:x"\nports = 80\nfrom = "any"',
        '[[allow]]\npublished = "all"\nfrom = "any"',
        '[[allow]]\npublished = "2001:db8::1:443"\nfrom = "any"',
        '[[allow]]\npublished = 80\nfrom = "!any"',
        '[[deny]]\nfrom = ["any", "!bridge"]',
        '[[deny]]\nfrom = ["any", "!iface:wg0"]',
        '[[deny]]\nfrom = ["any", "!!192.0.2.1"]',
        '[[deny]]\nfrom = ["any", "!"]',
        '[[allow]]\npublished = 80\nfrom = "service:web"',
        '[[allow]]\npublished = 80\nfrom = "any"\nuntil = 2027-01-31T00:00:00',
        '[[allow]]\npublished = 80\nfrom = "any"\nuntil = 1',
        '[[deny]]\nfrom = "any"\nuntil = 2027-01-31T00:00:00Z',
        '[[deny]]\nports = 80\nfrom = "any"',
        '[[deny]]\nto = "web"',
        '[[expect]]\nfrom = "192.0.2.1"\nto = "web:80"',
        '[[expect]]\nfrom = "192.0.2.1"\nto = "web:80"\nis = "open"',
    ],
)
def test_what_does_not_fit_does_not_parse_either(text: str) -> None:
    assert not fits(text)
    assert not parses(text)
