"""The wheel in an environment of its own, without a package: its units, as docs/install.md has it.

pipx and uv are tried in ``tests/install``: here pip makes the environment that they would.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.boot.scene import furnish_man, put_in_force
from tests.documents import commands
from tests.install.built import build
from tests.lab.boot import Machine
from tests.lab.wait import until
from tests.paths import REPOSITORY

pytestmark = pytest.mark.engine

VENV = "/opt/dockerfw"
PROGRAM = f"{VENV}/bin/dockerfw"
UNITS = ("dockerfw-boot.service", "dockerfw.service")
NEXT = f"systemctl enable --now {' '.join(UNITS)}"
FIRST, UPGRADE, UNINSTALL = (
    block.text for block in commands("docs/install.md", "tests/boot/test_install_units.py")
)


def install(machine: Machine, folder: Path) -> None:
    """By pip, on Debian's own libraries: the machine has no way to an index."""
    wheel = build(REPOSITORY, folder).wheel
    inside = f"/root/{wheel.name}"
    machine.path(inside).write_bytes(wheel.read_bytes())
    machine.run(["python3", "-m", "venv", "--system-site-packages", VENV])
    machine.run([f"{VENV}/bin/pip", "install", "--no-index", inside], timeout=120)
    machine.path("/usr/local/bin/dockerfw").symlink_to(PROGRAM)


def follow(machine: Machine, block: str) -> str:
    """What these commands print."""
    return machine.run(["bash", "-c", f"set -e\n{block}"], timeout=120).stdout


def in_sync(machine: Machine) -> bool:
    return machine.dockerfw("status", check=False).returncode == 0


def refused(machine: Machine, *argv: str) -> str:
    """What a command says that fails, which is one sentence."""
    done = machine.run(argv, check=False)
    assert done.returncode == 1
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    return done.stderr


def test_units_of_the_wheel_are_laid_at_work_and_taken_out(tmp_path: Path) -> None:
    with Machine("bookworm") as machine:
        machine.boot()
        install(machine, tmp_path)
        furnish_man(machine)

        nobody = ("setpriv", "--reuid=65534", "--clear-groups", PROGRAM, "install-units")
        assert "run it as root" in refused(machine, *nobody)
        sealed = f"mount -o bind,ro /etc /etc && exec {PROGRAM} install-units"
        said = refused(machine, "unshare", "--mount", "sh", "-c", sealed)
        assert "cannot be written: Read-only file system" in said

        laid = follow(machine, FIRST)
        assert "wrote     /etc/systemd/system/dockerfw.service\n" in laid
        assert f"  {NEXT}\n" in laid
        assert NEXT in FIRST.splitlines()
        machine.run(["systemd-analyze", "verify", *UNITS, "dockerfw-list@x.service"])
        put_in_force(machine)
        assert PROGRAM in machine.show("dockerfw", "ExecStart")
        until(lambda: in_sync(machine), "all to be in sync", 30)

        assert "wrote" not in follow(machine, UPGRADE)
        until(lambda: in_sync(machine), "all to be in sync", 30)
        docs = f"{VENV}/share/doc/dockerfw/docs/operations.md"
        assert machine.path(docs).exists()
        assert f"file://{docs}" in machine.show("dockerfw", "Documentation")
        assert ".TH DOCKERFW 1" in machine.systemctl("help", "dockerfw")

        away = (PROGRAM, "install-units", "--remove")
        assert "systemctl disable --now dockerfw-boot.service" in refused(machine, *away)
        assert "removed   /etc/systemd/system/dockerfw.service\n" in follow(machine, UNINSTALL)
        left = machine.run(["find", "/etc/systemd", "/etc/modules-load.d", "-name", "*dockerfw*"])
        assert left.stdout == ""
