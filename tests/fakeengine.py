"""A Docker engine made of dictionaries: HTTP over a unix socket, with events and with faults.

    with FakeEngine(tmp_path / "s") as engine:        # engine.url is unix://...
        engine.network("shop", "172.18.0.0/16")
        web = engine.run("web", "shop", "172.18.0.2", ports={8080: 80})   # its id; events and all
        engine.die("web", shown=2)     # the next two lists still show it, as real engines do
        engine.calls                   # "GET" paths with their queries, version left out
        engine.mute()                  # the event stream stays open and brings nothing any more
        engine.kill(); engine.revive() # everybody is cut off, nobody listens; the same again

Answers have the shapes of engines 20.10 to 29. Events are as of API 1.52 (no ``status``, ``id``
and ``from``); ``legacy_events`` adds these. Filters by ``id`` are obeyed; those of events are
not: an engine may always send more than it was asked for.
"""

from __future__ import annotations

import json
import os
import queue
import select
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from ipaddress import ip_network
from pathlib import Path
from socketserver import ThreadingMixIn, UnixStreamServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.lab.wait import Closable

IMAGE = "sha256:" + "f" * 64


def id_for(name: str) -> str:
    """64 hexadecimal digits, the same for the same name."""
    return name.encode().hex().ljust(64, "0")[:64]


class _Server(ThreadingMixIn, UnixStreamServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, engine: FakeEngine) -> None:
        self.engine = engine
        super().__init__(str(engine.path), _Handler)

    def handle_error(self, *_: object) -> None:
        """Say nothing: what counts is what the client makes of a broken connection."""


