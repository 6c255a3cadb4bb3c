"""A machine that really boots: systemd as process 1, Docker as a service, dockerfw installed.

    with Machine("bookworm") as machine:          # or "trixie": Debian 12 and 13; powered off
        hammer = machine.outside.hammer(("203.0.113.1", 8080))
        machine.boot()                            # to multi-user.target, in some 3 s
        machine.container("web", "-p", "8080:80")
        machine.off()                             # or cut(): the power fails
        machine.boot()

Its files are a layer in memory on a root of `tests.lab.roots` and stay from boot to boot; the
network is a `Host` of its own for every boot, as a kernel starts with no rules: ``outside`` is
there, and may hammer, while the machine is still off. Processes and mounts end with the test run,
whatever happens.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, TypeAlias

from tests.lab import process
from tests.lab.cgroups import cgroup2
from tests.lab.engine import IMAGE, SERVE, image, remove_cgroups
from tests.lab.files import Files
from tests.lab.guard import LabError, elsewhere
from tests.lab.host import Host, Outside
from tests.lab.roots import root
from tests.lab.wait import Closable, becomes_true, until
from tests.paths import REPOSITORY

Suite: TypeAlias = Literal["bookworm", "trixie"]
Kind: TypeAlias = Literal["boot", "ssh"]
"""With what Docker and dockerfw need; and with what Ansible needs to come in."""

PACKAGING = REPOSITORY / "packaging"
_PROGRAM = "#!/usr/bin/python3\nfrom dockerfw.cli.app import main\n\nmain()\n"
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_SECONDS_TO_BOOT = 60
_SECONDS_TO_STOP = 60

# What has no place in namespaces: devices, the kernel's own settings, consoles, timers.
_MASKED = (
    "systemd-udevd.service",
    "systemd-udevd-control.socket",
    "systemd-udevd-kernel.socket",
    "systemd-udev-trigger.service",
    "systemd-modules-load.service",
    "systemd-sysctl.service",
    "systemd-pstore.service",
    "systemd-remount-fs.service",
    "systemd-logind.service",
    "getty.target",
    "getty@tty1.service",
    "console-getty.service",
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "dpkg-db-backup.timer",
    "fstrim.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "sys-kernel-debug.mount",
    "sys-kernel-tracing.mount",
    "sys-kernel-config.mount",
    "dev-hugepages.mount",
    "dev-mqueue.mount",
    "sys-fs-fuse-connections.mount",
)

# The disk: in a mount namespace that lives as long as the test wants it ($1 the root, the rest the
# units to mask). /var/lib/docker cannot be a layer on a layer.
_DISK = """
set -e
root=$1; shift
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/lab/root /run/lab/upper /run/lab/work /run/lab/docker /run/lab/containerd
cd /run/lab
mount -t overlay -o "lowerdir=$root,upperdir=upper,workdir=work" overlay root
mkdir -p root/var/lib/docker root/var/lib/containerd
mount --bind docker root/var/lib/docker
mount --bind containerd root/var/lib/containerd
cd root
for unit in "$@"; do ln -sf /dev/null etc/systemd/system/$unit; done
chroot . systemctl --quiet disable firewalld.service ufw.service
: >etc/machine-id
echo ready
exec cat >/dev/null
"""

# From power-on to systemd ($1 the cgroup). kernel.* is the machine's own, and read-only; net.* is
# the namespace's. The boot has an identity of its own, for the journal.
_POWER_ON = """
echo 0 >"$1/cgroup.procs"
exec env -i PATH=$PATH \
    unshare --mount --uts --ipc --cgroup --pid --fork --kill-child --propagation private \
    sh -c "$2" >/run/lab/console 2>&1
"""
_INIT = """
set -e
cd /run/lab
mount --rbind root root
cd root
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t tmpfs -o mode=755 tmpfs dev
for node in null zero full random urandom tty; do
    touch dev/$node
    mount --bind /dev/$node dev/$node
done
mkdir dev/pts dev/shm dev/net dev/mqueue
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
mount -t tmpfs -o mode=1777 tmpfs dev/shm
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=1777 tmpfs tmp
mount -t cgroup2 cgroup2 sys/fs/cgroup
cat /proc/sys/kernel/random/uuid >run/boot_id
mount --bind proc/sys proc/sys
mount --bind proc/sys/net proc/sys/net
mount -o remount,ro,bind proc/sys
mount --bind run/boot_id proc/sys/kernel/random/boot_id
mkdir -p .old
pivot_root . .old
cd /
umount -l /.old
hostname machine
exec env -i container=lab PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    setpriv --bounding-set -sys_module,-sys_time,-syslog,-sys_rawio,-sys_boot --inh-caps -all \
    /lib/systemd/systemd --system --unit=multi-user.target --log-target=journal --show-status=0
