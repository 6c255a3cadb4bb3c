from __future__ import annotations

import re
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path
from socketserver import ThreadingMixIn

import pytest

from dockerfw.daemon.metrics import Listener, Metrics, NoMetrics
from dockerfw.errors import Failed
from dockerfw.report.status import Health, Status
from dockerfw.report.traffic import Traffic
from tests.clock import FakeClock
from tests.paths import DOCS, REPOSITORY

NOTHING = Status(Health(enforcing=True, observing=False, in_sync=True))
GAP = 30.0
"""Seconds, at most, that a test waits for something that takes milliseconds."""


class Kernel:
    """Counts what a test says; ``broken`` is raised in place of an answer."""

    def __init__(self) -> None:
        self.status = NOTHING
        self.broken: Exception | None = None

    def __call__(self) -> Status:
        if self.broken is not None:
            raise self.broken
        return self.status

    def count(self, allowed: tuple[Traffic, ...] = (), denied: tuple[Traffic, ...] = ()) -> None:
        self.status = Status(NOTHING.health, allowed, denied)


@pytest.fixture
def kernel() -> Kernel:
    return Kernel()


@pytest.fixture
def metrics(kernel: Kernel) -> Iterator[Metrics]:
    found = Metrics(kernel, FakeClock(1042.5))
    yield found
    found.close()


def parsed(text: str) -> dict[str, float]:
    """Sample, with its labels, -> value; the times at which counters were made left out."""
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    samples = [line.rpartition(" ") for line in lines]
    return {name: float(value) for name, _, value in samples if "_created" not in name}


def written(metrics: Metrics, folder: Path) -> dict[str, float]:
    metrics.write(folder / "dockerfw.prom")
    return parsed((folder / "dockerfw.prom").read_text())


def ask(metrics: Metrics, method: str = "GET") -> tuple[int, str]:
    assert metrics.address is not None
    connection = HTTPConnection(*metrics.address, timeout=GAP)
    connection.request(method, "/metrics")
    answer = connection.getresponse()
    body = answer.read().decode()
    connection.close()
    return answer.status, body


def eventually(what: Callable[[], bool], message: Callable[[], str]) -> None:
    end = time.monotonic() + GAP
    while not what():
        assert time.monotonic() < end, message()
        threading.Event().wait(0.005)


def traffic(container: str, port: str, packets: int, host_port: str = "") -> Traffic:
    return Traffic(container, port, host_port, packets, packets * 60)


def samples_of(verdict: str, samples: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in samples.items() if f"dockerfw_{verdict}_" in name}


# --- what is counted -----------------------------------------------------------------------------


def test_a_daemon_that_has_done_nothing_yet(metrics: Metrics, tmp_path: Path) -> None:
    samples = written(metrics, tmp_path)
    quiet = {name: value for name, value in samples.items() if "event_to_commit" not in name}
    assert quiet == {
        "dockerfw_in_sync": 0,
        "dockerfw_enforcing": 0,
        "dockerfw_observing": 0,
        "dockerfw_unenforced": 0,
        "dockerfw_containers": 0,
        "dockerfw_set_entries": 0,
        "dockerfw_commits_total": 0,
        "dockerfw_commit_failures_total": 0,
        'dockerfw_drift_healed_total{what="rules"}': 0,
        'dockerfw_drift_healed_total{what="sets"}': 0,
        'dockerfw_drift_healed_total{what="seal"}': 0,
        "dockerfw_last_reconcile_timestamp_seconds": 0,
        "dockerfw_since_last_reconcile_seconds": float("inf"),
    }


