"""What the daemon tells of itself, by what it knows."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from dockerfw.daemon.log import Log
from dockerfw.daemon.reporter import Voice
from dockerfw.daemon.worker import Worker
from dockerfw.errors import Failed
from dockerfw.kernel.runner import Runner
from dockerfw.model.host import HostFacts
from dockerfw.model.inventory import Inventory
from dockerfw.model.policy import Policy
from dockerfw.operations.use_cases import Session
from dockerfw.rules.compiler import compile_ruleset
from dockerfw.state.store import Store
from tests.edges.daemon.test_metrics import eventually, parsed


class NoRunner(Runner):
    def run(self, *_: object, **__: object) -> NoReturn:
        raise Failed("there is no kernel here")

    def read_file(self, *_: object, **__: object) -> NoReturn:
        raise Failed("there is no kernel here")


@pytest.fixture
def voice(tmp_path: Path) -> Iterator[Voice]:
    session = Session(NoRunner(), Store(tmp_path / "state", tmp_path / "run"), None, print)
    found = Voice(session, Log(io.StringIO()), Worker())
    yield found
    found.close()


def told(voice: Voice, policy: Policy, folder: Path) -> dict[str, float]:
    file = folder / "dockerfw.prom"
    file.unlink(missing_ok=True)
    voice.serve_metrics(policy)
    voice.tell(policy, Inventory(), None)
    voice.write_metrics()
    eventually(file.exists, lambda: "no file of metrics")
    return parsed(file.read_text())


def agree(voice: Voice, policy: Policy) -> None:
    voice.agreed(policy, compile_ruleset(policy, Inventory(), HostFacts()), Inventory())


@pytest.mark.parametrize(
    ("about", "in_sync", "enforcing"),
    [
        (None, 1, 1),
        ("disk", 1, 1),
        ("docker", 0, 1),
        ("policy", 0, 1),
        ("fight", 0, 0),
        ("failed", 0, 0),
    ],
)
def test_in_sync_and_enforcing_go_by_what_is_wrong(
    voice: Voice, tmp_path: Path, about: str | None, in_sync: int, enforcing: int
) -> None:
    policy = Policy(metrics_file=str(tmp_path / "dockerfw.prom"))
    samples = told(voice, policy, tmp_path)
    assert (samples["dockerfw_in_sync"], samples["dockerfw_enforcing"]) == (0, 0), "not yet"
    agree(voice, policy)
    if about is not None:
        voice.note(about, "something is wrong")
    samples = told(voice, policy, tmp_path)
    assert (samples["dockerfw_in_sync"], samples["dockerfw_enforcing"]) == (in_sync, enforcing)


def test_what_was_written_and_what_was_tried_again_is_counted(voice: Voice, tmp_path: Path) -> None:
    policy = Policy(metrics_file=str(tmp_path / "dockerfw.prom"))
    told(voice, policy, tmp_path)
    voice.wrote()
    voice.wrote()
    voice.failed(Failed("the kernel says no"))
    samples = told(voice, policy, tmp_path)
    assert samples["dockerfw_commits_total"] == 2
    assert samples["dockerfw_commit_failures_total"] == 1
