"""A terminal, and a policy to name at it."""

from __future__ import annotations

from pathlib import Path

import pytest

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
