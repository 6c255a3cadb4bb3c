"""An sdist and a wheel, as ``script/build-wheel`` of some tree makes them; how they are used."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Built:
    sdist: Path
    wheel: Path


def run(
    argv: Sequence[str | Path], env: Mapping[str, str] | None = None, *, status: int = 0
) -> str:
    """What a command prints, in the environment of the tests but for Python's own words.

    Fails with all that it said if it leaves with another status.
    """
    own = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    done = subprocess.run(
        [str(word) for word in argv],
        env={**own, **(env or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == status, f"{argv}: {done.returncode}\n{done.stdout}"
    return done.stdout


def build(tree: Path, folder: Path) -> Built:
    run([tree / "script" / "build-wheel", folder])
    (sdist,), (wheel,) = folder.glob("*.tar.gz"), folder.glob("*.whl")
    return Built(sdist, wheel)
