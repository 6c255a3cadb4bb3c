"""The Debian package of this tree, built once in a test run, however many processes that has."""

from __future__ import annotations

from fcntl import LOCK_EX, flock
from pathlib import Path

from tests.lab import process
from tests.lab.roots import root
from tests.paths import REPOSITORY


def built(suite: str, run: Path) -> Path:
    """The package, out of a clean root; that fails where lintian finds anything.

    ``run`` is the folder of all processes of a test run.
    """
    folder = run / f"package-{suite}"
    folder.mkdir(exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        flock(lock, LOCK_EX)
        if not list(folder.glob("dockerfw_*.deb")):
            root(f"{suite}-build")
            argv = [str(REPOSITORY / "script" / "build-deb"), suite, str(folder)]
            process.run(argv, timeout=900)
    return next(folder.glob("dockerfw_*.deb"))
