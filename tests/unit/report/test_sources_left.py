"""Who of an allow is left: in the words of its author, and no more than are open."""

from __future__ import annotations

import pytest

from dockerfw.report.sources_left import SourcesLeft
from dockerfw.rules.compiler import statements
from tests.build import address_list, allow, deny, policy

LONG = address_list("long.netset", *(f"10.{n}.0.0/16" for n in range(0, 200, 2)))


@pytest.mark.parametrize(
    ("sources", "denied", "left"),
    [
        (("any",), ("192.0.2.7",), "any but not 192.0.2.7"),
        (("192.0.2.7", "198.51.100.7"), ("192.0.2.0/24",), "198.51.100.7"),
        (("192.0.2.0/24",), ("198.51.100.0/24",), "192.0.2.0/24"),
        (("192.0.2.0/24",), ("192.0.2.0/25", "192.0.2.128/25"), ""),
        (("192.0.2.0/24",), ("192.0.2.0/26",), "192.0.2.0/24 but not 192.0.2.0/26"),
        (
            ("192.0.2.0/24", "198.51.100.7"),
            ("192.0.2.7",),
            "192.0.2.0/24, 198.51.100.7 but not 192.0.2.7",
        ),
        (("any",), ("any",), ""),
        (("any",), ("0.0.0.0/1", "128.0.0.0/1"), "any but not 0.0.0.0/1, 128.0.0.0/1"),
        (("any",), ("bridge",), "any"),
        (("bridge",), ("any",), "bridge"),
        (("bridge",), ("container:web",), "bridge but not container:web"),
        (("container:a", "container:b"), ("container:a",), "container:b but not container:a"),
        (("container:web",), ("bridge",), ""),
        (("iface:wg0",), ("iface:wg*",), ""),
        (("iface:wg*",), ("iface:wg0",), "iface:wg* but not iface:wg0"),
        (("iface:wg0",), ("iface:eth0",), "iface:wg0"),
        (("iface:wg0",), ("any", "bridge"), ""),
        (("192.0.2.7",), ("iface:wg0",), "192.0.2.7 but not iface:wg0"),
        ((LONG,), ("10.2.3.4", "192.0.2.7"), "file:long.netset but not 10.2.3.4"),
        ((LONG,), ("10.1.0.0/16",), "file:long.netset"),
        ((LONG,), ("10.0.0.0/8",), ""),
        (("host:nowhere.example.org",), (), ""),
    ],
    ids=str,
)
def test_what_denies_leave(sources: tuple[str, ...], denied: tuple[str, ...], left: str) -> None:
    rules = policy(allow(*sources, to="x", ports=80), deny(*denied, to="x"), baseline=())
    found = SourcesLeft(statements(rules)).left(0, frozenset({1}))
    if found is None:
        assert left == ""
        return
    but = f" but not {', '.join(found.excepting)}" if found.excepting else ""
    assert f"{', '.join(found.words)}{but}" == left


def test_the_families_in_which_anybody_is_left() -> None:
    rules = policy(allow("any", to="x", ports=80), deny("0.0.0.0/0", to="x"), baseline=())
    asked = SourcesLeft(statements(rules))
    alone, behind = asked.left(0, frozenset()), asked.left(0, frozenset({1}))
    assert alone is not None
    assert behind is not None
    assert (alone.families, behind.families) == (frozenset({4, 6}), frozenset({6}))
    assert behind.excepting == ("0.0.0.0/0",)
