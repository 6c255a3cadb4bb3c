"""What the daemon reports of itself, by what it knows."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from dockerfw.daemon.log import Log
from dockerfw.daemon.reporter import Reporter
from dockerfw.daemon.systemd import Systemd
from dockerfw.daemon.worker import Worker
from dockerfw.errors import Failed
from dockerfw.model.host import HostFacts
from dockerfw.model.inventory import Inventory
from dockerfw.model.policy import Policy
from dockerfw.rules.compiler import compile_ruleset
from dockerfw.state.store import Store
from tests.clock import FakeClock
from tests.edges.daemon.played_host import PlayedKernel
from tests.edges.daemon.test_metrics import eventually, parsed


class NoCounters(PlayedKernel):
    def set_counters(self, *_: object) -> NoReturn:
        raise Failed("there is no kernel here")


@pytest.fixture
def reporter(tmp_path: Path) -> Iterator[Reporter]:
    store, clock = Store(tmp_path / "state", tmp_path / "run"), FakeClock()
    log = Log(io.StringIO(), clock)
    found = Reporter(store, NoCounters(), clock, log, Systemd({}), Worker())
    yield found
    found.close()


def told(reporter: Reporter, policy: Policy, folder: Path) -> dict[str, float]:
    file = folder / "dockerfw.prom"
    file.unlink(missing_ok=True)
    reporter.serve_metrics(policy)
    reporter.publish(policy, Inventory(), None)
    reporter.write_metrics()
    eventually(file.exists, lambda: "no file of metrics")
    return parsed(file.read_text())


def agree(reporter: Reporter, policy: Policy) -> None:
    reporter.agreed(policy, compile_ruleset(policy, Inventory(), HostFacts()), Inventory())


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
    reporter: Reporter, tmp_path: Path, about: str | None, in_sync: int, enforcing: int
) -> None:
    policy = Policy(metrics_file=str(tmp_path / "dockerfw.prom"))
    samples = told(reporter, policy, tmp_path)
    assert (samples["dockerfw_in_sync"], samples["dockerfw_enforcing"]) == (0, 0), "not yet"
    agree(reporter, policy)
    if about is not None:
        reporter.note(about, "something is wrong")
    samples = told(reporter, policy, tmp_path)
    assert (samples["dockerfw_in_sync"], samples["dockerfw_enforcing"]) == (in_sync, enforcing)


def test_what_was_written_and_what_was_tried_again_is_counted(
    reporter: Reporter, tmp_path: Path
) -> None:
    policy = Policy(metrics_file=str(tmp_path / "dockerfw.prom"))
    told(reporter, policy, tmp_path)
    reporter.wrote()
    reporter.wrote()
    reporter.failed(Failed("the kernel says no"))
    samples = told(reporter, policy, tmp_path)
    assert samples["dockerfw_commits_total"] == 2
    assert samples["dockerfw_commit_failures_total"] == 1


def test_what_the_host_cannot_hold_is_a_metric_and_a_line_at_its_start_and_end(
    reporter: Reporter, tmp_path: Path
) -> None:
    policy = Policy(metrics_file=str(tmp_path / "dockerfw.prom"))
    for reasons in (("a path is open", "another too"), ("a path is open", "another too"), ()):
        reporter.unenforced(reasons)
        assert told(reporter, policy, tmp_path)["dockerfw_unenforced"] == len(reasons)
