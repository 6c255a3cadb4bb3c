"""Where the processor time of an apply goes: the policy, Docker, compiling, the kernel.

Prints figures and asserts nothing. Run as root from the root of the repository::

    python -m benchmarks.phases [--containers N] [--rules N]

The host, the played engine and the policy are those of `benchmarks.apply`. The command is the real
one, but for stamps around its phases (`benchmarks.stopwatch`). What a phase
asks of another one counts there; programs that it starts count with it.
"""

from __future__ import annotations

import json
import sys

from benchmarks.apply import docker_rules, furnished, policy, sizes
from benchmarks.figures import Figure
from benchmarks.stopwatch import OUTPUT, REST, START, STEPS

SECTION = "phases"
_STARTER = """
from benchmarks.stopwatch import inside
inside({argv!r})
"""


def measure(containers: int, rules: int) -> list[Figure]:
    """Seconds of each phase, of an apply of everything, of one rule changed, and of nothing."""
    config = "/etc/dockerfw/config.toml"
    with furnished(containers) as (host, engine):
        host.run(["iptables-restore", "--noflush"], stdin=docker_rules(engine))
        found = []
        for column, changed in (("everything new", 0), ("one rule changed", 1), ("nothing", 1)):
            host.write(config, policy(rules, containers, changed), 0o600)
            call = _STARTER.format(argv=["apply", "--yes", "-H", engine.url])
            host.run([sys.executable, "-c", call], timeout=900)
            spent = json.loads(host.read(OUTPUT))
            rows = (START, *STEPS, REST)
            found += [Figure(SECTION, row, column, spent.get(row, 0.0), "s") for row in rows]
    return found


def main() -> None:
    for figure in measure(*sizes()):
        print(f"{figure.column:18} {figure.row:24} {figure.text}")


if __name__ == "__main__":
    main()
