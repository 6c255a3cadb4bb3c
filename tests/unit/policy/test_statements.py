"""Rules: ``[[allow]]`` and ``[[deny]]``."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from dockerfw.model.policy import Selector
from tests.policy_text import read, refused, rule


def test_a_deny_may_name_containers_alone_or_nothing_at_all() -> None:
    denies = read('[[deny]]\nfrom = "any"\n[[deny]]\nto = "web"\nfrom = "any"\n').denies
    assert [deny.to for deny in denies] == [(), (Selector("container", "web"),)]
    assert all(not deny.ports and not deny.published for deny in denies)


@pytest.mark.parametrize(
    "lines, finding",
    [
        ('to = "web"\nfrom = "any"', "an allow needs `to` with `ports`, or `published`"),
        (
            'to = "web"\nports = 80\npublished = 80\nfrom = "any"',
            "an allow has `ports` or `published`, not both: write two [[allow]]",
        ),
        (
            'ports = 80\nfrom = "any"',
            '`ports` are ports of containers: add `to` (`to = "*"` is every container)',
        ),
        (
            'to = "web"\nports = 80',
            'no `from`: write who is meant (`from = "any"` is everyone)',
        ),
    ],
)
def test_half_an_allow_is_refused_at_the_line_of_the_rule(lines: str, finding: str) -> None:
    assert refused(f"# an allow\n[[allow]]\n{lines}\n") == [f"config.toml:2: {finding}"]


@pytest.mark.parametrize(
    "lines, finding",
    [
        (
            'to = "web"\nports = 80\npublished = 80\nfrom = "any"',
            "config.toml:1: a deny has `ports` or `published`, not both: write two [[deny]]",
        ),
        (
            'ports = 80\nfrom = "any"',
            (
                'config.toml:1: `ports` are ports of containers: add `to` (`to = "*"` is every '
                "container)"
            ),
        ),
        (
            'from = "any"\nuntil = 2027-01-31T00:00:00Z',
            "config.toml:3: `until` is for [[allow]] only: a deny does not end by itself",
        ),
        (
            'to = "web"',
            'config.toml:1: no `from`: write who is meant (`from = "any"` is everyone)',
        ),
    ],
)
def test_half_a_deny_is_refused(lines: str, finding: str) -> None:
    assert refused(f"[[deny]]\n{lines}\n") == [finding]


@pytest.mark.parametrize("key", ["to", "ports", "published", "from"])
def test_an_empty_list_is_refused_and_not_taken_for_everything(key: str) -> None:
    keys = {"to": '"web"', "published": "80", "from": '"any"', key: "[]"}
    text = "[[deny]]\n" + "".join(f"{k} = {v}\n" for k, v in keys.items() if v)
    expected = f"`{key}` is empty: write at least one entry, or take the rule out"
    assert any(finding.endswith(expected) for finding in refused(text))


@pytest.mark.parametrize(
    "until, utc",
    [
        ("2027-01-31T00:00:00Z", datetime(2027, 1, 31, tzinfo=timezone.utc)),
        ("2027-01-31 12:30:00+02:00", datetime(2027, 1, 31, 10, 30, tzinfo=timezone.utc)),
        ("2027-01-31T00:00:00.5z", datetime(2027, 1, 31, 0, 0, 0, 500000, timezone.utc)),
        ("1999-01-01T00:00:00-01:00", datetime(1999, 1, 1, 1, tzinfo=timezone.utc)),
    ],
)
def test_a_rule_may_end(until: str, utc: datetime) -> None:
    assert read(rule(published="80", until=until)).allows[0].until == utc


@pytest.mark.parametrize(
    "until, write",
    [
        ("2027-02-01T06:00:00", "write `2027-02-01T06:00:00Z` for UTC"),
        ("2027-02-01", "write `2027-01-31T00:00:00Z` for UTC"),
        ("06:00:00", "write `2027-01-31T00:00:00Z` for UTC"),
        ("'2027-02-01T00:00:00Z'", "write `2027-01-31T00:00:00Z` for UTC"),
        ("1", "write `2027-01-31T00:00:00Z` for UTC"),
        ("9999-12-31T23:59:59-01:00", "lies outside of the years 1 to 9999"),
        ("0001-01-01T00:00:00+01:00", "lies outside of the years 1 to 9999"),
    ],
)
def test_an_end_that_is_no_moment_is_told_how_to_be_written(until: str, write: str) -> None:
    (finding,) = refused(rule(published="80", until=until))
    assert finding.startswith("config.toml:3: ")
    assert write in finding


@pytest.mark.parametrize(
    "value", ["1.5", "true", "[80]", "{a = 1}", "2027-01-31", "0x" + "f" * 5000]
)
@pytest.mark.parametrize("key", ["to", "ports", "published", "from", "until"])
def test_a_value_of_the_wrong_type_is_refused_at_its_line(key: str, value: str) -> None:
    keys = {"to": '"web"', "ports": "80", "published": "80", key: f"[{value}]"}
    del keys["published" if key != "published" else "ports"]
    findings = refused(rule(**keys) if key != "from" else rule(f"[{value}]", published="80"))
    assert findings
    assert all(finding.startswith("config.toml:") for finding in findings)
