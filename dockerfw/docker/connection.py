"""The connection to Docker: which socket, and every error of it as one sentence.

The only module that opens Docker's socket. Takes the address that the user named (``-H``, else
``DOCKER_HOST``, else Docker's own socket) and gives the API behind it, and streams of ``GET
/events``. An address of another host is refused, but to commands that only record: dockerfw filters
where it runs.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse
from pathlib import Path
from struct import Struct

from dockerfw.docker.api import Answer, Api, EngineError
from dockerfw.docker.engine import Refused
from dockerfw.docker.json_values import one_line
from dockerfw.errors import Failed

DEFAULT_HOST = "unix:///var/run/docker.sock"
_CREDENTIALS = Struct("iII")
"""Process, user and group, as in unix(7)."""
_SCM_CREDENTIALS = 2
_MOMENT = 0.5
"""Seconds that are waited for who is at the socket."""
TIMEOUT = 60
"""Seconds that one answer of Docker may take: a busy engine needs some for a list."""


class Connection:
    """An engine's address, and its API in a version that both know.

    When the engine was restarted behind the socket, perhaps as another version, connect anew.
    """

    def __init__(self, url: str, api: Api, timeout: float, close: Callable[[], None]) -> None:
        self.where = one_line(url)
        """The address, fit for a sentence."""
        self.api = api
        self.close = close
        self._url = url
        self._timeout = timeout

    @classmethod
    def open(cls, host: str | None, *, remote_ok: bool, timeout: float) -> Connection:
        """Connect to ``host`` (else ``DOCKER_HOST``, else Docker's own socket).

        The newest API version of the engine is used, as ``/version`` has it: no single one is
        known to both engine 20.10 (up to 1.41) and 29.0 (from 1.44 on). ``remote_ok`` allows tcp
        and ssh. ``timeout`` is in seconds, for each answer. Raises `Failed`.
        """
        url = host or os.environ.get("DOCKER_HOST") or DEFAULT_HOST
        where = one_line(url)
        scheme, _, path = url.partition("://")
        if scheme == "unix" and path.startswith("/"):
            _check_socket(path, where, timeout)
            with plain_errors(where):
                return cls(url, Api(_LocalEngine(path, timeout).get), timeout, lambda: None)
        return cls._open_remote(url, where, remote_ok=remote_ok, timeout=timeout)

    @classmethod
    def _open_remote(cls, url: str, where: str, *, remote_ok: bool, timeout: float) -> Connection:
        # Only here, since it takes longer than all the rest of a command.
        from dockerfw.docker.remote import RemoteEngine, is_address  # noqa: PLC0415

        schemes = ("tcp://", "http://", "https://", "ssh://")
        if not url.startswith(schemes) or not is_address(url):
            raise Refused(
                f"{where!r} is no address of Docker: write -H unix:///var/run/docker.sock,"
                " or set DOCKER_HOST to that, or to nothing"
            )
        if not remote_ok:
            raise Refused(
                f"Docker at {where} is a remote engine, and dockerfw filters on the host that it"
                " runs on: run it on the engine's own host, or record that one with `dockerfw"
                f" inventory -H {where}`"
            )
        with plain_errors(where):
            engine = RemoteEngine(url, where, timeout)
            try:
                return cls(url, Api(engine.get), timeout, engine.close)
            except BaseException:
                engine.close()
                raise

    def open_events(self, query: Mapping[str, str]) -> OpenedStream:
        """Open ``GET /events``. Raises `Failed`."""
        connection = _UnixConnection(self._url.removeprefix("unix://"), self._timeout)
        with plain_errors(self.where):
            try:
                return _open_stream(connection, self.api.path("/events", query))
            except BaseException:
                connection.close()
                raise


@dataclass(frozen=True, slots=True)
class _LocalEngine:
    """Where paths are asked for at a socket of this host, each by a connection of its own.

    ``timeout`` is in seconds, for each answer. Raises OSError.
    """

    socket: str
    timeout: float

    def get(self, path: str) -> Answer:
        connection = _UnixConnection(self.socket, self.timeout)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return Answer(response.status, response.reason, response.read())
        except HTTPException as error:
            raise OSError(f"{type(error).__name__} {error}") from error
        finally:
            connection.close()


class _UnixConnection(HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("docker", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


@dataclass(frozen=True, slots=True)
class OpenedStream:
    """An answer of Docker that goes on until one side ends it."""

    _connection: HTTPConnection
    _socket: socket.socket
    _response: HTTPResponse

    def readline(self, limit: int) -> bytes:
        """Wait for a line, of at most ``limit`` bytes; empty at the end.

        Raises OSError, HTTPException or ValueError where the stream breaks.
        """
        return self._response.readline(limit)

    def shut_down(self) -> None:
        """End a `readline` that waits in another thread."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Give back what it holds; nobody may read from it meanwhile."""
        self._response.close()
        self._connection.close()


def _open_stream(connection: _UnixConnection, path: str) -> OpenedStream:
    connection.connect()
    opened = connection.sock
    connection.request("GET", path)
    response = connection.getresponse()
    if response.status != 200:
        answer = response.read(1000).decode(errors="replace")
        response.close()
        raise OSError(f"it gives no events: {response.status} {answer}")
    opened.settimeout(None)  # nothing may happen in Docker for days
    return OpenedStream(connection, opened, response)


def listener_pids(host: str | None) -> Iterator[int]:
    """Yield the process that listens at Docker's socket, then the one that answers there.

    The first one is dockerd, wherever it keeps its pidfile, or systemd, where that has made the
    socket for it; the second one is asked for a moment at the most, and only if it is wanted. None
    where nobody listens, on no socket of this host, or in another process namespace.
    """
    path = socket_path(host)
    if path is None:
        return
    with suppress(OSError, ValueError), socket.socket(socket.AF_UNIX) as client:
        client.settimeout(_MOMENT)
        # From here on the kernel tells of everything received who has sent it.
        client.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        client.connect(str(path))
        size = _CREDENTIALS.size
        listens = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
        yield from _pids(listens)
        client.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
        for level, kind, answers in client.recvmsg(1, socket.CMSG_SPACE(size))[1]:
            if (level, kind) == (socket.SOL_SOCKET, _SCM_CREDENTIALS):
                yield from _pids(answers)


def _pids(credentials: bytes) -> Iterator[int]:
    """Yield the process; nothing for one of another process namespace."""
    pid, _, _ = _CREDENTIALS.unpack(credentials)
    if pid:
        yield int(pid)


# --- addresses -----------------------------------------------------------------------------------


def socket_path(host: str | None) -> Path | None:
    """Return the file of the socket that `Connection.open` connects to; None: it is no file."""
    scheme, _, path = (host or os.environ.get("DOCKER_HOST") or DEFAULT_HOST).partition("://")
    return Path(path) if scheme == "unix" and path.startswith("/") else None


def _check_socket(path: str, where: str, timeout: float) -> None:
    """Raise `Failed` if no process listens at the socket.

    It comes before any HTTP, where the reason would be wrapped in other errors.
    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.settimeout(timeout)
            client.connect(path)
    except FileNotFoundError as error:
        raise Failed(
            f"there is no socket at {where}: is Docker running? Start it with"
            " `systemctl start docker`, or name another socket with -H or DOCKER_HOST"
        ) from error
    except PermissionError as error:
        raise Failed(
            f"no permission for Docker's socket at {where}: run as root, or as a member of the"
            " group docker"
        ) from error
    except (OSError, ValueError) as error:
        reason = one_line(getattr(error, "strerror", None) or error)
        raise Failed(
            f"nobody answers at {where} ({reason}): is Docker running? Start it with"
            " `systemctl start docker`"
        ) from error


# --- errors --------------------------------------------------------------------------------------


_REMOTE_STEP = (
    "is it that engine's address and port, and does it want TLS (DOCKER_TLS_VERIFY=1, "
    "DOCKER_CERT_PATH)? Else run `dockerfw inventory` on that host"
)


@contextmanager
def plain_errors(where: str) -> Iterator[None]:
    """Raise `Failed` with one sentence for whatever a conversation with Docker can end in."""
    try:
        yield
    except (EngineError, OSError, HTTPException, ValueError) as error:  # ValueError: broken JSON
        if isinstance(error, TimeoutError):
            what = "takes too long to answer"
        else:
            what = f"does not answer as it should: {one_line(error)}"
        here = where.startswith("unix://")
        step = "see `journalctl -u docker`, then try again" if here else _REMOTE_STEP
        raise Failed(f"Docker at {where} {what}; {step}") from error
