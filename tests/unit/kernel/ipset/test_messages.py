"""What the kernel answers about sets is what ``ipset`` prints of them.

Both were recorded of the same sets, see ``tests/fixtures/README.md``.
"""

from __future__ import annotations

import errno
import json
import sys
from typing import Any

import pytest

from dockerfw.kernel.ipset import driver as ipset, messages
from dockerfw.plan.state import OddElement
from tests.growth import operations
from tests.paths import FIXTURES
from tests.unit.kernel.fake_runner import FakeRunner

RECORDED: dict[str, Any] = json.loads((FIXTURES / "ipsets.json").read_text())
SETS: dict[str, Any] = RECORDED["sets"]
UNUSUAL = {
    "dockerfw-deny4": "nomatch",
    "dockerfw-deny6": "a type of ICMP that nobody writes",
    "dockerfw-deny4-u7fffffff": "no end where all others have one",
    "dockerfw-inside4": "a set of another kind",
    "dockerfw-inside6": "an interface whose name is no plain word",
}
OURS = [name for name in SETS if name != "theirs"]


def ask(name: str | None) -> list[bytes]:
    held = RECORDED["headers"] if name is None else SETS[name]["messages"]
    return [bytes.fromhex(message) for message in held]


def tool(*names: str, listed: bool = False) -> FakeRunner:
    """``ipset``, which prints these sets alone."""
    saved = {f"ipset save {n}": "\n".join([*SETS[n]["saved"], ""]) for n in names}
    if listed:
        saved["ipset list -t"] = "\n".join(RECORDED["listed"])
        saved["ipset save"] = "".join(saved.values())
    return FakeRunner(saved)


def headers_of(*names: str) -> Any:
    return lambda name, _count: name not in names


def test_all_sets_read_the_same() -> None:
    by_tool = ipset.read(tool(*OURS, listed=True), lambda *_: True)
    by_asking = ipset.read(tool(), lambda *_: True, ask)
    assert by_asking == by_tool
    assert set(by_asking) == set(OURS)


@pytest.mark.parametrize("name", OURS)
def test_elements_read_the_same(name: str) -> None:
    by_tool = ipset.read(tool(name, listed=True), headers_of(name))[name]
    asked = tool(name) if name in UNUSUAL else tool()
    by_asking = ipset.read(asked, headers_of(name), ask)[name]
    assert by_asking == by_tool
    assert by_asking.elements is not None
    assert len(by_asking.elements) == by_asking.count
    assert [command for command, _ in asked.ran] == (
        [f"ipset save {name}"] if name in UNUSUAL else []
    )


def test_an_answer_as_before_is_not_taken_apart_again() -> None:
    name = "dockerfw-addr4"
    known: dict[str, messages.Known] = {}
    first = ipset.read(tool(), headers_of(name), ask, known)[name]
    again = ipset.read(tool(), headers_of(name), ask, known)[name]
    assert again.elements is first.elements


def test_elements_that_are_wanted_are_the_same_object() -> None:
    name = "dockerfw-addr4"
    elements = ipset.read(tool(), headers_of(name), ask)[name].elements
    assert elements is not None
    wanted = {name: frozenset(e for e in elements if not isinstance(e, OddElement))}
    known: dict[str, messages.Known] = {}
    for _ in range(2):
        found = ipset.read(tool(), headers_of(name), ask, known, wanted)[name]
        assert found.elements is wanted[name]
    other = ipset.read(tool(), headers_of(name), ask, {}, {name: frozenset()})[name]
    assert other.elements == elements


class Kernel:
    """Answers, and keeps what it was ``asked``; ``headers`` may be other ones."""

    def __init__(self) -> None:
        self.asked: list[str | None] = []
        self.headers = ask(None)

    def ask(self, name: str | None) -> list[bytes]:
        self.asked.append(name)
        return self.headers if name is None else ask(name)


