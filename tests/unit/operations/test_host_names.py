"""What commands make of ``host:`` sources: which ask DNS, and what counts where it fails."""

from __future__ import annotations

import json
import socket
from ipaddress import ip_address
from pathlib import Path

import pytest

from dockerfw.cli import app as cli
from dockerfw.clock import SystemClock
from dockerfw.dns.answer import Answer, answer
from dockerfw.dns.lookup import System
from dockerfw.model.net import Address
from dockerfw.model.policy import HostAddresses
from dockerfw.operations.host_names import with_names
from dockerfw.policy.document import Document
from dockerfw.policy.files import PolicyText
from dockerfw.state import inventory_file as inventoryfile
from dockerfw.state.store import Store
from dockerfw.state.stored_policy import Applied
from tests.build import container, inventory, network

VPN = "vpn.example.org"
TEXT = f'[[allow]]\nto = "db"\nports = 5432\nfrom = "host:{VPN}"\n'
RUNNING = inventory(network("shop", "172.18.0.0/16"), container("db", "shop 172.18.0.2"))


def addresses(*texts: str) -> tuple[Address, ...]:
    return tuple(map(ip_address, texts))


NAMES: HostAddresses = {VPN: addresses("203.0.113.7", "2001:db8::7")}


def text(names: HostAddresses) -> PolicyText:
    return PolicyText((Document("/etc/dockerfw/config.toml", TEXT.encode()),), names=names)


def state_with(folder: Path, names: HostAddresses) -> Store:
    state = Store(folder / "lib", folder / "run")
    state.policy.replace(text(names), Applied("/etc/dockerfw/config.toml", 1.0, "nft"))
    return state


def answering(monkeypatch: pytest.MonkeyPatch, **answers: Answer) -> list[str]:
    """The names that were asked for, of ``NAME.example.org``; the others do not exist."""
    asked: list[str] = []

    def look_up(_: System, name: str) -> Answer:
        asked.append(name)
        return answers.get(name.partition(".")[0], Answer(problem="no such name"))

    monkeypatch.setattr(System, "look_up", look_up)
    return asked


def test_a_name_that_fails_stands_for_what_it_did_in_the_policy_in_force(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = state_with(tmp_path, NAMES)
    answering(monkeypatch)
    found = with_names(state, text({}), SystemClock())
    assert found.names == NAMES
    (warning,) = found.warnings
    assert warning.startswith(f"/etc/dockerfw/config.toml:1: host:{VPN} cannot be looked up")
    answering(monkeypatch, vpn=answer(addresses("192.0.2.9")))
    assert with_names(state, text({}), SystemClock()).names == {VPN: addresses("192.0.2.9")}


def test_a_policy_without_names_asks_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = answering(monkeypatch)
    plain = PolicyText((Document("config.toml", b'[sources]\nx = "host:vpn.example.org"\n'),))
    assert with_names(Store(tmp_path, tmp_path), plain, SystemClock()) is plain
    assert asked == []


@pytest.fixture
def policy_file(tmp_path: Path) -> Path:
    tmp_path.chmod(0o755)
    path = tmp_path / "config.toml"
    path.write_text(TEXT)
    path.chmod(0o644)
    return path


def test_check_asks_no_network(
    policy_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise AssertionError("check opened a socket")

    monkeypatch.setattr(socket, "socket", refused)
    monkeypatch.setattr(socket, "getaddrinfo", refused)
    assert cli.cli.main(["check", "-c", str(policy_file), "--json"], standalone_mode=False) == 0
    assert json.loads(capsys.readouterr().out) == {"schema": 1, "valid": True, "warnings": []}


def test_a_plan_looks_names_up_and_shows_them(
    tmp_path: Path,
    policy_file: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    answering(monkeypatch, vpn=answer(addresses("203.0.113.7")))
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "none"))
    recorded = tmp_path / "inventory.json"
    recorded.write_text(inventoryfile.dump(RUNNING))
    arguments = ["plan", "-c", str(policy_file), "--inventory", str(recorded)]
    assert cli.cli.main(arguments, standalone_mode=False) == 3
    told = capsys.readouterr()
    assert f"host:{VPN} (203.0.113.7)" in told.out
    assert told.err == ""
