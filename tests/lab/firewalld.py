"""firewalld under a D-Bus of its own in a test host, as a distribution starts it.

"1.3" is the machine's own; "2.3" runs in a Debian root of its own (`tests.lab.roots`), with the
``nft`` and ``iptables`` of that root. The bus is at the usual place in the host, so an engine that
is started afterwards finds it.
"""

from __future__ import annotations

import signal
import subprocess
from contextlib import suppress
from typing import Literal, TypeAlias

from tests.lab import process
from tests.lab.guard import LabError
from tests.lab.host import Host
from tests.lab.process import Namespaces
from tests.lab.roots import FIREWALLDS, enter
from tests.lab.wait import Closable, becomes_true, until

Version: TypeAlias = Literal["1.3", "2.3"]
Backend: TypeAlias = Literal["nftables", "iptables"]

_BUS = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path=/run/dbus/system_bus_socket</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow receive_sender="*" eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
"""
_LOG = "/run/lab/firewalld.log"
_PID = "/run/lab/firewalld.pid"
_START = f'echo $$ >{_PID}; exec firewalld --nofork --nopid --log-target file --log-file "$1"'
_SECONDS = 30


class Firewalld(Closable):
    """firewalld of one version in a host; started at once, before the engine that is to know it."""

    def __init__(self, host: Host, version: Version = "1.3", backend: Backend = "nftables") -> None:
        self.host = host
        self.version = version
        self._daemon: subprocess.Popen[str] | None = None
        self._namespaces = self._enter_root()
        self._start_bus()
        setting = f"s/^FirewallBackend=.*/FirewallBackend={backend}/"
        self.run("sed", "-i", setting, "/etc/firewalld/firewalld.conf")
        self.start()

    def _enter_root(self) -> Namespaces:
        name = FIREWALLDS.get(self.version)
        return enter(self.host, name)[1] if name else self.host.namespaces

    def _start_bus(self) -> None:
        host = self.host
        host.write("/run/lab/bus.conf", _BUS)
        host.path("/run/dbus").mkdir()
        host.start(["dbus-daemon", "--config-file=/run/lab/bus.conf", "--nofork", "--nosyslog"])
        socket = host.path("/run/dbus/system_bus_socket")
        until(socket.exists, "the D-Bus of the host")

    def run(self, *argv: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command with the programs that come with this firewalld."""
        return process.run(self._namespaces.enter(argv), check=check)

    def cmd(self, *arguments: str) -> str:
        """``firewall-cmd`` with these arguments; what it prints."""
        return self.run("firewall-cmd", *arguments).stdout.strip()

    def knows(self, interface: str) -> bool:
        """Whether it counts this interface as one of its own, as it does Docker's bridges."""
        return interface in self.cmd("--get-active-zones").split()

    def log(self) -> str:
        with suppress(OSError):
            return self.host.read(_LOG)
        return "(no log)"

    # --- the daemon ----------------------------------------------------------------------------

    def start(self) -> None:
        """Start firewalld and wait until it says that it runs."""
        argv = self._namespaces.enter(["sh", "-c", _START, "sh", _LOG])
        daemon = process.start(argv)
        self._daemon = daemon
        self.host.agent.started.append(daemon)
        if not becomes_true(lambda: self._running() or daemon.poll() is not None, _SECONDS):
            raise LabError(f"firewalld {self.version} does not get ready:\n{self.log()}")
        if daemon.poll() is not None:
            raise LabError(f"firewalld {self.version} ended at once:\n{self.log()}")

    def _running(self) -> bool:
        return self.run("firewall-cmd", "--state", check=False).returncode == 0

    def reload(self) -> None:
        self.cmd("--reload")

    def complete_reload(self) -> None:
        self.cmd("--complete-reload")

    def stop(self) -> None:
        """As systemd would: it takes its rules out, and with them everybody's."""
        if self._daemon is None:
            return
        self.host.run(["kill", f"-{int(signal.SIGTERM)}", self.host.read(_PID).strip()])
        try:
            self._daemon.wait(_SECONDS)
        except subprocess.TimeoutExpired:
            raise LabError(f"firewalld {self.version} does not end:\n{self.log()}") from None
        self._daemon = None

    @property
    def stopped(self) -> bool:
        return self._daemon is None

    def restart(self) -> None:
        self.stop()
        self.start()

    def close(self) -> None:
        """Kill it; bus and root end with the host."""
        if self._daemon is not None:
            process.end(self._daemon)
        self._daemon = None
