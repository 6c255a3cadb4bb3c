"""What the daemon counts, for Prometheus: an HTTP listener on loopback, or a text file.

Takes numbers from the daemon and, whenever somebody asks, the traffic that a callable of it
reads; gives the exposition format. Needs prometheus_client (0.16 or newer), which is imported
only when metrics are asked for: without them the daemon holds a `NoMetrics`. Never decides
anything, and no request can block or end the daemon: one thread answers them, one at a time.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from socket import AF_INET, AF_INET6, AddressFamily
from socketserver import BaseRequestHandler, TCPServer
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from dockerfw.clock import Clock
from dockerfw.errors import DockerfwError, Failed
from dockerfw.report.traffic import Traffic

if TYPE_CHECKING:
    from prometheus_client import Metric

PATIENCE = 5
"""Seconds without a byte after which a request is given up: until then the next one waits."""
LATENCIES = (0.001, 0.002, 0.005, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
"""Upper bounds, in seconds, of the histogram from Docker's event to the commit."""


REPAIRED = ("rules", "sets", "seal")
"""What drift was about: counted from 0, so that the first time is seen as a rise."""


class Counted(Protocol):
    """Packets and bytes by container port since the sets were made; a `Status` is one."""

    @property
    def allowed(self) -> tuple[Traffic, ...]: ...
    @property
    def denied(self) -> tuple[Traffic, ...]: ...


CountTraffic: TypeAlias = Callable[[], Counted]
MakeListener: TypeAlias = Callable[[str, int, type[BaseRequestHandler]], "Listener"]
"""From host, port and what answers a request."""


class Metrics:
    """Counts in a registry of its own. Every method but `serve` and `write` is quick.

    ``traffic`` is called for each request and each `write`, in the thread of either; what it
    cannot read is left out of that answer.
    """

    def __init__(
        self,
        traffic: CountTraffic,
        clock: Clock,
        *,
        make_listener: MakeListener | None = None,
        patience: float = PATIENCE,
    ) -> None:
        client = _client()
        self._make_listener = make_listener or Listener
        self._patience = patience
        self._client = client
        self._registry = client.CollectorRegistry()
        self._listener: Listener | None = None

        def gauge(name: str, text: str) -> Any:
            return client.Gauge(f"dockerfw_{name}", text, registry=self._registry)

        def counter(name: str, text: str, *labels: str) -> Any:
            return client.Counter(f"dockerfw_{name}", text, labels, registry=self._registry)

        self._gauges = {
            "in_sync": gauge("in_sync", "1: kernel, policy and Docker agreed when last compared."),
            "enforcing": gauge(
                "enforcing", "1: mode enforce, and its rules stood when last looked at."
            ),
            "observing": gauge("observing", "1: mode observe, all is judged and nothing dropped."),
            "unenforced": gauge(
                "unenforced", "Reasons why the policy does not hold on every path of this host."
            ),
            "containers": gauge("containers", "Running containers that the daemon knows."),
            "entries": gauge("set_entries", "Entries of dockerfw's ipsets."),
        }
        self._commits = counter("commits", "Changes written to the kernel.")
        self._failures = counter(
            "commit_failures", "Reads and writes that failed, to be tried again."
        )
        self._repaired = counter("drift_healed", "Times that others' changes were undone.", "what")
        for what in REPAIRED:
            self._repaired.labels(what)
        self._latency = client.Histogram(
            "dockerfw_event_to_commit_seconds",
            "From the time that Docker gives its event to the end of the commit.",
            buckets=LATENCIES,
            registry=self._registry,
        )
        self._reconciled = gauge(
            "last_reconcile_timestamp_seconds",
            "Unix time at which kernel, policy and Docker were last seen to agree.",
        )
        self._since = gauge(
            "since_last_reconcile_seconds", "Seconds since then; +Inf: they never were."
        )
        self._since.set_function(lambda: _since(self._reconciled_at, clock.time()))
        self._reconciled_at: float | None = None
        self._registry.register(_TrafficCollector(client, traffic))

    def committed(self) -> None:
        """Count a commit."""
        self._commits.inc()

    def followed(self, latency: float) -> None:
        """Record that an event of Docker's was followed, ``latency`` seconds after it."""
        # Docker's clock may have been set back between the event and now.
        self._latency.observe(max(0.0, latency))

    def failed(self) -> None:
        """Count a read or write that failed, and is tried again."""
        self._failures.inc()

    def repaired(self, what: str) -> None:
        """Count a repair of drift; ``what`` is one of `REPAIRED`."""
        self._repaired.labels(what).inc()

    def state(
        self,
        *,
        in_sync: bool | None = None,
        enforcing: bool | None = None,
        observing: bool | None = None,
        unenforced: int | None = None,
        containers: int | None = None,
        entries: int | None = None,
    ) -> None:
        """Set the gauges; None: as before."""
        values = {
            "in_sync": in_sync,
            "enforcing": enforcing,
            "observing": observing,
            "unenforced": unenforced,
            "containers": containers,
            "entries": entries,
        }
        for name, value in values.items():
            if value is not None:
                self._gauges[name].set(value)

    def reconciled(self, now: float) -> None:
        """Record that kernel, policy and Docker were seen to agree at ``now`` (Unix time)."""
        self._reconciled_at = now
        self._reconciled.set(now)

    def serve(self, address: str) -> None:
        """Answer requests at ``ADDRESS:PORT`` (`Policy.metrics`) from a thread. Raises `Failed`."""
        host, _, port = address.rpartition(":")
        handler = _handler(self._client, self._registry, self._patience)
        try:
            self._listener = self._make_listener(host.strip("[]"), int(port), handler)
        except OSError as error:
            raise Failed(
                f"metrics: cannot listen on {address}: {error.strerror}; "
                "write another port in [daemon] metrics"
            ) from error
        threading.Thread(target=self._listener.serve_forever, name="metrics", daemon=True).start()

    @property
    def address(self) -> tuple[str, int] | None:
        """Return the address and port that it listens at, None while it does not."""
        if self._listener is None:
            return None
        host, port, *_ = self._listener.server_address
        return str(host), int(port)

    def write(self, path: Path) -> None:
        """Replace the file as a whole, readable for all. Raises `Failed`."""
        text: bytes = self._client.generate_latest(self._registry)
        try:
            _replace(path, text)
        except OSError as error:
            raise Failed(f"metrics: cannot write {path}: {error.strerror}") from error

    def close(self) -> None:
        """Stop listening."""
        if self._listener is not None:
            self._listener.shutdown()
            self._listener.server_close()
            self._listener = None


