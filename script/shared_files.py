"""What the program says of itself, as files below ``share/``: manual page, completions, schema.

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
_FILES = {
    # below share/: arguments of Python, and what the shell of a completion is called
    "man/man8/dockerfw.8": (("script/manual.py",), None),
    "dockerfw/policy.schema.json": ((*_PROGRAM, "schema"), None),
    "bash-completion/completions/dockerfw": (_PROGRAM, "bash"),
    "zsh/site-functions/_dockerfw": (_PROGRAM, "zsh"),
    "fish/vendor_completions.d/dockerfw.fish": (_PROGRAM, "fish"),
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
    for name, (arguments, shell) in _FILES.items():
        completing = {"_DOCKERFW_COMPLETE": f"{shell}_source"} if shell else {}
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=top,
            env={**clean, **completing, "PYTHONPATH": python_path},
            stdout=subprocess.PIPE,
            check=True,
        )
        target = share / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(done.stdout)
