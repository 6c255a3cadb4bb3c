from __future__ import annotations

from dataclasses import replace

import pytest

from dockerfw.model.inventory import Container, Endpoint
from dockerfw.report.exposure import Exposures
from dockerfw.report.exposure_text import describe_exposure
from tests.growth import operations
from tests.unit.report.shop import (
    BOTH,
    DB,
    SHOP,
    WEB,
    allow,
    at,
    policy,
    published,
    running,
)


def sentence(container: Container, text: str, *others: Container) -> str:
    return describe_exposure(Exposures(policy(text)), running(*others, container), container)


OFFICE = '[sources]\noffice = ["198.51.100.0/24"]\n'
ALLOW_PUBLISHED = '[[allow]]\npublished = 5432\nfrom = "any"\n'
BASELINE = '[defaults]\nbaseline = ["bridge", "192.0.2.7"]\n'
DENY_PUBLISHED = '[[deny]]\npublished = "5000-6000"\nfrom = "any"'
EXPOSED = replace(
    WEB,
    ports=(published(80, 8080), published(80, 8080, "::"), published(9000, 9000, "127.0.0.1")),
)


@pytest.mark.parametrize(
    ("container", "text", "said"),
    [
        (WEB, "", "closed"),
        (DB, "", "closed (5432/tcp published as 5432)"),
        (WEB, allow('"shop-web-1"', "80"), "80/tcp open to any"),
        (WEB, allow('"shop-*"', '[80, "443/udp"]'), "80/tcp, 443/udp open to any"),
        (WEB, allow('["*", "!shop-web-*"]', "80"), "closed"),
        (WEB, allow('"other"', "80"), "closed"),
        (WEB, allow('"*"', '["icmp", "all"]'), "all ports open to any"),
        (WEB, allow('"*"', '"published"'), "closed"),
        (
            EXPOSED,
            allow('"*"', '"published"'),
            "80/tcp, 9000/tcp open to any; closed: 9000/tcp published as 127.0.0.1:9000",
        ),
        (
            EXPOSED,
            allow('"*"', "80"),
            "80/tcp open to any; closed: 9000/tcp published as 127.0.0.1:9000",
        ),
        (
            WEB,
            OFFICE
            + allow('"*"', "80")
            + allow('"*"', '"8000-8100"', '["office", "iface:wg0"]')
            + allow('"*"', "443"),
            "80/tcp, 443/tcp open to any; 8000-8100/tcp open to office, iface:wg0",
        ),
        (
            DB,
            '[[allow]]\npublished = 5432\nfrom = "192.0.2.7"',
            "host port 5432/tcp open to 192.0.2.7",
        ),
        (
            DB,
            '[[allow]]\npublished = "198.51.100.1:5432"\nfrom = "any"',
            "host port 198.51.100.1:5432/tcp open to any; closed: 5432/tcp published as 5432",
        ),
        (
            DB,
            '[[allow]]\npublished = 5432\nto = "web"\nfrom = "any"',
            "closed (5432/tcp published as 5432)",
        ),
        (WEB, '[[allow]]\npublished = 8080\nfrom = "any"', "closed"),
        (
            WEB,
            '[defaults]\nbaseline = ["bridge", "192.0.2.7"]',
            "all ports open to 192.0.2.7",
        ),
        (WEB, allow('"*"', "80", '"file:empty.netset"'), "closed"),
        (
            WEB,
            allow('"*"', "80") + '[[deny]]\nfrom = "file:block.netset"',
            "80/tcp open to any but not file:block.netset",
        ),
        (
            WEB,
            allow('"*"', "80") + '[[deny]]\nto = "*"\nports = ["443", "80-90"]\nfrom = "192.0.2.7"',
            "80/tcp open to any but not 192.0.2.7",
        ),
        (
            WEB,
            allow('"*"', "80") + '[[deny]]\nto = "*"\nports = 443\nfrom = "192.0.2.7"',
            "80/tcp open to any",
        ),
        (
            WEB,
            allow('"*"', "80") + '[[deny]]\nto = "other"\nfrom = "192.0.2.7"',
            "80/tcp open to any",
        ),
        (WEB, allow('"*"', "80", '"192.0.2.7"') + '[[deny]]\nfrom = "any"', "closed"),
        (
            WEB,
            allow('"*"', "80", '["192.0.2.7", "iface:wg0"]') + '[[deny]]\nfrom = "any"',
            "80/tcp open to iface:wg0 but not any",
        ),
        (
            EXPOSED,
            allow('"*"', '["80", "443"]') + '[[deny]]\nto = "*"\nports = "1-100"\nfrom = "any"',
            (
                "443/tcp open to any; closed: 80/tcp published as 8080, "
                "9000/tcp published as 127.0.0.1:9000"
            ),
        ),
        (
            EXPOSED,
            allow('"*"', '["80", "443"]') + '[[deny]]\nto = "*"\nports = "published"\nfrom = "any"',
            (
                "443/tcp open to any; closed: 80/tcp published as 8080, "
                "9000/tcp published as 127.0.0.1:9000"
            ),
        ),
        (
            EXPOSED,
            allow('"*"', "80") + '[[deny]]\npublished = 8080\nfrom = "192.0.2.7"',
            (
                "80/tcp open to any; host port 8080/tcp open to any but not 192.0.2.7; "
                "closed: 9000/tcp published as 127.0.0.1:9000"
            ),
        ),
        (
            DB,
            ALLOW_PUBLISHED + DENY_PUBLISHED,
            "closed (5432/tcp published as 5432)",
        ),
        (DB, BASELINE, "all ports open to 192.0.2.7"),
        (
            DB,
            '[[allow]]\npublished = ["6000-9000", "1-9000/udp"]\nfrom = "any"',
            "closed (5432/tcp published as 5432)",
        ),
        (
            DB,
            '[[allow]]\npublished = "198.51.100.1:1-9000"\nfrom = "any"',
            "host port 198.51.100.1:5432/tcp open to any; closed: 5432/tcp published as 5432",
        ),
        (
            DB,
            '[[deny]]\npublished = "198.51.100.1:5432"\nfrom = "192.0.2.7"',
            "closed (5432/tcp published as 5432)",
        ),
        (
            BOTH,
            allow('"network:back"', "5432"),
            "5432/tcp open to any at 172.19.0.9; host port 5432/tcp open to any",
        ),
        (
            DB,
            BASELINE + '[[deny]]\nto = "*"\nfrom = "192.0.2.7"',
            "closed (5432/tcp published as 5432)",
        ),
        (
            DB,
            BASELINE + '[[deny]]\nto = "*"\nports = 22\nfrom = "192.0.2.7"',
            "all ports except 22/tcp open to 192.0.2.7",
        ),
        (
            DB,
            allow('"*"', '"5432-5433"', '"192.0.2.7"')
            + '[[deny]]\nto = "*"\nports = 5432\nfrom = "192.0.2.7"',
            "5433/tcp open to 192.0.2.7; closed: 5432/tcp published as 5432",
        ),
        (
            DB,
            allow('"*"', "5432") + '[[deny]]\npublished = 5432\nfrom = "any"',
            "5432/tcp open to any; closed: 5432/tcp published as 5432",
        ),
        (
            DB,
            (
                '[[allow]]\npublished = "1-9000"\nfrom = "192.0.2.7"\n'
                '[[deny]]\npublished = 5432\nfrom = "any"'
            ),
            "closed (5432/tcp published as 5432)",
        ),
        (
            EXPOSED,
            '[[allow]]\npublished = "8000-9100"\nfrom = "192.0.2.7"',
            "host port 8080/tcp open to 192.0.2.7; closed: 9000/tcp published as 127.0.0.1:9000",
        ),
        (
            DB,
            allow('"*"', "5432") + '[[deny]]\npublished = "198.51.100.1:5432"\nfrom = "any"',
            "5432/tcp open to any; closed: 5432/tcp published as 198.51.100.1:5432",
        ),
        (
            BOTH,
            allow('"*"', "5432") + '[[deny]]\nto = "network:back"\nports = 22\nfrom = "any"',
            "5432/tcp open to any",
        ),
        (
            # Nobody from outside gets to loopback.
            DB,
            '[[allow]]\npublished = "127.0.0.1:5432"\nfrom = "any"',
            "closed (5432/tcp published as 5432)",
        ),
        (
            # No source of IPv6 gets to an address of IPv4.
            DB,
            '[[allow]]\npublished = "198.51.100.1:5432"\nfrom = "2001:db8::/32"',
            "closed (5432/tcp published as 5432)",
        ),
        (
            # A rule for a list is left with what a deny does not name of it.
            WEB,
            OFFICE
            + allow('"*"', "80", '["office", "192.0.2.7"]')
            + '[[deny]]\nto = "*"\nfrom = ["192.0.2.0/28", "198.51.100.9"]',
            "80/tcp open to office but not 198.51.100.9",
        ),
    ],
)
def test_the_sentence_says_what_is_open_to_whom(container: Container, text: str, said: str) -> None:
    assert sentence(container, text) == said