def test_what_the_daemon_did_is_told(metrics: Metrics, tmp_path: Path) -> None:
    metrics.state(in_sync=True, enforcing=True, observing=False, containers=12, entries=340)
    metrics.state(containers=13)
    metrics.followed(0.004)
    metrics.committed()
    metrics.committed()
    metrics.failed()
    metrics.repaired("rules")
    metrics.repaired("rules")
    metrics.reconciled(1000.0)
    samples = written(metrics, tmp_path)
    told = {
        "dockerfw_in_sync": 1,
        "dockerfw_enforcing": 1,
        "dockerfw_observing": 0,
        "dockerfw_containers": 13,
        "dockerfw_set_entries": 340,
        "dockerfw_commits_total": 2,
        "dockerfw_commit_failures_total": 1,
        'dockerfw_drift_healed_total{what="rules"}': 2,
        "dockerfw_last_reconcile_timestamp_seconds": 1000,
        "dockerfw_since_last_reconcile_seconds": 42.5,
        "dockerfw_event_to_commit_seconds_count": 1,
    }
    assert {name: samples[name] for name in told} == told


@pytest.mark.parametrize(
    ("latency", "below", "not_below"),
    [
        (0.0005, "0.001", None),
        (0.004, "0.005", "0.002"),
        (0.9, "1.0", "0.5"),
        (7.0, "+Inf", "1.0"),
        (-3.0, "0.001", None),
    ],
)
def test_a_latency_falls_into_its_bucket(
    metrics: Metrics, tmp_path: Path, latency: float, below: str, not_below: str | None
) -> None:
    metrics.followed(latency)
    samples = written(metrics, tmp_path)
    assert samples[f'dockerfw_event_to_commit_seconds_bucket{{le="{below}"}}'] == 1
    assert samples["dockerfw_event_to_commit_seconds_sum"] == max(0, latency)
    if not_below is not None:
        assert samples[f'dockerfw_event_to_commit_seconds_bucket{{le="{not_below}"}}'] == 0


def test_every_metric_says_what_it_is(metrics: Metrics, kernel: Kernel, tmp_path: Path) -> None:
    kernel.count((traffic("web", "80/tcp", 1),), (traffic("db", "", 1),))
    metrics.write(tmp_path / "x.prom")
    text = (tmp_path / "x.prom").read_text()
    names = {name.partition("{")[0] for name in parsed(text)}
    for name in names:
        base = name
        for suffix in ("_bucket", "_count", "_sum"):
            base = base.removesuffix(suffix)
        assert f"# HELP {base} " in text
        assert f"# TYPE {base} " in text


def test_the_page_in_the_documentation_has_the_metrics_that_there_are_and_no_other(
    metrics: Metrics, kernel: Kernel, tmp_path: Path
) -> None:
    kernel.count((traffic("web", "80/tcp", 1),), (traffic("db", "", 1),))
    page = (DOCS / "metrics.md").read_text()
    there = {
        re.sub(r"_(bucket|count|sum)$", "", name.partition("{")[0])
        for name in written(metrics, tmp_path)
    }
    assert set(re.findall(r"`(dockerfw_\w+)`", page)) == there


# --- traffic -------------------------------------------------------------------------------------


def test_traffic_is_told_by_container_port(
    metrics: Metrics, kernel: Kernel, tmp_path: Path
) -> None:
    kernel.count(
        allowed=(
            traffic("web", "80/tcp", 3),
            traffic("web", "80/tcp", 4, "host port 8080/tcp"),
            traffic("", "", 5, "host port 9999/tcp"),
        ),
        denied=(traffic("db", "", 2),),
    )
    samples = written(metrics, tmp_path)
    assert samples_of("allowed", samples) == {
        'dockerfw_allowed_packets_total{container="web",port="80/tcp"}': 7,
        'dockerfw_allowed_bytes_total{container="web",port="80/tcp"}': 420,
        'dockerfw_allowed_packets_total{container="",port="host port 9999/tcp"}': 5,
        'dockerfw_allowed_bytes_total{container="",port="host port 9999/tcp"}': 300,
    }
    assert samples_of("denied", samples) == {
        'dockerfw_denied_packets_total{container="db",port=""}': 2,
        'dockerfw_denied_bytes_total{container="db",port=""}': 120,
    }


