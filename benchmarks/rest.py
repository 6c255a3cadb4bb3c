"""What the daemon costs while nothing happens: memory, and processor time.

Prints figures and asserts nothing. Run as root from the root of the repository::

    python -m benchmarks.rest [--sizes 50 1000] [--checks N]

So many containers and as many rules each. The host, the played engine and the policy are those of
`benchmarks.apply`. The daemon is the real one; once it has compared everything, so many checks of
everything are waited for, one every 30 s: twenty, by default, since one in twenty reads all that
stands.
Processor time is that of the daemon and of the programs that it starts.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from typing import NamedTuple

from benchmarks.apply import furnished, policy
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


class AtRest(NamedTuple):
    """Seconds until the daemon was ready; MiB in memory at the end and at the most; percent of a
    core, and of that the tools.
    """

    ready: float
    resident: float
    most: float
    core: float
    tools: float


def measure(size: int, checks: int) -> AtRest:
    """Wait for so many checks of everything, after the first one."""
    with furnished(size) as (host, engine):
        host.write(_CONFIG, policy(size, size), 0o600)
        host.run(
            [sys.executable, "-m", "dockerfw", "apply", "--yes", "-H", engine.url], timeout=900
        )
        begun = time.monotonic()
        with Daemon(host, "-H", engine.url, wait=False) as daemon:
            daemon.until_said("ready, ", patience=300)
            ready = time.monotonic() - begun
            time.sleep(RESYNC)
            before = used(host, daemon.pid)
            time.sleep(RESYNC * checks)
            after = used(host, daemon.pid)
    seconds = RESYNC * checks
    tools = 100 * (after.children - before.children) / seconds
    core = 100 * (after.seconds - before.seconds) / seconds + tools
    return AtRest(ready, after.resident, after.most, core, tools)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[50, 1000])
    parser.add_argument("--checks", type=int, default=20)
    asked = parser.parse_args()
    seconds = RESYNC * asked.checks
    print(f"{'containers, rules':>18} {'ready':>8} {'memory':>8} {'most':>8}", end="  ")
    print(f"{'of a core':>9} {'of that tools':>14}   ({seconds} s at rest)")
    for size in asked.sizes:
        found = measure(size, asked.checks)
        print(f"{size:18,} {found.ready:6.1f} s {found.resident:4.0f} MiB", end=" ")
        print(f"{found.most:4.0f} MiB  {found.core:7.2f} % {found.tools:12.2f} %", flush=True)


if __name__ == "__main__":
    main()
