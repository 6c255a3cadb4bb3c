"""What the start of a command costs beside a Python that does nothing, and which import how much.

Prints figures and asserts nothing. Run from the root of the repository::

    python -m benchmarks.start [--rounds N]

Processor time of whole processes, in turns; a ratio compares two of the same round.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from benchmarks.figures import Figure, median, times

SECTION = "start"
_POLICY = """\
[[allow]]
to = "web"
ports = [80, 443]
from = ["any"]

[[allow]]
to = "db"
ports = [5432]
from = ["198.51.100.0/24", "2001:db8:10::/48"]
"""
_BARE = "python3 -c pass"


def measure(rounds: int) -> list[Figure]:
    """Milliseconds of each command, how many times a bare Python that is, and its imports."""
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "config.toml"
        config.write_text(_POLICY, encoding="utf-8")
        us = [sys.executable, "-m", "dockerfw"]
        commands = {
            _BARE: [sys.executable, "-c", "pass"],
            "dockerfw --help": [*us, "--help"],
            "dockerfw check, two rules": [*us, "check", "-c", str(config)],
        }
        costs: dict[str, list[float]] = {name: [] for name in commands}
        for number in range(rounds + 1):
            for name, argv in commands.items():
                spent = _spent(argv)
                if number:  # the first round warms caches
                    costs[name].append(spent)
        check = commands["dockerfw check, two rules"]
        imports = _imports([check[0], "-X", "importtime", *check[1:]])
    found = []
    for name, spent_each in costs.items():
        ratios = [one / bare for one, bare in zip(spent_each, costs[_BARE], strict=True)]
        found.append(Figure(SECTION, name, "processor time", 1000 * median(spent_each), "ms"))
        if name != _BARE:
            found.append(times(SECTION, name, "of a bare Python", median(ratios)))
    found += [Figure("imports", name, "time", cost, "ms") for name, cost in imports]
    return found


def _spent(argv: list[str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _imports(argv: list[str]) -> list[tuple[str, float]]:
    """The dearest packages of a start, with the milliseconds that their own modules take."""
    told = subprocess.run(argv, capture_output=True, text=True, check=True).stderr
    spent: Counter[str] = Counter()
    for line in told.splitlines():
        own, _, name = line.removeprefix("import time:").split("|")
        if own.strip().isdigit():
            spent[name.strip().split(".")[0]] += int(own)
    return [(name, micro / 1000) for name, micro in spent.most_common(6)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    for figure in measure(parser.parse_args().rounds):
        print(f"{figure.row:28} {figure.column:20} {figure.text}")


if __name__ == "__main__":
    main()
