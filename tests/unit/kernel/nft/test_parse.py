"""What is read of a listing of the seal: what a hand changed in it is seen."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest

from dockerfw.kernel.nft.parse import parse
from dockerfw.kernel.nft.render import document, expected
from dockerfw.model.host import Cgroup
from dockerfw.model.net import Port
from dockerfw.plan.state import OddElement, SealElement
from dockerfw.rules.names import SealSet
from tests.unit.kernel.nft.listing import SEAL, listed

FULL = replace(
    SEAL,
    bridges=frozenset({"br-0a1b2c3d4e5f", "shop"}),
    mixed_bridges=frozenset({"br-mixed"}),
    guarded=SEAL.guarded
    | {
        (None, 6, Port("sctp", 9)),
        (ip_address("192.0.2.10"), 4, Port("tcp", 443)),
        (ip_address("::ffff:1.2.3.4"), 6, Port("tcp", 9)),
    },
    proxies=Cgroup("dockerd.slice", 1, 4711),
    dockerd_ports=frozenset({Port("tcp", 2375), Port("udp", 7946)}),
)


def test_elements_are_values() -> None:
    assert parse([listed(document(FULL))]).elements == {
        SealElement("foreign", "virbr0"),
        SealElement("mixed", "br-mixed"),
        SealElement("ours", "shop"),
        SealElement("port4", Port("tcp", 8080)),
        SealElement("port6", Port("sctp", 9)),
        SealElement("addr4", (ip_address("192.0.2.10"), Port("tcp", 443))),
        SealElement("addr6", (ip_address("2001:db8::1"), Port("udp", 53))),
        SealElement("addr6", (ip_address("::ffff:1.2.3.4"), Port("tcp", 9))),
        SealElement("dockerd", Port("tcp", 2375)),
        SealElement("dockerd", Port("udp", 7946)),
    }


@pytest.mark.parametrize(
    "name, item",
    [
        ("port4", "1 . 80"),
        ("port4", "6 . http"),
        ("port4", "6 . 80 timeout 1h"),
        ("port6", "2001:db8::1 . 6 . 80"),
        ("addr4", "6 . 80"),
        ("addr4", "192.0.2.0/24 . 6 . 80"),
        ("addr6", "2001:db8::1 . 2001:db8::2 . 6 . 80"),
        ("foreign", "eth0"),
        ("foreign", '"br 0"'),
        ("mixed", '"a-name-that-is-too-long"'),
    ],
)
def test_an_element_that_we_never_write_is_kept_as_text(name: SealSet, item: str) -> None:
    kind = "ifname" if name in ("foreign", "mixed") else "inet_proto . inet_service"
    listing = (
        f"table inet dockerfw {{\n\tset {name} {{\n\t\ttype {kind}\n"
        f"\t\telements = {{ {item} }}\n\t}}\n}}"
    )
    assert parse([listing]).elements == {SealElement(name, OddElement(item))}


LISTING = listed(document(SEAL))
LAST_OF_INPUT = next(line for line in LISTING.splitlines() if "@addr6" in line)
HAND_EDITS = {
    "the table asleep": LISTING.replace("{\n", "{\n\tflags dormant\n", 1),
    "a rule deleted": LISTING.replace(f"{LAST_OF_INPUT}\n", ""),
    "a rule twice": LISTING.replace(LAST_OF_INPUT, f"{LAST_OF_INPUT}\n{LAST_OF_INPUT}"),
    "a rule without a comment": LISTING.replace(
        LAST_OF_INPUT, f"\t\tcounter accept\n{LAST_OF_INPUT}"
    ),
    "a rule with another comment": LISTING.replace(
        LAST_OF_INPUT, f'\t\taccept comment "mine"\n{LAST_OF_INPUT}'
    ),
    "a chain added": f"{LISTING[:-1]}\tchain more {{\n\t}}\n}}",
    "a set added": f"{LISTING[:-1]}\tset more {{\n\t\ttype ifname\n\t}}\n}}",
    "a set of another type": LISTING.replace("type ifname", "type ipv4_addr", 1),
    "another priority": LISTING.replace("hook input priority 5", "hook input priority 6"),
    "another policy": LISTING.replace("policy accept", "policy drop", 1),
    "a chain without a hook": LISTING.replace(
        "\t\ttype filter hook forward priority 5; policy accept;\n", ""
    ),
}


@pytest.mark.parametrize("listing", HAND_EDITS.values(), ids=HAND_EDITS.keys())
def test_a_hand_in_the_frame_is_seen(listing: str) -> None:
    assert listing != LISTING
    live = parse([listing])
    assert live.frame != expected(SEAL).frame
    assert live.elements == expected(SEAL).elements


@pytest.mark.parametrize(
    "old, new", [("6 . 8080", "6 . 8081"), ('"virbr0"', '"virbr1"'), ("2001:db8::1", "2001:db8::2")]
)
def test_a_hand_in_the_elements_is_seen_and_the_frame_is_the_same(old: str, new: str) -> None:
    assert old in LISTING
    live = parse([LISTING.replace(old, new)])
    assert live.frame == expected(SEAL).frame
    assert live.elements != expected(SEAL).elements
    assert len(live.elements) == len(expected(SEAL).elements)