class NoMetrics(Metrics):
    """What the daemon holds when no metrics are asked for: every method does nothing."""

    def __init__(self) -> None:
        """Without prometheus_client."""

    def committed(self) -> None:
        pass

    def followed(self, latency: float) -> None:
        pass

    def failed(self) -> None:
        pass

    def repaired(self, what: str) -> None:
        pass

    def state(
        self,
        *,
        in_sync: bool | None = None,
        enforcing: bool | None = None,
        observing: bool | None = None,
        unenforced: int | None = None,
        containers: int | None = None,
        entries: int | None = None,
    ) -> None:
        pass

    def reconciled(self, now: float) -> None:
        pass

    def serve(self, address: str) -> None:
        pass

    @property
    def address(self) -> tuple[str, int] | None:
        return None

    def write(self, path: Path) -> None:
        pass

    def close(self) -> None:
        pass


def _client() -> ModuleType:
    try:
        import prometheus_client  # noqa: PLC0415 - it is needed by those alone who ask for metrics
    except ImportError:
        raise Failed(
            f"metrics need prometheus_client: {sys.executable} -m pip install prometheus_client "
            "(with Debian's own Python: apt install python3-prometheus-client), or take metrics "
            "and metrics_file out of [daemon]"
        ) from None
    return prometheus_client


def _since(then: float | None, now: float) -> float:
    return float("inf") if then is None else max(0.0, now - then)


def _replace(path: Path, data: bytes) -> None:
    """Write a file that others read: they see the old one or the new one, never half of it.

    The folder may be another user's: nothing that stands there already is written through.
    """
    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)
    with os.fdopen(handle, "wb") as file:
        os.fchmod(handle, 0o644)  # whatever the umask is
        file.write(data)
    draft.replace(path)


# --- traffic -------------------------------------------------------------------------------------


class _TrafficCollector:
    """Reads at each request, so that containers that are gone are gone from here."""

    def __init__(self, client: ModuleType, traffic: CountTraffic) -> None:
        self._client = client
        self._traffic = traffic

    def describe(self) -> Iterable[Metric]:
        """Return the names alone: registering must not read the kernel."""
        return self._families((), ())

    def collect(self) -> Iterable[Metric]:
        try:
            counted = self._traffic()
        except (DockerfwError, OSError):
            return ()
        return self._families(counted.allowed, counted.denied)

    def _families(
        self, allowed: tuple[Traffic, ...], denied: tuple[Traffic, ...]
    ) -> Iterator[Metric]:
        for verdict, rows in (("allowed", allowed), ("denied", denied)):
            totals = _by_port(rows)
            for unit, position in (("packets", 0), ("bytes", 1)):
                family = self._client.metrics_core.CounterMetricFamily(
                    f"dockerfw_{verdict}_{unit}",
                    f"{unit.capitalize()} {verdict}, by container and its port (empty: any or "
                    "none of them), since the ipsets were made.",
                    labels=("container", "port"),
                )
                for labels, total in totals.items():
                    family.add_metric(labels, total[position])
                yield family


def _by_port(rows: Iterable[Traffic]) -> dict[tuple[str, str], tuple[int, int]]:
    """Return, by container and port, the sums over all host ports that lead there.

    What leads to no container is labelled with its host port, in place of the container's.
    """
    sums: dict[tuple[str, str], tuple[int, int]] = {}
    for row in rows:
        key = (row.container, row.port or ("" if row.container else row.host_port))
        packets, size = sums.get(key, (0, 0))
        sums[key] = (packets + row.packets, size + row.bytes)
    return sums


# --- the listener --------------------------------------------------------------------------------


class Listener(TCPServer):
    """One request at a time, in the one thread that runs it.

    prometheus_client's own server makes a thread for every connection, without a limit, looks
    its own name up in DNS before it listens, and in 0.16 there is no way to stop it.
    """

    allow_reuse_address = True

    def __init__(self, host: str, port: int, handler: type[BaseRequestHandler]) -> None:
        self.address_family: AddressFamily = AF_INET6 if ":" in host else AF_INET
        super().__init__((host, port), handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Write no traceback for a client that hangs up early or sends rubbish."""


def _handler(client: ModuleType, registry: Any, patience: float) -> type[BaseRequestHandler]:
    own: type[BaseRequestHandler] = client.MetricsHandler.factory(registry)
    return type("Handler", (own,), {"timeout": patience})
