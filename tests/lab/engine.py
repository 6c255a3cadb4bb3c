"""A real Docker engine in a test host, started and stopped by the test.

Every engine has the usual paths (/run/docker.sock, /var/lib/docker) inside its host. "20.10" is
the machine's own; the newer ones run in a Debian root of their own (`tests.lab.roots`).
"""

from __future__ import annotations

import io
import json
import signal
import socket
import subprocess
import tarfile
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, TypeAlias

from tests.lab import process
from tests.lab.guard import LabError
from tests.lab.host import Host
from tests.lab.place import Place
from tests.lab.process import Namespaces
from tests.lab.roots import ENGINES, busybox, enter
from tests.lab.wait import Closable, becomes_true, until

Version: TypeAlias = Literal["20.10", "26.1", "28.5"]
VERSIONS: tuple[Version, ...] = ("20.10", "26.1", "28.5")

IMAGE = "lab:1"
_APPLETS = ("sh", "httpd", "sleep", "mkdir", "hostname", "wget", "nc", "ping")
SERVE = "mkdir -p /www; hostname >/www/index.html; exec httpd -f -p ${PORT:-80} -h /www"
_SECONDS_TO_START = 60
_SECONDS_TO_STOP = 30


def image() -> bytes:
    """A tar of the one image that the lab knows: a static busybox."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        entry = tarfile.TarInfo("bin/busybox")
        program = busybox().read_bytes()
        entry.size, entry.mode = len(program), 0o755
        tar.addfile(entry, io.BytesIO(program))
        for applet in _APPLETS:
            link = tarfile.TarInfo(f"bin/{applet}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
    return packed.getvalue()


def remove_cgroups(name: str) -> None:
    """Take away the (empty) cgroups of that name: they are the machine's, not the host's."""

    def gone() -> bool:
        # Deepest first; a cgroup can be removed once its last process is buried.
        tops = [*Path("/sys/fs/cgroup").glob(name), *Path("/sys/fs/cgroup").glob(f"*/{name}")]
        left = [p for top in tops for p in (top, *top.rglob("*")) if p.is_dir()]
        for folder in sorted(left, reverse=True):
            with suppress(OSError):
                folder.rmdir()
        return not left

    until(gone, f"the cgroups {name} to be empty")


class EngineContainer(Place):
    """A container of a real engine: a place, with what Docker says about it."""

    def __init__(self, engine: Engine, name: str, place: Place, described: Any) -> None:
        super().__init__(place.agent, name, place.space, place.namespaces)
        self._engine = engine
        self.id: str = described["Id"]
        networks = described["NetworkSettings"]["Networks"].values()
        self.ipv4 = [str(n["IPAddress"]) for n in networks if n["IPAddress"]]
        self.ipv6 = [str(n["GlobalIPv6Address"]) for n in networks if n["GlobalIPv6Address"]]

    @property
    def address(self) -> str:
        """Its first IPv4 address."""
        return self.ipv4[0]


class Engine(Closable):
    """dockerd of one version in a host; started at once.

    ``options`` are dockerd's own (``--live-restore``, ``--userland-proxy=false``).
    """

    prelude = ""
    """What the shell does that becomes dockerd."""

    def __init__(self, host: Host, version: Version = "20.10", *options: str) -> None:
        self.host = host
        self.version = version
        self.options = options
        self._cgroup = f"dockerfw-lab-{uuid.uuid4().hex[:12]}"
        host.at_end.append(lambda: remove_cgroups(self._cgroup))
        self._daemon: subprocess.Popen[str] | None = None
        self._keeper: subprocess.Popen[str] | None = None
        try:
            self._namespaces = self._enter_root()
            self.start()
            self._import_image()
        except BaseException:
            self.close()
            raise

    # --- where it runs -------------------------------------------------------------------------

    def _enter_root(self) -> Namespaces:
        name = ENGINES.get(self.version)
        if name is None:
            return self.host.namespaces
        self._keeper, inside = enter(self.host, name)
        if self.host.legacy:
            for program in ("iptables", "ip6tables"):
                legacy = f"/usr/sbin/{program}-legacy"
                process.run(inside.enter(["update-alternatives", "--set", program, legacy]))
        return inside

    def run(
        self,
        argv: Sequence[str],
        *,
        stdin: str | bytes | None = None,
        timeout: float = 60,
        check: bool = True,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command with the engine's own binaries (its docker, its iptables)."""
        return process.run(self._namespaces.enter(argv), stdin=stdin, timeout=timeout, check=check)

    @property
    def socket(self) -> Path:
        """Docker's socket, as seen from the machine."""
        return self.host.path("/run/docker.sock")

    # --- the daemon ----------------------------------------------------------------------------

    def start(self) -> None:
        """Start dockerd and wait until its API answers."""
        script = f'{self.prelude}exec dockerd "$@" >>/run/lab/dockerd.log 2>&1'
        argv = ["sh", "-c", script, "sh", *self.options]
        self._daemon = process.start(self._namespaces.enter(argv))
        self.host.agent.started.append(self._daemon)
        if not becomes_true(lambda: self.alive or self._daemon_ended(), _SECONDS_TO_START):
            msg = f"dockerd {self.version} gives no answer:\n{self._tail()}"
            raise LabError(msg)
        if self._daemon_ended():
            msg = f"dockerd {self.version} ended at once:\n{self._tail()}"
            raise LabError(msg)

    def _daemon_ended(self) -> bool:
        return self._daemon is None or self._daemon.poll() is not None

    @property
    def alive(self) -> bool:
        """Whether the API answers."""
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(5)
                connection.connect(str(self.socket))
                connection.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
                return b" 200 " in connection.recv(4096)
        except OSError:
            return False

    def log(self) -> str:
        return self.host.read("/run/lab/dockerd.log")

    def _tail(self) -> str:
        with suppress(OSError):
            return "\n".join(self.log().splitlines()[-15:])
        return "(no log)"

    def stop(self) -> None:
        """Stop dockerd as systemd would; containers stay only with --live-restore."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End dockerd with SIGKILL; containerd and the containers stay."""
        self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> None:
        daemon = self._daemon
        if daemon is None:
            return
        pid = self.host.read("/run/docker.pid").strip()
        self.host.run(["kill", f"-{int(number)}", pid])
        try:
            daemon.wait(_SECONDS_TO_STOP)
        except subprocess.TimeoutExpired:
            msg = f"dockerd {self.version} does not end:\n{self._tail()}"
            raise LabError(msg) from None
        self._daemon = None

    def restart(self) -> None:
        self.stop()
        self.start()

    # --- containers ----------------------------------------------------------------------------

    def _import_image(self) -> None:
        change = f"CMD {json.dumps(['sh', '-c', SERVE])}"
        self.run(["docker", "import", "--change", change, "-", IMAGE], stdin=image())

    def docker(self, *arguments: str, check: bool = True, timeout: float = 60) -> str:
        """The docker command of this engine; what it prints, without the last line's end."""
        return self.run(["docker", *arguments], check=check, timeout=timeout).stdout.strip()

    def container(
        self,
        name: str,
        *options: str,
        env: Mapping[str, str] | None = None,
        command: Sequence[str] = (),
    ) -> EngineContainer:
        """``docker run -d`` with these options; serves its name on port 80 (env PORT)."""
        settings = [word for key, value in (env or {}).items() for word in ("-e", f"{key}={value}")]
        own = ["--pull", "never", "--stop-timeout", "1", "--cgroup-parent", f"/{self._cgroup}"]
        named = ["--name", name] + ([] if "host" in options else ["--hostname", name])
        self.docker("run", "-d", *own, *named, *settings, *options, IMAGE, *command)
        return self.refresh(name)

    def inspect(self, name: str) -> Any:
        return json.loads(self.docker("inspect", "--type", "container", name))[0]

    def refresh(self, name: str) -> EngineContainer:
        """The container as it is now, after a restart for instance."""
        described = self.inspect(name)
        pid = described["State"]["Pid"]
        if not pid:
            logs = self.docker("logs", name, check=False)
            msg = f"the container {name} does not run: {described['State']}\n{logs}"
            raise LabError(msg)
        return EngineContainer(self, name, self.host.adopt(name, pid), described)

    # --- the end -------------------------------------------------------------------------------

    def close(self) -> None:
        """Kill dockerd; its containers end with the host."""
        for child in (self._daemon, self._keeper):
            if child is not None:
                process.end(child)
        self._daemon = self._keeper = None
