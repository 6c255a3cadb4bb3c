"""A terminal, and a policy to name at it."""

from __future__ import annotations

from pathlib import Path

import pytest

from dockerfw.state import inventory_file
from tests import build
from tests.unit.cli.terminal import Terminal


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Terminal:
    return Terminal(monkeypatch, capsys)


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    path = tmp_path / "config.toml"
    path.write_text('[[allow]]\nto = "web"\nports = [80]\nfrom = ["any"]\n')
    path.chmod(0o600)
    return path


@pytest.fixture
def shop(tmp_path: Path) -> str:
    """A recorded inventory with a container that the policy opens."""
    running = build.inventory(
        build.network("front", "172.18.0.0/16"),
        build.container("web", "front 172.18.0.2", published="8080:80"),
    )
    recorded = tmp_path / "shop.json"
    recorded.write_text(inventory_file.dump(running))
    return str(recorded)