def test_a_container_that_is_gone_is_gone_from_here(
    metrics: Metrics, kernel: Kernel, tmp_path: Path
) -> None:
    kernel.count((traffic("web", "80/tcp", 3),))
    assert samples_of("allowed", written(metrics, tmp_path))
    kernel.count()
    assert not samples_of("allowed", written(metrics, tmp_path))


def test_a_hostile_name_stays_in_its_label(
    metrics: Metrics, kernel: Kernel, tmp_path: Path
) -> None:
    kernel.count((traffic('a"} 1\ndockerfw_in_sync 1\n\\', "80/tcp", 3),))
    samples = written(metrics, tmp_path)
    assert samples["dockerfw_in_sync"] == 0
    assert len(samples_of("allowed", samples)) == 2


@pytest.mark.parametrize("broken", [Failed("ipset: no such set"), OSError(12, "out of memory")])
def test_traffic_that_cannot_be_read_is_left_out(
    metrics: Metrics, kernel: Kernel, tmp_path: Path, broken: Exception
) -> None:
    kernel.broken = broken
    metrics.committed()
    samples = written(metrics, tmp_path)
    assert samples["dockerfw_commits_total"] == 1
    assert not samples_of("allowed", samples)


# --- the file ------------------------------------------------------------------------------------


def test_the_file_is_replaced_as_a_whole_and_readable_for_all(
    metrics: Metrics, tmp_path: Path
) -> None:
    path = tmp_path / "dockerfw.prom"
    path.write_text("old")
    with path.open() as reader:
        metrics.write(path)
        assert reader.read() == "old"
    assert "dockerfw_in_sync 0.0" in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert list(tmp_path.iterdir()) == [path]


def test_nothing_is_written_through_a_link_of_the_owner_of_the_folder(
    metrics: Metrics, tmp_path: Path
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    path = tmp_path / "dockerfw.prom"
    path.symlink_to(victim)
    (tmp_path / ".dockerfw.prom.new").symlink_to(victim)
    metrics.write(path)
    assert victim.read_text() == "untouched"
    assert not path.is_symlink()


def test_a_file_that_cannot_be_written_is_one_sentence(metrics: Metrics, tmp_path: Path) -> None:
    path = tmp_path / "missing" / "dockerfw.prom"
    with pytest.raises(Failed) as caught:
        metrics.write(path)
    assert str(caught.value) == f"metrics: cannot write {path}: No such file or directory"


# --- the listener --------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_it_answers_on_loopback_alone(metrics: Metrics, host: str) -> None:
    metrics.committed()
    metrics.serve(f"{host}:0")
    assert metrics.address is not None
    assert metrics.address[0] == host.strip("[]")
    status, body = ask(metrics)
    assert status == 200
    assert parsed(body)["dockerfw_commits_total"] == 1


def test_it_writes_nothing(metrics: Metrics) -> None:
    metrics.serve("127.0.0.1:0")
    assert ask(metrics, "POST")[0] == 501


def test_a_port_that_is_taken_is_one_sentence(metrics: Metrics) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Failed) as caught:
            metrics.serve(f"127.0.0.1:{port}")
    assert str(caught.value) == (
        f"metrics: cannot listen on 127.0.0.1:{port}: Address already in use; "
        "write another port in [daemon] metrics"
    )


def test_the_port_is_free_again_after_the_end(kernel: Kernel) -> None:
    first = Metrics(kernel, FakeClock())
    first.serve("127.0.0.1:0")
    assert first.address is not None
    ask(first)
    port = first.address[1]
    first.close()
    second = Metrics(kernel, FakeClock())
    second.serve(f"127.0.0.1:{port}")
    assert ask(second)[0] == 200
    second.close()


def test_rubbish_and_early_ends_do_not_end_it(
    metrics: Metrics, capfd: pytest.CaptureFixture[str]
) -> None:
    metrics.serve("127.0.0.1:0")
    assert metrics.address is not None
    for sent in (b"", b"\x16\x03\x01\n", b"GET /metrics HTTP/1.1\r\n", b"GET\r\n\r\n"):
        with socket.create_connection(metrics.address, timeout=GAP) as connection:
            connection.sendall(sent)
    assert ask(metrics)[0] == 200
    assert capfd.readouterr() == ("", "")


