"""``python -m dockerfw.cli.rollback TOKEN``: outlives the terminal, undoes an unconfirmed apply."""

from __future__ import annotations

import os
import sys

from dockerfw.errors import DockerfwError
from dockerfw.kernel.runner import SystemRunner
from dockerfw.operations.use_cases import Session, roll_back_when_due
from dockerfw.state.store import Store


def main() -> int:
    session = Session(SystemRunner(), Store(), os.environ.get("DOCKER_HOST"), lambda _: None)
    try:
        roll_back_when_due(session, sys.argv[1])
    except DockerfwError as error:
        sys.stderr.write(f"dockerfw: rollback failed: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
