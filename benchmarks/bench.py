"""Everything that is measured, in one run: see `script/bench`."""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path

from benchmarks.document import DOCUMENT, TEMPLATE, document, table
from benchmarks.figures import HISTORY, Figure, Run, read_history, slower
from benchmarks.sections import SECTIONS


def measure(*, quick: bool) -> Run:
    figures: list[Figure] = []
    load = os.getloadavg()[0]
    for name, section in SECTIONS.items():
        print(f"bench: {name} …", file=sys.stderr, flush=True)
        found = list(section(quick=quick))
        figures += found
        for part in dict.fromkeys(figure.section for figure in found):
            lines = table(figure for figure in found if figure.section == part)
            print(f"\n{part}", *lines, sep="\n", flush=True)
    return Run(
        f"{datetime.now(tz=timezone.utc):%Y-%m-%d}",
        _said_by(["git", "describe", "--always", "--dirty"]),
        machine(load),
        tuple(figures),
    )


def machine(load: float) -> dict[str, str]:
    """What the figures hang on; ``load`` is how busy the machine was before."""
    return {
        "cores": str(os.cpu_count()),
        "load before": f"{load:.1f}",
        "kernel": platform.release().split("-")[0],
        "Python": platform.python_version(),
        "iptables": _said_by(["iptables", "--version"]).split()[1],
        "ipset": _said_by(["ipset", "--version"]).split()[1].rstrip(","),
        "nft": _said_by(["nft", "--version"]).split()[1],
    }


def _said_by(argv: list[str]) -> str:
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()


def keep(run: Run) -> None:
    """Add the run to the history and write the document and its pictures by it."""
    from benchmarks import plots  # noqa: PLC0415 # heavy, and for whole runs alone

    with HISTORY.open("a", encoding="utf-8") as history:
        history.write(run.line() + "\n")
    kept = read_history()[-1]
    DOCUMENT.write_text(document(TEMPLATE.read_text(encoding="utf-8"), kept), encoding="utf-8")
    written = [HISTORY, DOCUMENT, *plots.draw(kept)]
    print(f"\nwrote {', '.join(map(str, written))}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="script/bench", description="Measures dockerfw.")
    parser.add_argument("--quick", action="store_true", help="less of each, and nothing written")
    quick = parser.parse_args().quick
    if not Path("benchmarks").is_dir():
        sys.exit("bench: to be run from the root of the repository")
    before = read_history()
    run = measure(quick=quick)
    if before:
        found = list(slower(before[-1], run))
        print(f"\nslower than in the run of {before[-1].when}: {len(found)}", *found, sep="\n  ")
    if not quick:
        keep(run)


if __name__ == "__main__":
    main()
