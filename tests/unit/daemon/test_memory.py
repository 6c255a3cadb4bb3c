"""What the daemon remembers of addresses does not grow with those that come and go."""

from __future__ import annotations

from dockerfw.daemon import memory
from dockerfw.model.net import network


def remembered(addresses: int) -> int:
    network.cache_clear()
    for number in range(addresses):
        network((0x0A000000 + number).to_bytes(4, "big"), 32)
    memory.forget()
    return network.cache_info().currsize


def test_what_is_too_much_is_forgotten() -> None:
    assert remembered(memory.MOST_REMEMBERED) == memory.MOST_REMEMBERED
    assert remembered(memory.MOST_REMEMBERED + 1) == 0
