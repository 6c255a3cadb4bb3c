"""One commit in a process of its own, to be killed while it is at work.

``python -m tests.packets.commit_once FILE`` in a test host. The file holds a pickled policy and
inventory. Says ``begin`` when all is loaded and the commit starts, ``done`` at its end.
"""

from __future__ import annotations

import pickle
import sys
import time
from pathlib import Path

from dockerfw.kernel.netfilter import Netfilter
from dockerfw.kernel.runner import SystemRunner
from dockerfw.operations.reconcile import Reconciler
from dockerfw.state.store import Store


def main() -> None:
    policy, inventory = pickle.loads(Path(sys.argv[1]).read_bytes())  # noqa: S301 - the test wrote it
    reconciler = Reconciler(Netfilter(SystemRunner(), time.time), Store(), time.time)
    sys.stdout.write("begin\n")
    sys.stdout.flush()
    reconciler.commit(policy, inventory)
    sys.stdout.write("done\n")


if __name__ == "__main__":
    main()
