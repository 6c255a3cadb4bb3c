"""``dockerfw init``: a policy on stdout or in a new file, and never over an old one."""

from __future__ import annotations

from pathlib import Path

import pytest

from dockerfw.state import inventory_file
from tests import build
from tests.unit.cli.terminal import Terminal


@pytest.fixture
def recorded(tmp_path: Path) -> str:
    path = tmp_path / "inventory.json"
    shop = build.inventory(
        build.network("front", "172.18.0.0/16"),
        build.container("web", "front 172.18.0.2", published="8080:80"),
    )
    path.write_text(inventory_file.dump(shop))
    return str(path)


def test_what_it_writes_is_valid_and_for_root_alone(
    terminal: Terminal, recorded: str, tmp_path: Path
) -> None:
    path = tmp_path / "config.toml"
    done = terminal.run("init", "--inventory", recorded, "-o", str(path))
    assert (done.status, done.out) == (0, "")
    assert f"dockerfw plan -c {path}" in done.err
    assert path.stat().st_mode & 0o777 == 0o600
    assert f"dockerfw check -c {path}" in done.err
    assert path.read_text() == terminal.run("init", "--inventory", recorded).out
    assert terminal.run("check", "-c", str(path)).status == 0


def test_the_policy_that_commands_go_by_anyway_is_not_named(
    terminal: Terminal, recorded: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "config.toml"
    monkeypatch.setenv("DOCKERFW_CONFIG", str(path))
    done = terminal.run("init", "--inventory", recorded, "-o", str(path))
    assert done.err.endswith("Next: read it, then `dockerfw check` and `dockerfw plan`\n")


def test_a_file_that_is_there_stays_as_it_is(
    terminal: Terminal, recorded: str, policy: Path, tmp_path: Path
) -> None:
    before = policy.read_text()
    pointing = tmp_path / "link.toml"
    pointing.symlink_to(tmp_path / "nowhere")
    for there in (policy, pointing):
        done = terminal.run("init", "--inventory", recorded, "-o", str(there))
        assert done.status == 2
        assert done.err.startswith(f"dockerfw: {there} exists, and is left as it is")
    assert policy.read_text() == before


def test_where_it_cannot_write_the_reason_is_told(
    terminal: Terminal, recorded: str, tmp_path: Path
) -> None:
    done = terminal.run("init", "--inventory", recorded, "-o", str(tmp_path / "no/config.toml"))
    assert done.status == 1
    assert "No such file or directory" in done.err


def test_it_observes_at_first_where_something_is_open(terminal: Terminal, recorded: str) -> None:
    assert 'mode = "observe"' in terminal.run("init", "--inventory", recorded).out
