"""The wheel on each Python: by uv and by pipx, as docs/install.md has it, and as a module."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from dockerfw import __version__
from dockerfw.cli.app import cli
from tests.documents import commands
from tests.install import pythons
from tests.install.built import Built, run
from tests.paths import EXAMPLE, REPOSITORY

PYTHONS = pythons.found()
PIPX, UV, NO_PIPX, NO_UV = (
    block.text for block in commands("docs/install.md", "tests/install/test_pythons.py")
)
GOLDEN = REPOSITORY / "tests" / "golden" / "all-ports"


def uses(program: Path) -> None:
    """What a newcomer tries first, none of which needs root."""
    assert run([program, "--version"]) == f"dockerfw, version {__version__}\n"
    shown = run([program, "--help"])
    assert all(f"\n  {name} " in shown for name in cli.commands)
    assert "valid" in run([program, "check", "-c", EXAMPLE])
    policy, inventory = GOLDEN / "config.toml", GOLDEN / "inventory.json"
    plan = run([program, "plan", "-c", policy, "--inventory", inventory], status=3)
    assert "Plan: 5 to stay open, 6 to close" in plan


def follow(block: str, built: Built, top: Path, version: str) -> None:
    """Run lines of the page, below ``top`` and with this Python in place of the host's."""
    (top / "dist").mkdir(exist_ok=True)
    wheel = top / "dist" / built.wheel.name
    if not wheel.exists():
        wheel.symlink_to(built.wheel)
    for place in ("/opt/", "/usr/local/"):
        block = block.replace(f"={place}", f"={top}{place}")
    block = block.replace("/usr/bin/python3", PYTHONS[version])
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    run(["bash", "-c", f"set -e\ncd {top}\n{block}"], {"PATH": path})


def exports(block: str) -> str:
    return "".join(line for line in block.splitlines(keepends=True) if line.startswith("export "))


@pytest.mark.parametrize("version", PYTHONS)
def test_uv_installs_it_and_it_works(built: Built, tmp_path: Path, version: str) -> None:
    follow(UV, built, tmp_path, version)

    program = tmp_path / "usr/local/bin/dockerfw"
    uses(program)
    python = tmp_path / "opt/uv/tools/dockerfw/bin/python"
    assert run([python, "-V"]).startswith(f"Python {version}.")
    assert run([python, "-m", "dockerfw", "--version"]) == f"dockerfw, version {__version__}\n"
    follow(UV.replace(" install ", " install --force "), built, tmp_path, version)
    assert program.exists()
    follow(exports(UV) + NO_UV, built, tmp_path, version)
    assert not program.exists()


@pytest.mark.quick_where(holds=lambda version: version == next(iter(PYTHONS)))
@pytest.mark.parametrize("version", PYTHONS)
def test_pipx_installs_it_with_its_manual_page(built: Built, tmp_path: Path, version: str) -> None:
    follow(PIPX, built, tmp_path, version)

    program = tmp_path / "usr/local/bin/dockerfw"
    uses(program)
    page = tmp_path / "usr/local/share/man/man1/dockerfw.1"
    assert ".TH DOCKERFW 1" in page.read_text(encoding="utf-8")
    follow(exports(PIPX) + NO_PIPX, built, tmp_path, version)
    assert not program.exists()
