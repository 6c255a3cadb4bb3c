"""What dropping a packet costs with the record of denials, and without it, as a ratio.

Prints figures and asserts nothing. Run as root from the root of the repository::

    python -m benchmarks.denied [--rounds N] [--flavour nft|legacy]

Two throwaway hosts (`tests.packets.scene`) with the same policy; from the second one the rules that
record are taken out. In each round each has two floods to a container that nobody may reach, in an
order that changes: each packet from another forged source, and all from one. What counts is the
processor time of the sender, which carries its packets all the way to where they are dropped.
Printed are the median of a packet's time, with its own sending, and the median of the ratios.
"""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import ExitStack
from statistics import median
from typing import Literal

from dockerfw.rules.names import DENY
from tests.build import policy
from tests.packets.scene import Scene, at

PACKETS = 50_000
FLOODS = {"from 50,000 sources": 1, "from one source": 0}
_CALL = [sys.executable, "-S", "-c", "from tests.lab.flood import main; main()"]


def seconds(scene: Scene, step: int) -> float:
    """Return the processor time of one flood; ``step`` is from one source to the next."""
    order = {
        "address": at("db", 4),
        "port": 5432,
        "first": "198.18.0.0",
        "count": PACKETS,
        "step": step,
    }
    return float(scene.outside.run(_CALL, stdin=json.dumps(order) + "\n").stdout)


def without_records(scene: Scene) -> None:
    """Take the rules that record out, and leave the one that counts."""
    rules = [line for line in scene.saved(4).splitlines() if line.startswith(f"-A {DENY} ")]
    for number, rule in reversed(list(enumerate(rules, 1))):
        if "--add-set" in rule:
            scene.iptables(4, "-D", DENY, str(number))


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--flavour", choices=("nft", "legacy"), default="nft")
    given = parser.parse_args()
    flavour: Literal["nft", "legacy"] = given.flavour
    with ExitStack() as stack:
        hosts = {name: stack.enter_context(Scene(flavour=flavour)) for name in ("with", "without")}
        for scene in hosts.values():
            scene.commit(policy())
        without_records(hosts["without"])
        for flood, step in FLOODS.items():
            times: dict[str, list[float]] = {name: [] for name in hosts}
            for number in range(given.rounds):
                for name in sorted(hosts, reverse=number % 2 == 0):
                    times[name].append(seconds(hosts[name], step) / PACKETS)
            ratio = median(a / b for a, b in zip(times["with"], times["without"], strict=True))
            each = ", ".join(f"{name} {median(t) * 1e9:.0f} ns" for name, t in times.items())
            sys.stdout.write(f"{flavour}, {flood}: {each}, ratio {ratio:.3f}\n")


if __name__ == "__main__":
    main()
