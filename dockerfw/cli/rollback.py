"""``python -m dockerfw.cli.rollback TOKEN``: outlives the terminal, undoes an unconfirmed apply."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from dockerfw.cli.session import open_session
from dockerfw.exit_status import ExitStatus
from dockerfw.kernel.runner import detach
from dockerfw.operations.confirm import roll_back_when_due
from dockerfw.state.confirm import Pending


def start(pending: Pending, docker_host: str | None) -> None:
    """Start the process that rolls back though the terminal, or this process, dies."""
    host = {"DOCKER_HOST": docker_host} if docker_host else {}
    # From "/" a package that is not installed but run in place would not be found.
    place = {"PYTHONPATH": str(Path(__file__).parents[2])}
    detach([sys.executable, "-m", "dockerfw.cli.rollback", pending.token], {**host, **place})


def main() -> int:
    """Wait for the deadline of the apply with this token; roll it back unless it was confirmed."""
    session = open_session(os.environ.get("DOCKER_HOST"), notify=_report)
    roll_back_when_due(session, sys.argv[1])
    return ExitStatus.OK


def _report(text: str) -> None:
    sys.stderr.write(f"dockerfw: {text}\n")


if __name__ == "__main__":
    sys.exit(main())
