from __future__ import annotations

from ipaddress import ip_address

import pytest

from dockerfw.dns.answer import Answer, answer
from dockerfw.model.net import Address


def addresses(*texts: str) -> tuple[Address, ...]:
    return tuple(map(ip_address, texts))


ODD = (
    "0.0.0.0", "0.1.2.3", "127.0.0.1", "169.254.1.1", "224.0.0.1", "240.0.0.1", "255.255.255.255",
    "::", "::1", "::ffff:203.0.113.7", "fe80::1", "ff02::1",
)  # fmt: skip


@pytest.mark.parametrize("odd", ODD)
def test_an_address_that_nobody_can_come_from_is_left_out_and_told(odd: str) -> None:
    found = answer(addresses("203.0.113.7", odd))
    assert found.effective(()) == addresses("203.0.113.7")
    assert list(found.remarks(found.effective(()))) == [
        f"has {ip_address(odd)}, where nobody can come from: ignored"
    ]
    assert answer(addresses(odd)).effective(addresses("203.0.113.9")) == addresses("203.0.113.9")


@pytest.mark.parametrize("plain", ["10.0.0.1", "172.17.0.2", "192.168.1.1", "fd00::1"])
def test_a_private_address_counts(plain: str) -> None:
    assert answer(addresses(plain)).effective(()) == addresses(plain)


def test_of_too_many_addresses_the_first_64_count_and_it_is_told() -> None:
    found = answer(ip_address(f"2001:db8::{n:x}") for n in range(80, 0, -1))
    assert found.effective(()) == addresses(*(f"2001:db8::{n:x}" for n in range(1, 65)))
    assert list(found.remarks(found.effective(()))) == ["has 80 addresses: only the first 64 count"]


def test_a_family_without_an_answer_stays_as_it_was() -> None:
    before = addresses("203.0.113.1", "2001:db8::1")
    assert Answer(addresses("203.0.113.7"), None).effective(before) == addresses(
        "203.0.113.7", "2001:db8::1"
    )
    assert Answer(addresses("203.0.113.7"), ()).effective(before) == addresses("203.0.113.7")
    assert Answer(problem="no such name").effective(before) == before