def test_a_fault_while_counting_ends_that_request_alone(
    metrics: Metrics, kernel: Kernel, capfd: pytest.CaptureFixture[str]
) -> None:
    metrics.serve("127.0.0.1:0")
    kernel.broken = KeyError("a fault of ours")
    with pytest.raises(OSError, match="closed connection"):
        ask(metrics)
    kernel.broken = None
    assert ask(metrics)[0] == 200
    assert capfd.readouterr().err == ""


class Threaded(ThreadingMixIn, Listener):
    """The protection off: a thread for each connection, as prometheus_client's own server."""

    daemon_threads = True


@pytest.mark.parametrize(
    ("server", "threads"), [(Threaded, 1 + 4), (Listener, 1)], ids=["off", "on"]
)
def test_silent_connections_cost_no_threads(
    kernel: Kernel, server: type[Listener], threads: int
) -> None:
    handled = threading.Semaphore(0)
    patience = 5.0 if server is Threaded else 0.02

    class Counting(server):  # type: ignore[misc, valid-type]
        def process_request(self, *request: object) -> None:
            handled.release()
            super().process_request(*request)

    metrics = Metrics(kernel, FakeClock(), make_listener=Counting, patience=patience)
    before = threading.active_count()
    metrics.serve("127.0.0.1:0")
    try:
        assert metrics.address is not None
        silent = [socket.create_connection(metrics.address, timeout=GAP) for _ in range(4)]
        for _ in silent:
            assert handled.acquire(timeout=GAP), "a connection was never looked at"
        assert threading.active_count() - before == threads
        assert ask(metrics)[0] == 200
        for connection in silent:
            connection.close()
        eventually(
            lambda: threading.active_count() == before + 1,
            lambda: f"threads: {threading.enumerate()}",
        )
    finally:
        metrics.close()


# --- without prometheus_client, and without metrics ----------------------------------------------


def without_prometheus_client(script: str) -> str:
    """What a Python that has no prometheus_client prints."""
    script = f"import sys; sys.modules['prometheus_client'] = None\n{script}"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=REPOSITORY
    )
    return done.stdout


def test_asked_for_and_missing_is_one_sentence() -> None:
    printed = without_prometheus_client(
        "from dockerfw.clock import SystemClock\n"
        "from dockerfw.daemon.metrics import Metrics\n"
        "from dockerfw.errors import Failed\n"
        "try:\n"
        "    Metrics(lambda: None, SystemClock())\n"
        "except Failed as error:\n"
        "    print(int(error.exit_status), error)"
    )
    assert printed == (
        f"1 metrics need prometheus_client: {sys.executable} -m pip install prometheus_client "
        "(with Debian's own Python: apt install python3-prometheus-client), or take metrics "
        "and metrics_file out of [daemon]\n"
    )


def test_not_asked_for_needs_nothing() -> None:
    printed = without_prometheus_client(
        "from dockerfw.daemon.metrics import NoMetrics; print(NoMetrics().address)"
    )
    assert printed == "None\n"


def test_not_asked_for_does_nothing(tmp_path: Path) -> None:
    metrics = NoMetrics()
    metrics.followed(0.1)
    metrics.failed()
    metrics.repaired("sets")
    metrics.state(in_sync=True, containers=1)
    metrics.reconciled(1.0)
    metrics.write(tmp_path / "dockerfw.prom")
    metrics.close()
    assert metrics.address is None
    assert not list(tmp_path.iterdir())


def test_every_method_of_one_is_one_of_the_other() -> None:
    methods = {name for name in vars(Metrics) if not name.startswith("_")}
    assert methods == {name for name in vars(NoMetrics) if not name.startswith("_")}
