"""What brings the seal up to date: as little as can be, and in two halves."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest

from dockerfw.kernel.nft.render import document, expected, render
from dockerfw.model.host import Cgroup
from dockerfw.model.net import Port
from dockerfw.plan.seal import WHY, WHY_RELEASE, SealUpdate, update_seal
from dockerfw.plan.state import OddElement, SealElement, SealState
from dockerfw.plan.steps import ChangeSeal, ReplaceSeal, WriteSeal
from dockerfw.rules.ruleset import Seal

SEAL = Seal(
    mark=0x20000000,
    observe=False,
    inside=True,
    foreign_bridges=frozenset({"virbr0"}),
    guarded=frozenset(
        {
            (None, 4, Port("tcp", 8080)),
            (ip_address("2001:db8::1"), 6, Port("udp", 53)),
            (None, 4, Port("icmp", 0)),
        }
    ),
)
SLICED = replace(
    SEAL, proxies=Cgroup("dockerd.slice", 1, 4711), dockerd_ports=frozenset({Port("tcp", 2375)})
)


def update(live: SealState | None, seal: Seal) -> SealUpdate:
    return update_seal(live, expected(seal), seal)


def replaced(seal: Seal) -> SealUpdate:
    return SealUpdate(rest=WriteSeal(WHY, ReplaceSeal(seal)))


def text(step: WriteSeal | None) -> str | None:
    return None if step is None else render(step)


def test_a_seal_that_stands_needs_nothing() -> None:
    assert update(expected(SEAL), SEAL) == SealUpdate()


def test_a_seal_that_is_missing_is_written_whole() -> None:
    assert update(None, SEAL) == replaced(SEAL)
    assert text(update(None, SEAL).rest) == document(SEAL)


@pytest.mark.parametrize(
    "change",
    [
        replace(SEAL, observe=True),
        replace(SEAL, inside=False),
        replace(SEAL, mark=0x40000000),
    ],
)
def test_another_rule_is_another_table(change: Seal) -> None:
    found = update(expected(SEAL), change)
    assert found == replaced(change)
    assert text(found.rest) == document(change)


def test_another_cgroup_is_another_table() -> None:
    anew = replace(SLICED, proxies=Cgroup("dockerd.slice", 1, 4712))
    found = update(expected(SLICED), anew)
    assert found == replaced(anew)
    assert text(found.rest) == document(anew)


def test_another_element_is_written_alone_and_ports_are_released_first() -> None:
    change = replace(
        SEAL, guarded=frozenset({(None, 4, Port("sctp", 9))}), foreign_bridges=frozenset({"br0"})
    )
    found = update(expected(SEAL), change)
    assert found == SealUpdate(
        release=WriteSeal(
            WHY_RELEASE,
            ChangeSeal(
                deleted=frozenset(
                    {
                        SealElement("addr6", (ip_address("2001:db8::1"), Port("udp", 53))),
                        SealElement("port4", Port("tcp", 8080)),
                    }
                )
            ),
        ),
        rest=WriteSeal(
            WHY,
            ChangeSeal(
                added=frozenset(
                    {SealElement("foreign", "br0"), SealElement("port4", Port("sctp", 9))}
                ),
                deleted=frozenset({SealElement("foreign", "virbr0")}),
            ),
        ),
    )
    assert text(found.release) == (
        "delete element inet dockerfw addr6 { 2001:db8::1 . 17 . 53 }\n"
        "delete element inet dockerfw port4 { 6 . 8080 }\n"
    )
    assert text(found.rest) == (
        'delete element inet dockerfw foreign { "virbr0" }\n'
        'add element inet dockerfw foreign { "br0" }\n'
        "add element inet dockerfw port4 { 132 . 9 }\n"
    )


def test_another_port_of_dockerds_own_is_an_element() -> None:
    change = replace(SLICED, dockerd_ports=frozenset({Port("udp", 7946)}))
    found = update(expected(SLICED), change)
    assert found == SealUpdate(
        rest=WriteSeal(
            WHY,
            ChangeSeal(
                added=frozenset({SealElement("dockerd", Port("udp", 7946))}),
                deleted=frozenset({SealElement("dockerd", Port("tcp", 2375))}),
            ),
        )
    )
    assert text(found.rest) == (
        "delete element inet dockerfw dockerd { 6 . 2375 }\n"
        "add element inet dockerfw dockerd { 17 . 7946 }\n"
    )


def test_where_ports_are_all_that_goes_there_is_no_second_half() -> None:
    found = update(expected(SEAL), replace(SEAL, guarded=frozenset()))
    assert found.rest is None
    assert found.release is not None
    assert text(found.release) == (
        "delete element inet dockerfw addr6 { 2001:db8::1 . 17 . 53 }\n"
        "delete element inet dockerfw port4 { 6 . 8080 }\n"
    )


def test_ports_are_released_before_another_rule_replaces_the_table() -> None:
    change = replace(SEAL, observe=True, guarded=frozenset())
    found = update(expected(SEAL), change)
    gone = expected(SEAL).elements - {SealElement("foreign", "virbr0")}
    assert len(gone) == 2
    assert found == SealUpdate(
        release=WriteSeal(WHY_RELEASE, ChangeSeal(deleted=gone)),
        rest=WriteSeal(WHY, ReplaceSeal(change)),
    )
    assert (text(found.release) or "").count("delete element") == 2
    assert text(found.rest) == document(change)


def test_an_element_that_a_hand_put_in_goes() -> None:
    live = expected(SEAL)
    odd = SealElement("port4", OddElement("1 . 0"))
    bridge = SealElement("mixed", "br-shop")
    live = SealState(live.frame, live.elements | {odd, bridge})
    assert update(live, SEAL) == SealUpdate(
        release=WriteSeal(WHY_RELEASE, ChangeSeal(deleted=frozenset({odd}))),
        rest=WriteSeal(WHY, ChangeSeal(deleted=frozenset({bridge}))),
    )
