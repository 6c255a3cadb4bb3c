"""The first process of the image: puts the mounted policy in force, and keeps the daemon running.

Without arguments it runs until SIGTERM: ``dockerfw boot``, ``dockerfw daemon``, and ``dockerfw
apply`` each time the policy is another one than was applied last. With ``health`` it says whether
all is well (0) or not (1), for Docker.

What fails is said once, in a sentence, and tried again; it never ends by itself, since a container
that ends is started again without end. Rules stand whatever becomes of it. It decides nothing about
the firewall: not even the flavour of iptables, which the commands find.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from dockerfw.docker.client import Docker
from dockerfw.docker.connection import listener_pids, socket_path
from dockerfw.errors import DockerfwError
from dockerfw.kernel import facts
from dockerfw.kernel.runner import SystemRunner
from dockerfw.model.host import HostFacts
from dockerfw.model.policy import Needs
from dockerfw.state.store import Store

POLICY = Path(os.environ.get("DOCKERFW_CONFIG", "/etc/dockerfw/config.toml"))
SAID = Path("/run/dockerfw-container")
"""What is wrong, for the health check; empty when the mounted policy was put in force."""
XTABLES_LOCK = Path("/run/xtables.lock")

PAUSE = 1.0
"""Seconds between two looks at the policy. It is taken when two of them agree."""
RETRY = 5.0
"""Seconds until what has failed is tried again."""

_SIGNALS = {signal.SIGTERM, signal.SIGINT}
_PROGRAM = [sys.executable, "-m", "dockerfw"]
# Numbers of capabilities, as in linux/capability.h.
_CAPABILITIES = {"NET_ADMIN": 12, "NET_RAW": 13}

Stamp = tuple[tuple[str, int, int, int, int], ...]


def stamp(policy: Path) -> Stamp:
    """Return what differs when the policy, a part of it or a list beside it is another one."""
    found = []
    for path in sorted({policy, *policy.parent.rglob("*")}):
        try:
            file = path.stat()
        except OSError:
            continue
        found.append((str(path), file.st_ino, file.st_mtime_ns, file.st_ctime_ns, file.st_size))
    return tuple(found)


@dataclass(slots=True)
class Watch:
    """When to apply: once two looks agree on a policy that was not applied yet, or not since
    something was wrong: then it is not known what is in force.

    A file that is being written is another one at the next look.
    """

    applied: Stamp | None = None
    seen: Stamp | None = None

    def due(self, now: Stamp) -> bool:
        """Return True if this is to be applied now."""
        settled = self.seen in (None, now)
        self.seen = now
        return settled and now != self.applied


def missing_capabilities(status: str) -> list[str]:
    """Return those that a process with this ``/proc/self/status`` lacks."""
    line = next(line for line in status.splitlines() if line.startswith("CapEff:"))
    held = int(line.split()[1], 16)
    return [name for name, bit in _CAPABILITIES.items() if not held >> bit & 1]


def unfit() -> str | None:
    """Return why this container cannot do its work, as a sentence; None: nothing is known."""
    missing = missing_capabilities(Path("/proc/self/status").read_text(encoding="ascii"))
    if missing:
        return f"this container lacks {' and '.join(missing)}: start it with cap_add"
    path = socket_path(None)
    if path is not None and not path.is_socket():
        return f"there is no Docker socket in this container: mount the host's at {path}"
    try:
        docker = Docker.connect(None)
        try:
            networks = docker.read_inventory({}, Needs()).networks
        finally:
            docker.close()
        host = facts.read(SystemRunner(), listeners=partial(listener_pids, None))
    except DockerfwError as error:
        return str(error)
    bridges = {network.bridge for network in networks if network.bridge}
    if bridges and not bridges & host.interfaces:
        return "this container is not in its host's network: start it with network_mode: host"
    return lacking(host)


def lacking(host: HostFacts) -> str | None:
    """Return which file of the host is to be mounted, as a sentence; None: none is."""
    # Its lock: who writes beside dockerd may take its rules away, or make it fail.
    if host.flavour == "legacy" and not os.path.ismount(XTABLES_LOCK):
        return f"Docker writes iptables-legacy here: mount the host's {XTABLES_LOCK} there"
    # With its cgroup known, all that dockerd listens on is closed that is not known as its own.
    told_in = host.proxy.told_in
    if host.proxy.cgroup and told_in and not (folder := Path(told_in).parent).is_dir():
        return f"what Docker's swarm listens on is in {folder}: mount the host's folder there"
    return None


class Container:
    """The daemon, the policy, and what was said of them last."""

    def __init__(self) -> None:
        self._watch = Watch()
        self._daemon: subprocess.Popen[bytes] | None = None
        self._said: str | None = None

    def turn(self) -> float:
        """Do what there is to be done now; return the seconds until the next turn."""
        if self._daemon is None:
            return self._begin()
        status = self._daemon.poll()
        if status is not None:
            self._daemon, self._watch = None, Watch()
            return self._say(f"the daemon has ended with status {status}")
        if Store().policy.locked_down():
            return self._say("locked down: nothing is applied until dockerfw apply in here ends it")
        now = stamp(POLICY)
        if not self._watch.due(now):
            return PAUSE
        wrong = _run("apply", "--yes", "--quiet", "--config", str(POLICY))
        if wrong is not None:
            return self._say(wrong)
        self._watch.applied = now
        self._say("")
        return PAUSE

    def _begin(self) -> float:
        """Close what can be closed at once, then start the daemon."""
        wrong = _run("boot") or unfit()
        if wrong is not None:
            return self._say(wrong)
        self._daemon = subprocess.Popen([*_PROGRAM, "daemon"], preexec_fn=_unblock)  # noqa: PLW1509
        return 0.0

    def _say(self, wrong: str) -> float:
        if wrong:
            self._watch.applied = None
        if wrong != self._said:
            self._said = wrong
            if wrong:
                print(f"dockerfw: {wrong.removeprefix('dockerfw: ')}", file=sys.stderr, flush=True)
        SAID.write_text(wrong, encoding="utf-8")
        return RETRY

    def stop(self) -> None:
        """End the daemon; every rule stays."""
        if self._daemon is not None and self._daemon.poll() is None:
            self._daemon.terminate()
            self._daemon.wait()


def _run(*arguments: str) -> str | None:
    """Run a command to its end; return what it said when it failed, None when it did not."""
    done = subprocess.run(
        [*_PROGRAM, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        preexec_fn=_unblock,
    )
    return None if done.returncode == 0 else done.stderr.strip() or f"status {done.returncode}"


def _unblock() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)


def follow() -> int:
    """Run until SIGTERM or SIGINT."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    container = Container()
    while True:
        seconds = container.turn()
        told = signal.sigtimedwait(_SIGNALS, seconds)
        if told is not None:
            container.stop()
            return 0


def health() -> int:
    """Return 0 when the mounted policy is in force and holds, 1 otherwise; say why.

    A policy that observes is as well as it can be.
    """
    try:
        wrong = SAID.read_text(encoding="utf-8")
    except OSError:
        wrong = "it has not begun yet"
    if wrong:
        print(wrong)
        return 1
    done = subprocess.run(
        [*_PROGRAM, "status", "--json"], capture_output=True, text=True, check=False
    )
    if done.returncode == 0:
        return 0
    try:
        found = json.loads(done.stdout)
    except ValueError:
        print(done.stderr.strip())
        return 1
    if found["observing"] and found["in_sync"] and not found["unenforced"]:
        return 0
    print("\n".join([*found["unenforced"], *found["notes"]]))
    return 1


if __name__ == "__main__":
    sys.exit(health() if sys.argv[1:] == ["health"] else follow())
