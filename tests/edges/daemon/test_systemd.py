from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from dockerfw.daemon import systemd
from dockerfw.daemon.systemd import Journal, Systemd, is_journal


class Listener:
    """The other end of a datagram socket."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self.socket.settimeout(5)

    def read(self) -> bytes:
        return self.socket.recv(1 << 20)

    def close(self) -> None:
        self.socket.close()


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[Listener]:
    found = Listener(str(tmp_path / "socket"))
    yield found
    found.close()


@pytest.fixture
def environ(tmp_path: Path, listener: Listener) -> dict[str, str]:
    _ = listener
    return {"NOTIFY_SOCKET": str(tmp_path / "socket")}


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    found = Journal(tmp_path / "socket")
    yield found
    found.close()


def parsed(entry: bytes) -> dict[str, bytes]:
    """An entry as journald reads it."""
    fields = {}
    while entry:
        line, _, rest = entry.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if not equals:
            (length,) = struct.unpack("<Q", rest[:8])
            value, end, rest = (
                rest[8 : 8 + length],
                rest[8 + length : 9 + length],
                rest[9 + length :],
            )
            assert end == b"\n"
        fields[name.decode()] = value
        entry = rest
    return fields


# --- notifying -----------------------------------------------------------------------------------


def test_each_message_is_a_datagram(environ: dict[str, str], listener: Listener) -> None:
    assert Systemd(environ).ready()
    assert listener.read() == b"READY=1"
    assert Systemd(environ).status("13 containers")
    assert listener.read() == b"STATUS=13 containers"
    assert Systemd(environ).watchdog()
    assert listener.read() == b"WATCHDOG=1"
    assert Systemd(environ).stopping()
    assert listener.read() == b"STOPPING=1"


def test_a_status_is_one_line_and_adds_no_assignment(
    environ: dict[str, str], listener: Listener
) -> None:
    assert Systemd(environ).status("web\nMAINPID=1\x1b[2J" + "€" * 9999)
    said = listener.read()
    assert said.startswith("STATUS=web?MAINPID=1?[2J€€€".encode())
    assert b"\n" not in said
    assert len(said) < 4096


def test_an_abstract_socket() -> None:
    name = f"dockerfw-test-{os.getpid()}"
    listener = Listener(f"\0{name}")
    assert Systemd({"NOTIFY_SOCKET": f"@{name}"}).watchdog()
    assert listener.read() == b"WATCHDOG=1"
    listener.close()


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"NOTIFY_SOCKET": ""},
        {"NOTIFY_SOCKET": "vsock:2:9"},
        {"NOTIFY_SOCKET": "/" + "x" * 200},
    ],
)
def test_without_a_socket_that_can_be_used_there_is_nothing_to_do(environ: dict[str, str]) -> None:
    assert not Systemd(environ).ready()


def test_a_lost_socket_costs_the_message_and_one_that_came_back_is_used(
    environ: dict[str, str], listener: Listener, tmp_path: Path
) -> None:
    assert Systemd(environ).watchdog()
    listener.close()
    assert not Systemd(environ).watchdog()
    (tmp_path / "socket").unlink()
    assert not Systemd(environ).watchdog()
    again = Listener(str(tmp_path / "socket"))
    assert Systemd(environ).watchdog()
    assert again.read() == b"WATCHDOG=1"
    again.close()


def fill(path: Path) -> None:
    """Send to a socket that nobody reads until it takes no more."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.setblocking(False)
        try:
            while True:
                sender.sendto(b"x", str(path))
        except BlockingIOError:
            return


def test_a_full_socket_does_not_hold_us_up(
    environ: dict[str, str], journal: Journal, tmp_path: Path
) -> None:
    fill(tmp_path / "socket")
    assert not Systemd(environ).watchdog()
    assert journal.send({"MESSAGE": "lost"})


# --- the watchdog --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environ", "interval"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "²"}, None),
        ({"WATCHDOG_USEC": "-5"}, None),
    ],
)
def test_the_interval_of_the_watchdog(environ: dict[str, str], interval: float | None) -> None:
    assert Systemd(environ).watchdog_interval() == interval


# --- the journal ---------------------------------------------------------------------------------


def test_fields_of_one_line_and_of_several(listener: Listener, journal: Journal) -> None:
    fields = {"MESSAGE": "web up", "DOCKERFW_NAME": "a\nMESSAGE=b", "DOCKERFW_EMPTY": ""}
    assert journal.send(fields)
    entry = listener.read()
    assert entry == (
        b"MESSAGE=web up\nDOCKERFW_NAME\n\x0b\0\0\0\0\0\0\0a\nMESSAGE=b\nDOCKERFW_EMPTY=\n"
    )
    assert parsed(entry) == {name: value.encode() for name, value in fields.items()}


def test_a_value_without_an_encoding_is_written_all_the_same(
    listener: Listener, journal: Journal
) -> None:
    assert journal.send({"MESSAGE": "web \ud800"})
    assert parsed(listener.read()) == {"MESSAGE": b"web ?"}


def test_a_value_that_is_too_large_is_cut(listener: Listener, journal: Journal) -> None:
    assert journal.send({"MESSAGE": "x" * 10_000_000, "PRIORITY": "6"})
    assert parsed(listener.read()) == {"MESSAGE": b"x" * systemd.LONGEST_VALUE, "PRIORITY": b"6"}


def test_no_journal_is_told(listener: Listener, journal: Journal, tmp_path: Path) -> None:
    listener.close()
    assert not journal.send({"MESSAGE": "refused"})
    (tmp_path / "socket").unlink()
    assert not journal.send({"MESSAGE": "not there"})


def test_stderr_is_the_journal_only_where_it_is_the_stream_that_systemd_gave(
    tmp_path: Path,
) -> None:
    with (tmp_path / "stderr").open("w") as stream:
        found = os.fstat(stream.fileno())
        ours = {"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"}
        assert is_journal(stream, ours)
        assert not is_journal(stream, {})
        assert not is_journal(stream, {"JOURNAL_STREAM": "8:1"})
    assert not is_journal(stream, ours)
