"""The wheel on each Python: by uv and by pipx, on its own and as a module."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from dockerfw import __version__
from dockerfw.cli.app import cli
from tests.install import pythons
from tests.install.built import Built, run
from tests.paths import EXAMPLE, REPOSITORY

PYTHONS = pythons.found()
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


@pytest.mark.parametrize("version", PYTHONS)
def test_uv_installs_it_and_it_works(built: Built, tmp_path: Path, version: str) -> None:
    where = {"UV_TOOL_DIR": str(tmp_path / "tools"), "UV_TOOL_BIN_DIR": str(tmp_path / "bin")}
    uv = Path(sys.executable).with_name("uv")
    run([uv, "tool", "install", "--python", PYTHONS[version], built.wheel], where)

    uses(tmp_path / "bin" / "dockerfw")
    python = tmp_path / "tools" / "dockerfw" / "bin" / "python"
    assert run([python, "-V"]).startswith(f"Python {version}.")
    assert run([python, "-m", "dockerfw", "--version"]) == f"dockerfw, version {__version__}\n"


@pytest.mark.quick_where(holds=lambda version: version == next(iter(PYTHONS)))
@pytest.mark.parametrize("version", PYTHONS)
def test_pipx_installs_it_with_its_manual_page(built: Built, tmp_path: Path, version: str) -> None:
    where = {
        "PIPX_HOME": str(tmp_path / "home"),
        "PIPX_BIN_DIR": str(tmp_path / "bin"),
        "PIPX_MAN_DIR": str(tmp_path / "man"),
    }
    pipx = [sys.executable, "-m", "pipx"]
    run([*pipx, "install", "--python", PYTHONS[version], built.wheel], where)

    uses(tmp_path / "bin" / "dockerfw")
    assert ".TH DOCKERFW 1" in (tmp_path / "man" / "man1" / "dockerfw.1").read_text()
    run([*pipx, "uninstall", "dockerfw"], where)
    assert not (tmp_path / "bin" / "dockerfw").exists()
