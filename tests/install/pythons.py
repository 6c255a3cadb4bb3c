"""Which Pythons this machine has, of those that dockerfw runs with.

Found by name in PATH, in pyenv's folder, in that of uv. `script/setup` gets what uv can get.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.paths import REPOSITORY

_WHICH = "import sys; print('{}.{}'.format(*sys.version_info)); print(sys.executable)"


def declared() -> list[str]:
    """The versions of the classifiers: ``3.10`` and so on."""
    text = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    return re.findall(r'"Programming Language :: Python :: (3\.\d+)"', text)


def found() -> dict[str, str]:
    """By version: an interpreter of it. At least the one that runs this is there."""
    pythons = {f"3.{sys.version_info.minor}": sys.executable}
    for version in declared():
        for path in _candidates(version):
            if version not in pythons and _works(path, version):
                pythons[version] = path
    return {version: pythons[version] for version in declared() if version in pythons}


def _candidates(version: str) -> Iterator[str]:
    in_path = shutil.which(f"python{version}")
    if in_path is not None:
        yield in_path
    home = Path.home()
    pyenv = Path(os.environ.get("PYENV_ROOT", home / ".pyenv"))
    uv = Path(os.environ.get("UV_PYTHON_INSTALL_DIR", home / ".local/share/uv/python"))
    for folder in (*pyenv.glob(f"versions/{version}.*"), *uv.glob(f"cpython-{version}.*")):
        yield str(folder / "bin" / f"python{version}")


def _works(path: str, version: str) -> bool:
    """A shim of pyenv may stand for nothing."""
    try:
        done = subprocess.run([path, "-c", _WHICH], capture_output=True, text=True, check=False)
    except OSError:
        return False
    return done.returncode == 0 and done.stdout.split()[:1] == [version]


if __name__ == "__main__":
    missing = [version for version in declared() if version not in found()]
    sys.stdout.write("\n".join(missing))