def test_a_binding_of_another_family_does_not_speak_for_one_address() -> None:
    """The wildcard binding is of IPv6 alone: closed to an IPv4 source, and that says nothing of
    the one at an IPv4 address.
    """
    ports = (published(443, 53, "::"), published(443, 53, "192.0.2.11"))
    assert sentence(replace(WEB, ports=ports), BASELINE) == (
        "all ports, host port 192.0.2.11:53/tcp open to 192.0.2.7; closed: 443/tcp published as 53"
    )


def test_a_rule_for_the_network_of_the_host_may_open_the_host_port_of_another() -> None:
    agent = Container("a", "agent", endpoints=(Endpoint("host", "h"),), host_network=True)
    assert sentence(DB, allow('"agent"', '"5000-6000"'), agent) == "host port 5432/tcp open to any"
    assert sentence(DB, allow('"agent"', '"5000-6000"')) == "closed (5432/tcp published as 5432)"


def test_only_ports_of_the_address_that_is_named_are_meant() -> None:
    ports = (published(80, 8080, "192.0.2.10"), published(81, 8080, "192.0.2.11"))
    text = '[[allow]]\npublished = "192.0.2.10:8080"\nfrom = "any"\n'
    assert sentence(replace(WEB, ports=ports), text) == (
        "host port 192.0.2.10:8080/tcp open to any; closed: 81/tcp published as 192.0.2.11:8080"
    )


