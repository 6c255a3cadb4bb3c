"""Debian roots with newer engines, made once and kept in a cache folder.

``/var/cache/dockerfw-lab``, or where DOCKERFW_LAB_CACHE says. Downloads packages from the mirror
that the machine's own apt is configured with; touches nothing outside the cache folder.
"""

from __future__ import annotations

import os
import shutil
from fcntl import LOCK_EX, flock
from pathlib import Path

from tests.lab import process
from tests.lab.guard import LabError

SUITES = {"26.1": "trixie", "28.5": "forky"}
_PACKAGES = "docker.io,docker-cli,iptables,nftables,ipset,iproute2"
_KEYRING = "usr/share/keyrings/debian-archive-keyring.gpg"


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


def _make(suite: str, target: Path) -> None:
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
            f"--include={_PACKAGES}",
            *options,
            suite,
            str(target),
            _mirror(),
        ],
        timeout=900,
        env={"TMPDIR": str(target.parent)},
    )


def root(suite: str) -> Path:
    """The folder with this Debian release and its engine; made now if need be (a minute)."""
    ready = cache() / suite
    if ready.is_dir():
        return ready
    if suite == "forky":
        root("trixie")
    cache().mkdir(parents=True, exist_ok=True)
    with (cache() / f".{suite}.lock").open("w") as lock:
        flock(lock, LOCK_EX)
        if ready.is_dir():
            return ready
        unfinished = cache() / f".{suite}.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        _make(suite, unfinished)
        unfinished.rename(ready)
    return ready
