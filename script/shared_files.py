"""What the program says of itself, as files below ``share/``: manual pages, completions, schema.

Hatchling calls it for each wheel (`SharedFiles`), so that ``pip``, ``pipx`` and Debian's tools lay
them where they belong. Runs the program of this tree in processes of its own, with the Python that
builds; writes ``build/share`` and nothing else.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_PROGRAM = ("-m", "dockerfw")
_MANUAL = "script/manual.py"
_FILES = {
    # below share/: what Python is to run
    "man/man1/dockerfw.1": (_MANUAL, "dockerfw.1"),
    "man/man5/dockerfw.toml.5": (_MANUAL, "dockerfw.toml.5"),
    "dockerfw/policy.schema.json": (*_PROGRAM, "schema"),
    "bash-completion/completions/dockerfw": (*_PROGRAM, "completion", "bash"),
    "zsh/site-functions/_dockerfw": (*_PROGRAM, "completion", "zsh"),
    "fish/vendor_completions.d/dockerfw.fish": (*_PROGRAM, "completion", "fish"),
}


class SharedFiles(BuildHookInterface[Any]):
    """Hatchling's hook of the wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Write the files before the wheel is put together."""
        del version, build_data
        write(Path(self.root))


def write(top: Path) -> None:
    """Write ``build/share`` of this tree anew. Raises `subprocess.CalledProcessError`."""
    share = top / "build" / "share"
    shutil.rmtree(share, ignore_errors=True)
    # Of the environment nothing else that could change what is printed, as its width does.
    clean = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"}
    # Where the build's own requirements are: of an isolated build that is no folder of Python's.
    python_path = os.pathsep.join([str(top), *sys.path])
    for name, arguments in _FILES.items():
        done = subprocess.run(
            # -S: pip's own sitecustomize would take this tree away where it is installed already.
            [sys.executable, "-S", *arguments],
            cwd=top,
            env={**clean, "PYTHONPATH": python_path},
            stdout=subprocess.PIPE,
            check=True,
        )
        target = share / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(done.stdout)