def test_a_deny_of_another_network_takes_nothing() -> None:
    text = allow('"*"', "80") + '[[deny]]\nto = "network:back"\nfrom = "192.0.2.7"'
    assert sentence(BOTH, text) == (
        "80/tcp open to any at 172.18.0.3; 80/tcp open to any at 172.19.0.9 but not 192.0.2.7; "
        "closed: 5432/tcp published as 5432"
    )


def test_a_deny_of_one_family_leaves_the_other() -> None:
    both = replace(WEB, endpoints=(at("172.18.0.4", SHOP, "2001:db8::4"),))
    sources = '["192.0.2.7", "2001:db8:1::7"]'
    text = allow('"*"', "80", sources) + '[[deny]]\nto = "*"\nfrom = "0.0.0.0/0"'
    assert sentence(both, text) == "80/tcp open to 2001:db8:1::7"
    assert sentence(WEB, text) == "closed"


def instructions(rules: int, others: int) -> int:
    """What one start costs, its rules and the others' compiled before."""
    crowd = [
        Container(
            f"c{n}",
            f"app-{n}",
            labels=(("com.docker.compose.project", f"project{n}"),),
            endpoints=(at(f"172.18.{n // 200 + 1}.{n % 200 + 1}"),),
            ports=(published(80, 10000 + n),),
        )
        for n in range(others)
    ]
    names = ['"app-{}"', '"app-{}-*"', '"compose:project{}/web"', '"label:key{}"', '"image:i{}"']
    text = "".join(
        allow(names[n % 5].format(n), "80")
        + f'[[allow]]\npublished = {10000 + n}\nfrom = "any"\n'
        + f'[[deny]]\nto = "app-{n}"\nports = 22\nfrom = "192.0.2.7"\n'
        for n in range(rules)
    ) + allow('"shop-*"', "5432")
    exposures = Exposures(policy(text))
    inventory = running(*crowd, DB)
    # Python 3.13 sees all instructions of a function only when it has traced it before.
    counts = [operations(lambda: describe_exposure(exposures, inventory, DB)) for _ in range(3)]
    return counts[-1]


def test_a_line_costs_the_same_however_many_others_run_or_rules_are_written() -> None:
    few = instructions(2, 2)
    assert 0 < instructions(2, 200) <= few
    assert instructions(200, 2) <= 1.2 * few
