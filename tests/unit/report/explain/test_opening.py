"""SOURCE and TARGET as ``explain`` takes them make a rule that lets the one to the other."""

from __future__ import annotations

import pytest

from dockerfw.errors import UsageError
from dockerfw.report.explain import answer
from dockerfw.report.explain.explanation import Explanation
from dockerfw.report.explain.opening import opening
from dockerfw.report.explain.reader import Reader
from dockerfw.report.explain.ways import Ways
from tests.policy_text import read
from tests.unit.report.explain.scene import BRIDGED, SHOP

TEXT = '[defaults]\nbaseline = []\n[sources]\noffice = ["198.51.100.0/24"]\n'
READER = Reader(SHOP, BRIDGED.addresses, Ways(SHOP, BRIDGED), dict(read(TEXT).named))


@pytest.mark.parametrize(
    "source, target, asked",
    [
        ("203.0.113.7", "shop-db-1:5432", "203.0.113.7"),
        ("2001:db8::7", "shop-db-1:5432", "2001:db8::7"),
        ("203.0.113.0/24", "web:53/udp", "203.0.113.7"),
        ("2001:db8::/64", "shop-db-1:5432", "2001:db8::7"),
        ("203.0.113.7", "web:icmp", "203.0.113.7"),
        ("any", ":8080", "203.0.113.7"),
        ("office", "172.18.0.2:80", "office"),
        ("proxy", "shop-db-1:5432", "proxy"),
        ("172.19.0.3", "shop-db-1:5432", "proxy"),
    ],
)
def test_the_rule_lets_it_in(source: str, target: str, asked: str) -> None:
    rule = "\n".join(["[[allow]]", *opening(READER, source, target)])
    before = answer(read(TEXT), SHOP, BRIDGED, asked, target)
    after = answer(read(f"{TEXT}{rule}\n"), SHOP, BRIDGED, asked, target)
    assert isinstance(before, Explanation)
    assert isinstance(after, Explanation)
    assert (before.verdict, after.verdict) == ("denied", "allowed")


@pytest.mark.parametrize(
    "source, target, told",
    [
        ("host", "web:80", "is this host"),
        ("10.8.0.2@wg0", "web:80", "write 10.8.0.2"),
        ("203.0.113.7/24", "web:80", "203.0.113.0/24"),
        ("203.0.113.0/33", "web:80", "203.0.113.0/33"),
        ("172.18.0.99", "web:80", "spoofed"),
        ("nobody", "web:80", 'no running container is called "nobody"'),
        ("203.0.113.7", "web", "has no port"),
        ("203.0.113.7", "nobody:80", 'no running container is called "nobody"'),
        ("203.0.113.7", "172.18.0.99:80", "no running container has that address"),
    ],
)
def test_what_makes_no_rule_is_refused(source: str, target: str, told: str) -> None:
    with pytest.raises(UsageError) as refused:
        opening(READER, source, target)
    assert told in str(refused.value)
