"""Where Ansible runs: a host of its own, on a network with the machines that it comes to by ssh.

    with Controller({"one": machine, "two": other}) as controller:   # switched on already
        controller.play("site.yml", "--check")

ansible-core comes from PyPI into a folder of the cache, once; nothing else of this machine is used
but its ssh: neither keys nor known hosts of the user, nor the network that it is in.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from fcntl import LOCK_EX, flock
from hashlib import sha256
from ipaddress import IPv4Network
from pathlib import Path
from subprocess import CompletedProcess

from tests.lab import process
from tests.lab.boot import Machine
from tests.lab.guard import elsewhere
from tests.lab.host import Host
from tests.lab.roots import cache
from tests.lab.wait import Closable
from tests.paths import REPOSITORY

COLLECTION = REPOSITORY / "packaging" / "ansible"
PACKAGES = (
    # 2.19 is the last one for Python 3.11, which is Debian 12's.
    "ansible-core>=2.18,<2.22",
    # Pinned: a newer version is a change of its own.
    "ansible-lint==26.10.1",
)
USER = "admin"
"""Who comes to the machines: with a key, and with sudo."""
_BARE = shutil.ignore_patterns("__pycache__")
_NETWORK = IPv4Network("192.0.2.16/28")
_LINK = "fleet"
_SSH = """\
Host *
    User {user}
    IdentityFile {folder}/key
    IdentitiesOnly yes
    UserKnownHostsFile {folder}/known_hosts
    GlobalKnownHostsFile /dev/null
    StrictHostKeyChecking yes
"""
_CONFIG = """\
[defaults]
inventory = {folder}/inventory
collections_path = {folder}/collections
local_tmp = {folder}/tmp
retry_files_enabled = false
interpreter_python = /usr/bin/python3
timeout = 5

[ssh_connection]
pipelining = true
ssh_args = -F {folder}/ssh -o ControlMaster=auto -o ControlPersist=60s
control_path_dir = /run/ansible
"""


def ansible() -> Path:
    """The folder with Ansible's programs; made now if need be (ten seconds)."""
    wanted = "\n".join((sys.version, *PACKAGES))
    ready = cache() / f"ansible-{sha256(wanted.encode()).hexdigest()[:12]}"
    cache().mkdir(parents=True, exist_ok=True)
    with (cache() / ".ansible.lock").open("w") as lock:
        flock(lock, LOCK_EX)
        if not (ready / "whole").exists():
            process.run([sys.executable, "-m", "venv", "--clear", str(ready)], timeout=120)
            pip = [str(ready / "bin" / "pip"), "install", "-q", "--disable-pip-version-check"]
            process.run([*pip, *PACKAGES], timeout=600, env=os.environ)
            (ready / "whole").touch()
    return ready / "bin"


def run_on_collection(folder: Path, program: str, *arguments: str) -> CompletedProcess[str]:
    """Run a program of Ansible's in a copy of the collection, which is made in an empty folder."""
    place = folder / "ansible_collections" / "dockerfw" / "dockerfw"
    shutil.copytree(COLLECTION, place, ignore=_BARE)
    env = {
        "HOME": str(folder),
        "PATH": f"{ansible()}:{process.environment()['PATH']}",
        "ANSIBLE_COLLECTIONS_PATH": str(folder),
        "NO_COLOR": "1",
        "PYTHONPATH": "",
    }
    argv = ["env", f"--chdir={place}", program, *arguments]
    return process.run(argv, timeout=300, check=False, env=env)


