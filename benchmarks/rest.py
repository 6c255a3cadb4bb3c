"""What the daemon costs while nothing happens: memory, and processor time.

Prints figures and asserts nothing. Run as root from the root of the repository::

    python -m benchmarks.rest [--containers N] [--rules N] [--checks N]

The host, the played engine and the policy are those of `benchmarks.apply`. The daemon is the real
one; once it has compared everything, so many checks of everything are waited for (one every 30 s).
Processor time is that of the daemon and of the programs that it starts.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from benchmarks.apply import furnish, policy
from tests.fakeengine import FakeEngine
from tests.lab.daemon import Daemon
from tests.lab.host import Host

RESYNC = 30
_CONFIG = "/etc/dockerfw/config.toml"


class Used(NamedTuple):
    """Seconds of processor time so far, and MiB in memory now and at the most."""

    seconds: float
    children: float
    resident: float
    most: float


def used(host: Host, pid: int) -> Used:
    fields = host.read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    own, theirs = (sum(map(int, fields[at : at + 2])) for at in (11, 13))
    tick = os.sysconf("SC_CLK_TCK")
    status = dict(line.split(":", 1) for line in host.read(f"/proc/{pid}/status").splitlines())
    resident, most = (int(status[name].split()[0]) / 1024 for name in ("VmRSS", "VmHWM"))
    return Used(own / tick, theirs / tick, resident, most)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--containers", type=int, default=1000)
    parser.add_argument("--rules", type=int, default=1000)
    parser.add_argument("--checks", type=int, default=4)
    asked = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        FakeEngine(Path(folder) / "s") as engine,
        Host() as host,
    ):
        furnish(engine, host, asked.containers)
        host.write(_CONFIG, policy(asked.rules, asked.containers), 0o600)
        host.run([sys.executable, "-m", "dockerfw", "apply", "--yes", "-H", engine.url])
        with Daemon(host, "-H", engine.url) as daemon:
            time.sleep(RESYNC)
            before = used(host, daemon.pid)
            time.sleep(RESYNC * asked.checks)
            after = used(host, daemon.pid)
    seconds = RESYNC * asked.checks
    own, theirs = after.seconds - before.seconds, after.children - before.children
    print(f"{asked.containers} containers, {asked.rules} rules, {seconds} s at rest:")
    print(f"  {after.resident:.0f} MiB ({after.most:.0f} at the most)")
    print(f"  {100 * (own + theirs) / seconds:.2f} % of a core, {100 * theirs / seconds:.2f} tools")


if __name__ == "__main__":
    main()
