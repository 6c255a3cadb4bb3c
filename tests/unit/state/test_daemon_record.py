"""Whether a daemon runs, and what it last reported."""

from __future__ import annotations

from pathlib import Path

import pytest

from dockerfw.errors import Failed
from dockerfw.state.daemon_record import DaemonRecord, DaemonState
from dockerfw.state.folder import Folder

STATE = DaemonState("no answer", 1_800_000_000.0, 2, ("somebody flushes the rules",))


@pytest.fixture
def daemon(tmp_path: Path) -> DaemonRecord:
    return DaemonRecord(Folder(tmp_path / "run"))


def test_what_a_daemon_wrote_is_read_and_goes_with_it(daemon: DaemonRecord) -> None:
    assert not daemon.alive()
    with daemon.claim():
        assert daemon.alive()
        assert daemon.read() is None
        daemon.write(STATE)
        assert daemon.read() == STATE
    assert not daemon.alive()
    assert daemon.read() is None


def test_there_is_one_daemon(daemon: DaemonRecord) -> None:
    with daemon.claim():
        daemon.write(STATE)
        with pytest.raises(Failed, match="a dockerfw daemon is running already"), daemon.claim():
            pass
        assert daemon.read() == STATE


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"notes": 1}', '{"notes": [], "x": 1}'])
def test_a_broken_record_is_none(daemon: DaemonRecord, tmp_path: Path, content: str) -> None:
    daemon.write(STATE)
    (tmp_path / "run" / "daemon.json").write_text(content)
    assert daemon.read() is None