"""


def _child(pid: int) -> int | None:
    with suppress(OSError, IndexError):
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
        return int(children.split()[0])
    return None


class Machine(Files, Closable):
    """A disk, and a network for each boot; see the module."""

    def __init__(self, suite: Suite, kind: Kind = "boot") -> None:
        self.suite = suite
        self._cgroup = f"dockerfw-lab-{uuid.uuid4().hex[:12]}"
        self._system: subprocess.Popen[str] | None = None
        self._host: Host | None = None
        self.pid: int | None = None
        self._disk = process.start(
            [
                *("unshare", "--mount", "--propagation", "private", "sh", "-c", _DISK, "sh"),
                *(str(root(f"{suite}-{kind}")), *_MASKED),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        try:
            self._await_disk()
            (cgroup2() / self._cgroup).mkdir()
            self._host = Host()
        except BaseException:
            self.close()
            raise

    def _await_disk(self) -> None:
        assert self._disk.stdout is not None
        assert self._disk.stderr is not None
        if self._disk.stdout.readline().strip() != "ready":
            msg = f"no disk with {self.suite} on it:\n{self._disk.stderr.read()}"
            raise LabError(msg)

    # --- power ---------------------------------------------------------------------------------

    @property
    def host(self) -> Host:
        """The network that the machine is in, or will boot into."""
        assert self._host is not None
        return self._host

    @property
    def outside(self) -> Outside:
        return self.host.outside

    def start(self) -> None:
        """Power on; does not wait."""
        if self._system is not None:
            msg = "the machine is on already"
            raise LabError(msg)
        inside = self.host.namespaces
        cgroup = str(cgroup2() / self._cgroup)
        argv = [
            "nsenter",
            f"--mount=/proc/{self._disk.pid}/ns/mnt",
            f"--net={elsewhere(inside.network)}",
            f"--pid={inside.process}",
            *("--", "sh", "-c", _POWER_ON, "sh", cgroup, _INIT),
        ]
        system = process.start(argv)
        self._system = system
        self.host.agent.started.append(system)
        until(lambda: self._find_init(system.pid) or system.poll() is not None, "process 1", 10)

    def _find_init(self, outer: int) -> bool:
        """Process 1 is the grandchild: nsenter, unshare, systemd."""
        unshare = _child(outer)
        self.pid = _child(unshare) if unshare else None
        return self.pid is not None

    def boot(self) -> None:
        """Power on, and wait until all that belongs to multi-user.target is up or has failed."""
        self.start()
        self.wait()

    def wait(self) -> None:
        """Until the boot is over."""
        if not becomes_true(self._is_up, _SECONDS_TO_BOOT):
            msg = f"the machine does not boot:\n{self._last_words()}"
            raise LabError(msg)

    def _is_up(self) -> bool:
        if self._system is None or self._system.poll() is not None:
            msg = f"the machine went off while it booted:\n{self._last_words()}"
            raise LabError(msg)
        state = self.run(["systemctl", "is-system-running"], check=False).stdout.strip()
        return state in ("running", "degraded")

    def _last_words(self) -> str:
        words = []
        for argv in (["systemctl", "list-jobs"], ["journalctl", "-b", "-n", "40", "--no-pager"]):
            with suppress(LabError, AssertionError):
                words.append(self.run(argv, check=False).stdout)
        with suppress(OSError):
            console = Path(f"/proc/{self._disk.pid}/root/run/lab/console")
            words.append(console.read_text(encoding="utf-8", errors="replace")[-2000:])
        return "\n".join(words)

    def off(self) -> None:
        """Shut down in order; the next network is there at once."""
        self._end(signal.SIGRTMIN + 4)

    def cut(self) -> None:
        """Cut the power: nothing is told, nothing is saved."""
        self._end(signal.SIGKILL)

    def _end(self, number: int) -> None:
        assert self._system is not None
        assert self.pid is not None
        os.kill(self.pid, number)
        try:
            self._system.wait(_SECONDS_TO_STOP)
        except subprocess.TimeoutExpired:
            msg = f"the machine does not go off:\n{self._last_words()}"
            raise LabError(msg) from None
        self._system = self.pid = None
        self.host.close()
        remove_cgroups(self._cgroup)
        (cgroup2() / self._cgroup).mkdir()
        self._host = Host()

    # --- commands ------------------------------------------------------------------------------

    def run(
        self,
        argv: Sequence[str],
        *,
        stdin: str | bytes | None = None,
        timeout: float = 60,
        check: bool = True,
        env: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command as root of the running machine; `LabError` when it fails."""
        assert self.pid is not None, "the machine is off"
        elsewhere(f"/proc/{self.pid}/ns/net")
        settings = [f"{key}={value}" for key, value in (env or {}).items()]
        clean = ["env", "-i", f"PATH={_PATH}", "LC_ALL=C.UTF-8", "HOME=/root", *settings]
        inside = ["nsenter", f"--target={self.pid}", "--all", "--", *clean, *argv]
        return process.run(inside, stdin=stdin, timeout=timeout, check=check)

    def systemctl(self, *arguments: str, check: bool = True) -> str:
        """What it prints, without the last line's end."""
        return self.run(["systemctl", *arguments], check=check).stdout.strip()

    def show(self, unit: str, what: str) -> str:
        """One property of a unit, such as ``MainPID``."""
        return self.systemctl("show", "--value", "--property", what, unit)

    def journal(self, unit: str) -> str:
        """What a unit has said since this boot began."""
        argv = ["journalctl", "--boot", "--no-pager", "--output", "cat", "--unit", unit]
        return self.run(argv).stdout

    def dockerfw(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.run(["dockerfw", *arguments], check=check)

    # --- files ---------------------------------------------------------------------------------

    def path(self, path: str) -> Path:
        """A file on the machine's disk, as seen from out here; also while it is off."""
        return Path(f"/proc/{self._disk.pid}/root/run/lab/root{path}")

    def copy(self, source: Path, path: str) -> None:
        """A file of this repository, or a folder with all that is in it."""
        if source.is_file():
            self.write(path, source.read_text(encoding="utf-8"), source.stat().st_mode & 0o777)
            return
        bare = shutil.ignore_patterns("__pycache__", ".*", "*.egg-info")
        shutil.copytree(source, self.path(path), ignore=bare, dirs_exist_ok=True)

    def install_dockerfw(self) -> None:
        """Dockerfw as a package of this repository would bring it, units and all; none enabled."""
        self.copy(REPOSITORY / "dockerfw", "/usr/lib/python3/dist-packages/dockerfw")
        self.write("/usr/bin/dockerfw", _PROGRAM, 0o755)
        for unit in filter(Path.is_file, PACKAGING.glob("systemd/*")):
            self.copy(unit, f"/usr/lib/systemd/system/{unit.name}")
        self.copy(
            PACKAGING / "modules-load.d/dockerfw.conf", "/usr/lib/modules-load.d/dockerfw.conf"
        )
        if self.pid is not None:
            self.run(
                ["python3", "-m", "compileall", "-q", "/usr/lib/python3/dist-packages/dockerfw"]
            )
            self.systemctl("daemon-reload")

    def drop_in(self, unit: str) -> None:
        """Put the drop-in for this unit of somebody else's in use."""
        where = f"{unit}.d/dockerfw.conf"
        self.copy(PACKAGING / "systemd" / where, f"/etc/systemd/system/{where}")
        if self.pid is not None:
            self.systemctl("daemon-reload")

    # --- Docker --------------------------------------------------------------------------------

    def docker(self, *arguments: str, check: bool = True) -> str:
        return self.run(["docker", *arguments], check=check).stdout.strip()

    def import_image(self) -> None:
        """The lab's one image, for `container`."""
        change = f"CMD {json.dumps(['sh', '-c', SERVE])}"
        self.run(["docker", "import", "--change", change, "-", IMAGE], stdin=image())

    def container(self, name: str, *options: str, env: Mapping[str, str] | None = None) -> None:
        """``docker run -d --restart=always``; serves its name on port 80 (env PORT)."""
        settings = [word for key, value in (env or {}).items() for word in ("-e", f"{key}={value}")]
        own = ["--pull", "never", "--stop-timeout", "1", "--restart", "always"]
        named = ["--name", name, "--hostname", name]
        self.docker("run", "-d", *own, *named, *settings, *options, IMAGE)

    def inspect(self, name: str) -> Any:
        return json.loads(self.docker("inspect", "--type", "container", name))[0]

    # --- the end -------------------------------------------------------------------------------

    def close(self) -> None:
        """Cut the power and throw the disk away."""
        if self._system is not None:
            process.end(self._system)
        if self._host is not None:
            self._host.close()
        process.end(self._disk)
        remove_cgroups(self._cgroup)