class FakeEngine(Closable):
    """``answers`` by path go before all else: JSON, text as it is, or an HTTP status."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.url = f"unix://{path}"
        self.about: dict[str, Any] = {"Version": "26.1.5", "ApiVersion": "1.45", "Os": "linux"}
        """The answer of ``/version``."""
        self.info: dict[str, Any] = {
            "OSType": "linux",
            "KernelVersion": os.uname().release,
            "SecurityOptions": ["name=seccomp,profile=builtin"],
        }
        self.legacy_events = False
        self.answers: dict[str, Any] = {}
        self.before: Callable[[str], None] = lambda _: None
        """Called with the path before each answer, in the thread that serves it."""
        self.calls: list[str] = []
        self.containers: dict[str, dict[str, Any]] = {}
        self.networks: dict[str, dict[str, Any]] = {}
        self.dying: set[str] = set()
        """Those that died and are still shown."""
        self._lock = threading.RLock()
        self._later: list[tuple[int, Callable[[], object]]] = []
        self._streams: list[queue.SimpleQueue[bytes | None]] = []
        self._connections: set[socket.socket] = set()
        self._hanging = threading.Event()
        self._muted = False
        self._held: list[bytes] | None = None
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None
        self.network("bridge", "172.17.0.0/16", bridge="docker0")
        self.calls.clear()
        self.revive()

    @property
    def asked(self) -> Counter[str]:
        """How often each path was asked for, whatever the query."""
        return Counter(call.partition("?")[0] for call in self.calls)

    # --- what runs -------------------------------------------------------------------------------

    def network(self, name: str, subnet: str, *, bridge: str | None = None) -> str:
        option = {"com.docker.network.bridge.name": bridge} if bridge else {}
        with self._lock:
            self.networks[id_for(name)] = {
                "Name": name,
                "Id": id_for(name),
                "Driver": "bridge",
                "IPAM": {"Config": [{"Subnet": str(ip_network(subnet))}]},
                "Internal": False,
                "Options": option,
            }
        self.emit("network", "create", id_for(name), name=name)
        return id_for(name)

    def remove_network(self, name: str) -> None:
        with self._lock:
            del self.networks[id_for(name)]
        self.emit("network", "destroy", id_for(name), name=name)

    def run(
        self,
        name: str,
        network: str = "bridge",
        address: str = "172.17.0.2",
        *,
        ports: Mapping[int, int] | None = None,
        labels: Mapping[str, str] | None = None,
        mode: str | None = None,
        quiet: bool = False,
        ipv6: str = "",
    ) -> str:
        """Start it: with ``network connect`` and ``start``, or ``quiet``, with no event at all."""
        place = {**self._place(network, address), "GlobalIPv6Address": ipv6}
        networks = {network: place} if mode is None else {}
        with self._lock:
            self.containers[id_for(name)] = {
                "Id": id_for(name),
                "Names": ["/" + name],
                "Image": "nginx:1",
                "ImageID": IMAGE,
                "Labels": dict(labels or {}),
                "State": "running",
                "Ports": [
                    {"IP": "0.0.0.0", "PublicPort": host, "PrivatePort": inner, "Type": "tcp"}
                    for host, inner in (ports or {}).items()
                ],
                "HostConfig": {"NetworkMode": mode or network},
                "NetworkSettings": {"Networks": networks},
            }
        if not quiet:
            for joined in networks:
                self._emit_move("connect", name, joined)
            self.emit("container", "start", id_for(name), name=name)
        return id_for(name)

    def _place(self, network: str, address: str) -> dict[str, str]:
        return {
            "NetworkID": id_for(network),
            "EndpointID": f"{network} {address}",
            "IPAddress": address,
        }

    def die(self, name: str, *, shown: int = 0, quiet: bool = False) -> None:
        """``shown``: how many lists of containers still show it."""

        def change() -> None:
            del self.containers[id_for(name)]
            self.dying.discard(id_for(name))

        self.dying.add(id_for(name))
        self._after(shown, change)
        if not quiet:
            self.emit("container", "die", id_for(name), name=name)

    def rename(self, name: str, other: str) -> None:
        """Its id stays: it is that of ``name``."""
        with self._lock:
            self.containers[id_for(name)]["Names"] = ["/" + other]
        self.emit("container", "rename", id_for(name), name=other, oldName="/" + name)

    def connect(self, name: str, network: str, address: str, *, shown: int = 0) -> None:
        """``shown``: how many lists of containers do not show it yet."""

        def change() -> None:
            places = self.containers[id_for(name)]["NetworkSettings"]["Networks"]
            places[network] = self._place(network, address)

        self._after(shown, change)
        self._emit_move("connect", name, network)

    def disconnect(self, name: str, network: str, *, shown: int = 0) -> None:
        def change() -> None:
            self.containers[id_for(name)]["NetworkSettings"]["Networks"].pop(network, None)

        self._after(shown, change)
        self._emit_move("disconnect", name, network)

    def _after(self, lists: int, change: Callable[[], object]) -> None:
        with self._lock:
            if lists:
                self._later.append((lists, change))
            else:
                change()

    def _listed(self) -> None:
        later, self._later = self._later, []
        for lists, change in later:
            if lists > 1:
                self._later.append((lists - 1, change))
            else:
                change()

    # --- events ----------------------------------------------------------------------------------

    def _emit_move(self, action: str, name: str, network: str) -> None:
        self.emit("network", action, id_for(network), name=network, container=id_for(name))

    def emit(self, kind: str, action: str, about: str = "", **attributes: str) -> None:
        now = time.time_ns()
        event: dict[str, Any] = {
            "Type": kind,
            "Action": action,
            "Actor": {"ID": about, "Attributes": attributes},
            "scope": "local",
            "time": now // 10**9,
            "timeNano": now,
        }
        if self.legacy_events:
            event |= {"status": action, "id": about, "from": "nginx:1"}
        self.send(json.dumps(event).encode() + b"\n")

    def send(self, line: bytes) -> None:
        """Send this on every event stream, whatever it is."""
        with self._lock:
            if self._muted:
                return
            if self._held is not None:
                self._held.append(line)
                return
            for stream in self._streams:
                stream.put(line)

    def mute(self) -> None:
        """No event any more, on streams that stand; new ones are as they should be."""
        with self._lock:
            self._streams.clear()

    def hold(self) -> None:
        """Keep events back until `release`."""
        with self._lock:
            self._held = []

    def release(self) -> None:
        with self._lock:
            held, self._held = self._held or [], None
        for line in held:
            self.send(line)

    def end_streams(self) -> None:
        with self._lock:
            for stream in self._streams:
                stream.put(None)

    @property
    def listeners(self) -> int:
        """How many streams of events are open."""
        return len(self._streams)

    # --- faults ----------------------------------------------------------------------------------

    def hang(self) -> None:
        """Accept calls and answer none, until `go_on`."""
        self._hanging.set()

    def go_on(self) -> None:
        self._hanging.clear()

    def kill(self) -> None:
        """Cut everybody off; nobody listens any more."""
        if self._server is None or self._thread is None:
            return
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._server = None
        self.path.unlink(missing_ok=True)
        with self._lock:
            self._streams.clear()
            for connection in self._connections:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def revive(self) -> None:
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def close(self) -> None:
        self.go_on()
        self.kill()

    # --- answers ---------------------------------------------------------------------------------

    def _answer(self, path: str, query: dict[str, list[str]]) -> Any:
        if path in self.answers:
            return self.answers[path]
        filters = json.loads(query.get("filters", ["{}"])[0])
        match path.split("/")[1:]:
            case ["_ping"]:
                return "OK"
            case ["version"]:
                return self.about
            case ["info"]:
                return self.info
            case ["containers", "json"]:
                return self._list(self.containers, filters)
            case ["networks"]:
                return self._list(self.networks, filters)
            case ["containers", found, "json"] if found in self.containers:
                return {"Id": found, "Config": {"Image": "nginx:1"}}
            case ["images", _, "json"]:
                return {"Config": {"Labels": None}}
        return 404

    def _list(self, entries: dict[str, dict[str, Any]], filters: dict[str, Any]) -> list[Any]:
        wanted = filters.get("id")
        return [e for i, e in entries.items() if wanted is None or i in wanted]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    @property
    def engine(self) -> FakeEngine:
        return self.server.engine

    def setup(self) -> None:
        super().setup()
        with self.engine._lock:
            self.engine._connections.add(self.connection)

    def finish(self) -> None:
        with self.engine._lock:
            self.engine._connections.discard(self.connection)
        with suppress(OSError):
            super().finish()

    def do_GET(self) -> None:
        path = self.path
        if path.startswith("/v1."):
            path = path[path.index("/", 1) :]
        self.engine.calls.append(path)
        split = urlsplit(path)
        self.engine.before(split.path)
        while self.engine._hanging.is_set() and not self._client_left():
            time.sleep(0.005)
        if split.path == "/events" and split.path not in self.engine.answers:
            self._stream()
            return
        with self.engine._lock:
            answer = self.engine._answer(split.path, parse_qs(split.query))
            if split.path == "/containers/json":
                self.engine._listed()
            self._send(answer)

    def _send(self, answer: Any) -> None:
        status = answer if isinstance(answer, int) else 200
        content = {"message": "it went wrong"} if isinstance(answer, int) else answer
        body = (answer if isinstance(answer, str) else json.dumps(content)).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _stream(self) -> None:
        lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        with self.engine._lock:
            self.engine._streams.append(lines)
        try:
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self._send_lines(lines)
        finally:
            with self.engine._lock, suppress(ValueError):
                self.engine._streams.remove(lines)
            self.close_connection = True

    def _send_lines(self, lines: queue.SimpleQueue[bytes | None]) -> None:
        while not self._client_left():
            try:
                line = lines.get(timeout=0.02)
            except queue.Empty:
                continue
            if line is None:
                self.wfile.write(b"0\r\n\r\n")
                return
            self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))

    def _client_left(self) -> bool:
        readable, _, _ = select.select([self.connection], [], [], 0)
        return bool(readable) and not self.connection.recv(1, socket.MSG_PEEK)

    def log_message(self, *_: object) -> None:
        pass
