"""``dockerfw plan``, for a recorded inventory."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.unit.cli.terminal import Terminal


def test_a_plan_for_a_recorded_inventory_needs_neither_docker_nor_root(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, policy: Path, tmp_path: Path
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    recorded = tmp_path / "inventory.json"
    recorded.write_text('{"schema": 1, "engine": "", "containers": [], "networks": []}')
    done = terminal.run("plan", "-c", str(policy), "--inventory", str(recorded))
    assert done.status == 3
    assert "matches no container" in done.err or "web" in done.err
    recorded.write_text("{")
    assert terminal.run("plan", "-c", str(policy), "--inventory", str(recorded)).status == 2


def test_a_plan_shows_what_opens_and_verbose_the_kernel_text_too(
    terminal: Terminal, policy: Path, shop: str
) -> None:
    brief = terminal.run("plan", "-c", str(policy), "--inventory", shop)
    verbose = terminal.run("plan", "-v", "-c", str(policy), "--inventory", shop)
    assert "web" in brief.out
    assert verbose.out.startswith(brief.out)
    assert "\n# ipset: " in verbose.out
    assert "\nCOMMIT\n" in verbose.out


def test_a_plan_for_programs_is_one_document(terminal: Terminal, policy: Path, shop: str) -> None:
    done = terminal.run("plan", "--json", "-c", str(policy), "--inventory", shop)
    document = json.loads(done.out)
    assert done.status == 3
    assert list(document) == [
        "schema",
        "changed",
        "in_sync",
        "observing",
        "changes",
        "notes",
        "warnings",
        "hints",
        "steps",
    ]
    assert (document["changed"], document["in_sync"], document["observing"]) == (True, False, False)
    assert [change["target"] for change in document["changes"]]
    assert {step["tool"] for step in document["steps"]} == {"ipset", "iptables", "nft"}


def test_observing_stands_in_the_first_line(terminal: Terminal, policy: Path, shop: str) -> None:
    policy.write_text('[firewall]\nmode = "observe"\n' + policy.read_text())
    done = terminal.run("plan", "-c", str(policy), "--inventory", shop)
    assert done.out.startswith("OBSERVING")
