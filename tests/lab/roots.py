"""Debian roots for engines, firewalld, boots and builds, made once and kept in a cache folder.

``/var/cache/dockerfw-lab``, or where DOCKERFW_LAB_CACHE says. Downloads packages from the mirror
that the machine's own apt is configured with; touches nothing outside the cache folder. A host
enters a root with a layer in memory on top, so that the cached root never changes: one with other
packages has another folder.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from fcntl import LOCK_EX, flock
from hashlib import sha256
from pathlib import Path

from tests.lab import process
from tests.lab.guard import LabError
from tests.lab.host import Host
from tests.lab.process import Namespaces
from tests.paths import REPOSITORY

ENGINES = {"26.1": "trixie", "28.5": "forky"}
FIREWALLDS = {"2.3": "trixie-firewalld"}
"""By version: the name of the root, which begins with the Debian release that it is."""

_ENGINE = "docker.io,docker-cli,iptables,nftables,ipset,iproute2"
# What a host has that runs systemd, Docker, dockerfw, and whatever else writes rules at boot.
_BOOT = (
    "systemd,systemd-sysv,mount,dbus,procps,iproute2,docker.io,iptables,nftables,ipset,"
    "firewalld,ufw,busybox-static,"
    "curl,openssl,"
    "python3,python3-venv,python3-hatchling,"
    "python3-click,python3-docker,python3-prometheus-client,python3-dnspython"
)
# What script/build-deb needs to build the package, and to find fault with it.
_BUILD = (
    "debhelper,dh-python,pybuild-plugin-pyproject,python3-all,python3-hatchling,python3-click,"
    "lintian"
)
# What Ansible finds on a host that it comes to by ssh.
_SSH = "openssh-server,sudo,python3-apt"
_DOCKERFILE = REPOSITORY / "packaging" / "docker" / "Dockerfile"


def _of_the_image() -> str:
    """What the Dockerfile installs, so that its build finds all of it there, and nothing else."""
    text = _DOCKERFILE.read_text(encoding="utf-8").replace("\\\n", " ")
    listed = text.partition("--no-install-recommends")[2].partition("&&")[0]
    return ",".join(listed.split())


_PACKAGES = {
    "trixie": _ENGINE,
    "forky": _ENGINE,
    "trixie-firewalld": "firewalld,iptables,nftables,ipset",
    "bookworm-boot": _BOOT,
    "trixie-boot": f"{_BOOT},docker-cli",
    "bookworm-ssh": f"{_BOOT},{_SSH}",
    "trixie-ssh": f"{_BOOT},docker-cli,{_SSH}",
    "bookworm-build": _BUILD,
    "trixie-build": _BUILD,
    "trixie-image": _of_the_image(),
    "trixie-compose": "docker-compose",
}
_KEYRING = "usr/share/keyrings/debian-archive-keyring.gpg"

# A root is entered for good: the cached folder with a layer on top, in the host's memory.
# pivot_root and not chroot: `docker import` fails in a chroot.
_ENTER = """
set -e
base=/run/lab/roots/$3
mkdir -p $base $base.upper $base.work
mount -t overlay -o "lowerdir=$1,upperdir=$base.upper,workdir=$base.work" overlay $base
for folder in proc sys dev run var/lib/docker; do
    mkdir -p $base/$folder
    mount --rbind /$folder $base/$folder
done
mkdir -p $base/etc/docker $base/.old
cd $base
pivot_root . .old
cd /
/.old$2 umount -l /.old
echo $$
exec sleep infinity
"""


def cache() -> Path:
    return Path(os.environ.get("DOCKERFW_LAB_CACHE", "/var/cache/dockerfw-lab"))


def _mirror() -> str:
    """The archive that the machine's apt takes its packages from."""
    listed = process.run(["apt-get", "indextargets", "--format", "$(SITE)", "Created-By: Packages"])
    for site in listed.stdout.split():
        if "security" not in site:
            return site
    msg = "apt on this machine has no package archive: the lab cannot make its Debian roots"
    raise LabError(msg)


def _make(name: str, target: Path) -> None:
    suite = name.partition("-")[0]
    options = []
    if suite == "forky":
        # Its signing keys are younger than the machine's keyring; trixie brings them along.
        options = [
            f"--keyring={root('trixie') / _KEYRING}",
            '--aptopt=Acquire::Check-Valid-Until "false"',
        ]
    process.run(
        [
            "mmdebstrap",
            "--quiet",
            "--variant=apt",
            f"--include={_PACKAGES[name]}",
            *options,
            suite,
            str(target),
            _mirror(),
        ],
        timeout=900,
        env={"TMPDIR": str(target.parent)},
    )


def root(name: str) -> Path:
    """The folder with this Debian root; made now if need be (a minute)."""
    unique = f"{name}-{sha256(_PACKAGES[name].encode()).hexdigest()[:8]}"
    ready = cache() / unique
    if ready.is_dir():
        return ready
    if name == "forky":
        root("trixie")
    cache().mkdir(parents=True, exist_ok=True)
    with (cache() / f".{unique}.lock").open("w") as lock:
        flock(lock, LOCK_EX)
        if ready.is_dir():
            return ready
        unfinished = cache() / f".{unique}.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        _make(name, unfinished)
        unfinished.rename(ready)
    return ready


def busybox() -> Path:
    """The machine's static busybox: it runs in any root."""
    found = shutil.which("busybox", path="/usr/bin:/bin:/usr/local/bin")
    if found is None:
        msg = "no busybox on this machine: install the package busybox-static"
        raise LabError(msg)
    return Path(found).resolve()


def enter(host: Host, name: str) -> tuple[subprocess.Popen[str], Namespaces]:
    """A mount namespace of the host with this root as its root; its /run is the host's.

    The process keeps it and ends with the host. Each root can be entered once in a host.
    """
    script = ["unshare", "--mount", "--propagation", "private", "sh", "-c", _ENTER]
    keeper = host.start(
        [*script, "sh", str(root(name)), str(busybox()), name],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert keeper.stdout is not None
    assert keeper.stderr is not None
    line = keeper.stdout.readline()
    if not line.strip().isdigit():
        msg = f"the root {name} cannot be entered:\n{keeper.stderr.read()}"
        raise LabError(msg)
    mount = str(host.path(f"/proc/{line.strip()}/ns/mnt"))
    return keeper, Namespaces(mount, host.namespaces.network, host.namespaces.process)