def test_at_rest_headers_suffice() -> None:
    names = ("dockerfw-port4", "dockerfw-addr4")  # in the order of the kernel's answer
    kernel = Kernel()
    known: dict[str, messages.Known] = {}

    def look(*, headers_suffice: bool = True) -> Any:
        kernel.asked.clear()
        wanted = headers_of(*names)
        return ipset.read(tool(), wanted, kernel.ask, known, headers_suffice=headers_suffice)

    first = look()
    assert kernel.asked == [None, *names], "nothing was known yet"
    assert look() == first
    assert kernel.asked == [None]
    assert look(headers_suffice=False) == first
    assert kernel.asked == [None, *names]
    # The last byte of a header is of the count, of the memory, of the references ...
    kernel.headers = [
        one[:-1] + bytes([one[-1] ^ 1]) if names[1].encode() in one else one
        for one in kernel.headers
    ]
    look()
    assert kernel.asked == [None, names[1]]


@pytest.mark.parametrize(
    ("before", "after", "same"),
    [
        ("c0000201", "c0000209", False),
        # packets of the second element
        ("0000000000000005", "0000000000000006", True),
    ],
)
def test_another_answer_is_other_elements_but_for_counters(
    before: str, after: str, same: bool
) -> None:
    name = "dockerfw-target4"
    (message,) = ask(name)
    moved = message.replace(bytes.fromhex(before), bytes.fromhex(after))
    assert moved != message
    first = messages.elements([message], "hash:ip")
    again = messages.elements([moved], "hash:ip", first)
    assert (again.elements == first.elements, again is first) == (same, same)


def test_what_nobody_writes_is_odd() -> None:
    deny = ipset.read(tool("dockerfw-deny4"), headers_of("dockerfw-deny4"), ask)["dockerfw-deny4"]
    assert deny.elements is not None
    odd = [e for e in deny.elements if isinstance(e, OddElement)]
    assert [(e.text, e.option) for e in odd] == [("10.0.0.0/8,tcp:80", "nomatch")]


@pytest.mark.parametrize("name", OURS)
def test_counters_read_the_same(name: str) -> None:
    runner = tool(*OURS, listed=True)
    by_tool = ipset.counters(runner, [name])
    assert ipset.counters(runner, [name, "dockerfw-gone"], ask) == by_tool


@pytest.mark.parametrize("cut", [None, "dockerfw-port4"])
def test_where_the_kernel_does_not_answer_the_tool_is_asked(cut: str | None) -> None:
    def fail(name: str | None) -> list[bytes]:
        if name == cut:
            raise OSError(errno.EPERM, "Operation not permitted")
        return ask(name)

    wanted = headers_of("dockerfw-port4", "dockerfw-port6")
    runner = tool("dockerfw-port4", "dockerfw-port6", listed=True)
    found = ipset.read(runner, wanted, fail)
    assert found == ipset.read(tool(), wanted, ask)
    assert runner.ran[0] == ("ipset list -t", None)


def test_garbage_is_left_to_the_tool() -> None:
    """A byte changed anywhere gives other elements, or the tool's: never an error."""
    name = "dockerfw-addr4"
    (message,) = ask(name)
    runner = tool(name)
    for at in range(len(message)):
        for value in (0, 1, 255):
            broken = message[:at] + bytes([value]) + message[at + 1 :]
            given = {None: ask(None), name: [broken]}
            found = ipset.read(runner, headers_of(name), given.__getitem__)[name]
            assert found.elements is not None


def test_elements_alike_are_taken_apart_together() -> None:
    """Of Python's instructions one more costs its hash alone, once its address is known."""
    name = "dockerfw-target4"
    (message,) = ask(name)
    one = bytes.fromhex("280007800c00018008000100c0000201")  # how the first element begins
    start = message.index(one)
    element = message[start : start + 0x28]

    def work(times: int) -> int:
        addresses = ((0x0A000000 + n).to_bytes(4, "big") for n in range(times))
        data = b"".join(element.replace(b"\xc0\0\2\1", address) for address in addresses)
        attribute = (4 + len(data)).to_bytes(2, sys.byteorder) + message[start - 2 : start]
        many = message[: start - 4] + attribute + data
        assert len(messages.elements([many], "hash:ip").elements) == times
        return operations(lambda: messages.elements([many], "hash:ip"))

    assert work(800) - work(400) < 400 * 25
