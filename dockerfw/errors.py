"""Every error that dockerfw reports on purpose: one sentence, the next step, an exit status.

    DockerfwError
    ├── PolicyError      the policy is wrong: all findings at once (exit status 2)
    ├── UsageError       the command line is wrong (exit status 2)
    ├── Stopped          somebody at the terminal has stopped it (exit status 130)
    └── Failed           something on this host does not work (exit status 1)

The command line prints ``str(error)`` and leaves with ``error.exit_status``; anything else that
escapes is a bug.
"""

from __future__ import annotations

from collections.abc import Sequence

from dockerfw.exit_status import ExitStatus


class DockerfwError(Exception):
    """The base of all errors that are meant for the reader of the terminal."""

    exit_status = ExitStatus.FAILED


class Failed(DockerfwError):
    """Something failed while running: no Docker, no root, no ipset (exit status 1)."""


class Stopped(DockerfwError):
    """Somebody at the terminal has stopped it; says what stands now (exit status 130)."""

    exit_status = ExitStatus.INTERRUPTED


class UsageError(DockerfwError):
    """The command line asks for something that does not exist (exit status 2)."""

    exit_status = ExitStatus.REFUSED


class PolicyError(DockerfwError):
    """The policy is refused; ``findings`` holds every ``FILE:LINE: what is wrong``."""

    exit_status = ExitStatus.REFUSED

    def __init__(self, findings: Sequence[str]) -> None:
        super().__init__("\n".join(findings))
        self.findings = tuple(findings)
