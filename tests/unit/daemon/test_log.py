from __future__ import annotations

import io
import json
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from dockerfw.daemon import log as module
from dockerfw.daemon.log import Log, open_log
from dockerfw.daemon.log_lines import Line
from dockerfw.daemon.systemd import Journal
from tests.clock import FakeClock

MOMENT = 1_795_373_999.25
UP = Line("info", "web up at 172.18.0.4: closed", {"event": "container_up", "container": "web"})


class JournalOnPaper(Journal):
    """Takes entries, or is not there."""

    def __init__(self, *, there: bool = True) -> None:
        self.there = there
        self.entries: list[dict[str, str]] = []

    def send(self, fields: dict[str, str]) -> bool:  # type: ignore[override]
        if self.there:
            self.entries.append(dict(fields))
        return self.there


def said(
    write: Callable[[Log], None],
    form: module.Form = "text",
    journal: Journal | None = None,
    *,
    prefixed: bool = False,
) -> str:
    stream = io.StringIO()
    write(Log(stream, FakeClock(MOMENT), form, journal, prefixed=prefixed))
    return stream.getvalue()


# --- text ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("write", "plain", "prefixed"),
    [
        (
            lambda log: log.info("web up"),
            "2026-11-22T18:59:59Z web up\n",
            "<6>web up\n",
        ),
        (
            lambda log: log.warning("put right"),
            "2026-11-22T18:59:59Z warning: put right\n",
            "<4>warning: put right\n",
        ),
        (
            lambda log: log.error("no Docker"),
            "2026-11-22T18:59:59Z error: no Docker\n",
            "<3>error: no Docker\n",
        ),
        (
            lambda log: log.write(UP),
            "2026-11-22T18:59:59Z web up at 172.18.0.4: closed\n",
            "<6>web up at 172.18.0.4: closed\n",
        ),
        (
            lambda log: log.error("config.toml:1: no `from`\n  config.toml:2: no `to`\n"),
            "2026-11-22T18:59:59Z error: config.toml:1: no `from`; config.toml:2: no `to`\n",
            "<3>error: config.toml:1: no `from`; config.toml:2: no `to`\n",
        ),
        (
            lambda log: log.info("web\x1b[2J\u2028\r\n<0>db gone\x00\ud800"),
            "2026-11-22T18:59:59Z web?[2J; <0>db gone??\n",
            "<6>web?[2J; <0>db gone??\n",
        ),
    ],
)
def test_text_is_one_line(write: Callable[[Log], None], plain: str, prefixed: str) -> None:
    assert said(write) == plain
    assert said(write, prefixed=True) == prefixed


# --- JSON ----------------------------------------------------------------------------------------


def test_json_is_one_object_a_line() -> None:
    def write(log: Log) -> None:
        log.write(UP)
        log.warning("put right", found="set", by=None, tries=3)

    first, second = said(write, "json").splitlines()
    assert json.loads(first) == {
        "time": "2026-11-22T18:59:59.250Z",
        "level": "info",
        "message": "web up at 172.18.0.4: closed",
        "event": "container_up",
        "container": "web",
    }
    assert json.loads(second) == {
        "time": "2026-11-22T18:59:59.250Z",
        "level": "warning",
        "message": "put right",
        "found": "set",
        "by": None,
        "tries": 3,
    }


def test_json_keeps_a_hostile_name_and_stays_one_plain_line() -> None:
    name = "web\n{}\x1b[2J\ud800\u2028"
    text = said(lambda log: log.info("gone", container=name), "json")
    assert text.count("\n") == 1
    assert text.isascii()
    assert json.loads(text)["container"] == name


def test_json_for_the_journal_has_its_priority_in_front() -> None:
    text = said(lambda log: log.error("no Docker"), "json", prefixed=True)
    assert text.startswith('<3>{"time": ')


# --- the journal ---------------------------------------------------------------------------------


def test_the_journal_gets_fields_and_stderr_nothing() -> None:
    journal = JournalOnPaper()

    def write(log: Log) -> None:
        log.write(UP)
        log.warning("put\nright", by=None, tries=3, ours=True)

    assert not said(write, journal=journal, prefixed=True)
    assert journal.entries == [
        {
            "MESSAGE": "web up at 172.18.0.4: closed",
            "PRIORITY": "6",
            "SYSLOG_IDENTIFIER": "dockerfw",
            "DOCKERFW_EVENT": "container_up",
            "DOCKERFW_CONTAINER": "web",
        },
        {
            "MESSAGE": "put; right",
            "PRIORITY": "4",
            "SYSLOG_IDENTIFIER": "dockerfw",
            "DOCKERFW_TRIES": "3",
            "DOCKERFW_OURS": "True",
        },
    ]


def test_a_journal_that_is_not_there_leaves_stderr() -> None:
    text = said(lambda log: log.write(UP), journal=JournalOnPaper(there=False), prefixed=True)
    assert text == "<6>web up at 172.18.0.4: closed\n"


# --- which way -----------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize("journald", [True, False], ids=["journald answers", "nobody answers"])
@pytest.mark.parametrize("ours", [True, False], ids=["the journal's", "somebody's"])
def test_the_way_is_chosen_by_what_stderr_is(
    tmp_path: Path,
    form: module.Form,
    journald: bool,
    ours: bool,
) -> None:
    with (
        (tmp_path / "stderr").open("w") as stream,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener,
    ):
        listener.setblocking(False)
        if journald:
            listener.bind(str(tmp_path / "journal"))
        found = os.fstat(stream.fileno())
        inode = found.st_ino if ours else found.st_ino + 1
        environ = {"JOURNAL_STREAM": f"{found.st_dev}:{inode}"}
        log = open_log(stream, FakeClock(), form, environ, tmp_path / "journal")
        log.info("web up")
        log.close()
        text = (tmp_path / "stderr").read_text()
        natively = journald and ours and form == "text"
        assert (text == "") is natively
        assert natively or text.startswith("<6>") is ours
        if natively:
            assert b"MESSAGE=web up\n" in listener.recv(4096)


class Full(io.StringIO):
    """A log file on a disk that is full."""

    def flush(self) -> None:
        raise OSError(28, "No space left on device")


def closed() -> io.StringIO:
    stream = io.StringIO()
    stream.close()
    return stream


@pytest.mark.parametrize("stream", [Full(), closed()], ids=["full", "closed"])
def test_a_stderr_that_is_lost_does_not_end_the_daemon(stream: io.StringIO) -> None:
    with pytest.raises((OSError, ValueError)):
        print("x", file=stream, flush=True)
    log = Log(stream, FakeClock())
    log.info("nobody hears this")
    log.error("nor this")


class Meeting(io.StringIO):
    """Whoever writes waits a moment for a second one to come in."""

    def __init__(self) -> None:
        super().__init__()
        self.inside = 0
        self.met = threading.Event()

    def write(self, text: str) -> int:
        self.inside += 1
        if self.inside > 1:
            self.met.set()
        self.met.wait(0.2)
        self.inside -= 1
        return super().write(text)


def test_threads_write_one_after_the_other() -> None:
    stream = Meeting()
    log = Log(stream, FakeClock(), prefixed=True)
    threads = [threading.Thread(target=log.info, args=(word,)) for word in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not stream.met.is_set()
    assert sorted(stream.getvalue().splitlines()) == ["<6>a", "<6>b"]
