"""Starts processes inside a test host; each has a bounded time and a clear failure.

The only module of the lab that starts anything but the host's own first process.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.lab.guard import LabError, elsewhere
from tests.paths import REPOSITORY

_PATH = "/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class Namespaces:
    """Paths of a mount, a network and a process namespace."""

    mount: str
    network: str
    process: str

    def enter(self, argv: Sequence[str]) -> list[str]:
        """``argv`` as it must be started to run in there; its folder is the root."""
        return [
            "nsenter",
            f"--mount={self.mount}",
            f"--net={elsewhere(self.network)}",
            f"--pid={self.process}",
            "--",
            *argv,
        ]


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """A plain environment: nothing of the caller's leaks into a test host."""
    base = {
        "PATH": _PATH,
        "LC_ALL": "C.UTF-8",
        "HOME": "/root",
        "PYTHONPATH": str(REPOSITORY),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    return base | dict(extra or {})


def run(
    argv: Sequence[str],
    *,
    stdin: str | bytes | None = None,
    timeout: float = 60,
    check: bool = True,
    env: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run to the end; `LabError` with all that it said when it fails or takes too long."""
    data = stdin.encode() if isinstance(stdin, str) else stdin
    with subprocess.Popen(
        argv,
        stdin=subprocess.PIPE if data is not None else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(env),
        start_new_session=True,
    ) as process:
        try:
            out, err = process.communicate(data, timeout)
        except BaseException as error:
            end(process)
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
            msg = f"still running after {timeout} s: {' '.join(argv)}"
            raise LabError(msg) from None
    done = subprocess.CompletedProcess(
        list(argv), process.returncode, out.decode(errors="replace"), err.decode(errors="replace")
    )
    if check and done.returncode != 0:
        msg = f"exit status {done.returncode}: {' '.join(argv)}\n{done.stdout}{done.stderr}"
        raise LabError(msg)
    return done


def start(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    stdin: int | None = subprocess.DEVNULL,
    stdout: int | None = subprocess.DEVNULL,
    stderr: int | None = subprocess.DEVNULL,
) -> subprocess.Popen[str]:
    """Start and leave running; `end` ends it."""
    return subprocess.Popen(
        argv,
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        env=environment(env),
        text=True,
        start_new_session=True,
    )


def end(process: subprocess.Popen[str] | subprocess.Popen[bytes]) -> None:
    """Kill a process of ours with all that it started in its session, and bury it."""
    # nsenter's child first: nsenter buries it then. An orphan would stay as a zombie, and hold
    # its namespaces, until the machine's process 1 gets round to it.
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    with suppress(OSError, subprocess.TimeoutExpired):
        for child in children.read_text(encoding="ascii").split():
            os.kill(int(child), signal.SIGKILL)
        process.wait(1)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            with suppress(BrokenPipeError):
                stream.close()