class Controller(Closable):
    """A host with Ansible and this repository's collection, and a way to each machine."""

    def __init__(self, machines: Mapping[str, Machine]) -> None:
        self.machines = dict(machines)
        self.host = Host()
        self._folder = tempfile.TemporaryDirectory(prefix="dockerfw-controller-")
        self.folder = Path(self._folder.name)
        self._ways: dict[str, str] = {}
        self._keys: dict[str, str] = {}
        try:
            self._wire()
            self._furnish()
        except BaseException:
            self.close()
            raise

    # --- the network ---------------------------------------------------------------------------

    def address(self, name: str) -> str:
        """The address of a machine on the network of the controller."""
        return str(_NETWORK[2 + list(self.machines).index(name)])

    def _wire(self) -> None:
        self.host.ip(
            f"link add {_LINK} type bridge",
            f"link set {_LINK} up",
            f"addr add {_NETWORK[1]}/{_NETWORK.prefixlen} dev {_LINK}",
        )
        own = elsewhere(self.host.namespaces.network)
        for name, machine in self.machines.items():
            other = elsewhere(machine.host.namespaces.network)
            pair = f"link add {name} type veth peer name {_LINK} netns {other}".split()
            process.run(["nsenter", f"--net={own}", "ip", *pair])
            self.host.ip(f"link set {name} master {_LINK} up")
            machine.host.ip(
                f"link set {_LINK} up",
                f"addr add {self.address(name)}/{_NETWORK.prefixlen} dev {_LINK}",
            )

    # --- who comes -----------------------------------------------------------------------------

    def _furnish(self) -> None:
        key = self.folder / "key"
        process.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)])
        self.write("ansible.cfg", _CONFIG.format(folder=self.folder))
        self.write("inventory", "[dockerfw]\n" + "\n".join(self.machines) + "\n")
        for name, machine in self.machines.items():
            self._let_in(machine, key.with_suffix(".pub").read_text(encoding="utf-8"))
            self.known(name, machine, self.address(name))
        shutil.copytree(COLLECTION, self.folder / "packaging" / "ansible", ignore=_BARE)
        self.run(["ansible-galaxy", "collection", "install", "./packaging/ansible"], timeout=120)

    def write(self, name: str, text: str) -> Path:
        """A file in the folder in which plays run."""
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def known(self, name: str, machine: Machine, address: str, *ways: str) -> None:
        """From now on ``name`` is this machine, at that address; ``ways`` are lines for ssh."""
        lines = [f"Host {name}", f"HostName {address}", f"HostKeyAlias {name}", *ways]
        own = machine.read("/etc/ssh/ssh_host_ed25519_key.pub")
        self._ways = {**self._ways, name: "\n    ".join(lines)}
        self._keys = {**self._keys, name: f"{name} {own}"}
        self.write(
            "ssh", "\n".join([*self._ways.values(), _SSH.format(user=USER, folder=self.folder)])
        )
        self.write("known_hosts", "".join(self._keys.values()))

    @staticmethod
    def _let_in(machine: Machine, key: str) -> None:
        # Without a password, which is not to be locked: sshd without PAM lets nobody in then.
        machine.run(["useradd", "--create-home", "--shell", "/bin/bash", "--password", "*", USER])
        machine.write(f"/etc/sudoers.d/{USER}", f"{USER} ALL=(ALL) NOPASSWD: ALL\n", 0o440)
        home = f"/home/{USER}/.ssh"
        machine.write(f"{home}/authorized_keys", key, 0o600)
        machine.run(["chown", "-R", f"{USER}:", home])

    # --- what it does --------------------------------------------------------------------------

    def run(
        self, argv: list[str], *, timeout: float = 60, check: bool = True
    ) -> CompletedProcess[str]:
        """Run a program of Ansible's, or another one, on the controller."""
        env = {
            "HOME": str(self.folder),
            "PATH": f"{ansible()}:{process.environment()['PATH']}",
            "ANSIBLE_CONFIG": str(self.folder / "ansible.cfg"),
            "ANSIBLE_NOCOLOR": "1",
            "PYTHONPATH": "",
        }
        inside = ["env", f"--chdir={self.folder}", *argv]
        return self.host.run(inside, timeout=timeout, check=check, env=env)

    def play(
        self, playbook: str, *arguments: str, timeout: float = 300, check: bool = True
    ) -> CompletedProcess[str]:
        """Run a playbook: one of the collection by its name, or one that `write` has written."""
        return self.run(["ansible-playbook", playbook, *arguments], timeout=timeout, check=check)

    def close(self) -> None:
        """End the controller; the machines stay."""
        self.host.close()
        self._folder.cleanup()
