"""Three machines, and a controller that rolls policies out to them with Ansible.

``one`` and ``three`` are reached by their own sshd, ``two`` by one in a container, which is a port
of Docker's and so of the policy's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tests.boot.package import built
from tests.boot.scene import WEB
from tests.engine.scene import CONFIG, OFFICE, SOURCES, STRANGER, allow
from tests.lab.boot import Machine, Suite
from tests.lab.controller import Controller
from tests.lab.engine import IMAGE
from tests.lab.host import HOST_V4
from tests.lab.wait import until

SUITES: Mapping[str, Suite] = {"one": "bookworm", "two": "trixie", "three": "trixie"}
ROLLOUT = "dockerfw.dockerfw.rollout"
JUMP = 2222
"""Where the sshd in a container is published."""
GATEWAY = "172.17.0.1"
"""The address of a machine for its containers."""
ADMINS = "admins.netset"
LISTS = {ADMINS: "192.0.2.16/28\n"}
"""The network of the controller."""
_SSHD = """\
Port 22
HostKey /etc/ssh/ssh_host_ed25519_key
UsePAM no
PidFile none
"""

WITHOUT_ADMINS = (
    SOURCES + f'admins = ["file:{ADMINS}"]\n' + allow('to = "web"\nports = [80]', "office")
)
POLICY = WITHOUT_ADMINS + allow('to = "bastion"\nports = [22]', "admins")


@dataclass(frozen=True, slots=True)
class Play:
    """What a play came to: its exit status, what it said, and its counts by host and by word."""

    status: int
    said: str
    hosts: Mapping[str, Mapping[str, int]]

    def counted(self, word: str) -> dict[str, int]:
        """How often it was ``changed`` or ``failed``, by host."""
        return {name: counts[word] for name, counts in self.hosts.items()}


class Fleet:
    """The machines by name, with dockerfw on ``two`` and ``three``, and nothing in force."""

    def __init__(
        self, machines: Mapping[str, Machine], controller: Controller, package: Path
    ) -> None:
        self.machines = machines
        self.controller = controller
        self.package = package

    @cached_property
    def first(self) -> Play:
        """The first roll-out of `POLICY`, which installs the package on ``one``."""
        return self.roll_out(POLICY)

    def roll_out(
        self, policy: str, *arguments: str, lists: Mapping[str, str] = LISTS, **variables: Any
    ) -> Play:
        """Roll this out with the playbook of the collection.

        ``variables`` are those of the role, without ``dockerfw_``.
        """
        given = {**variables, "policy": policy, "files": lists}
        text = json.dumps({f"dockerfw_{name}": value for name, value in given.items()})
        self.controller.write("variables.json", text)
        done = self.controller.play(
            ROLLOUT, "-e", "@variables.json", *arguments, timeout=540, check=False
        )
        recap = re.findall(r"^(\w+) +: (ok=.*)$", done.stdout, re.MULTILINE)
        counts = {
            name: {word: int(number) for word, number in re.findall(r"(\w+)=(\d+)", row)}
            for name, row in recap
        }
        return Play(done.returncode, done.stdout + done.stderr, counts)

    def begin_with(self, policy: str = POLICY) -> None:
        """Put this in force on each machine, without Ansible."""
        assert self.first.status == 0, self.first.said
        for machine in self.machines.values():
            machine.write(f"/etc/dockerfw/{ADMINS}", LISTS[ADMINS], 0o600)
            machine.write(CONFIG, policy, 0o600)
            machine.dockerfw("apply", "--yes", "-q")

    def state(self, name: str) -> list[str]:
        """All that dockerfw has on this machine, in the kernel and on the disk, as lines."""
        folders = "/etc/dockerfw /var/lib/dockerfw/policy/manifest.json /run/dockerfw-*"
        files = f"find {folders} -type f -printf '%m %p\\n' -exec sha256sum {{}} +"
        kernel = "iptables-save; ip6tables-save; ipset save; nft list table inet dockerfw"
        done = self.machines[name].run(["sh", "-c", f"{files}; {kernel}"], check=False)
        return sorted(
            re.sub(r"( packets \d+ bytes \d+| timeout \d+|\[\d+:\d+\])", "", line)
            for line in done.stdout.splitlines()
            if not line.startswith("#") and "denied" not in line and "again" not in line
        )

    def open_to(self, name: str, who: tuple[str, str]) -> bool:
        """Whether ``web`` answers this caller, who has a second try on a slow machine."""
        outside = self.machines[name].outside
        return any(outside.tcp(HOST_V4, WEB, source=who[0]).reached for _ in range(2))

    def protected(self) -> dict[str, tuple[bool, bool]]:
        """By machine: whether ``web`` is open to the office, and to a stranger."""
        return {n: (self.open_to(n, OFFICE), self.open_to(n, STRANGER)) for n in self.machines}


@contextmanager
def fleet(run: Path) -> Iterator[Fleet]:
    """Debian 12, 13 and 13 with a container ``web`` each; the package is built meanwhile.

    ``run`` is the folder of all processes of a test run.
    """
    with ExitStack() as stack:
        building = stack.enter_context(ThreadPoolExecutor(1)).submit(built, "bookworm", run)
        machines = {
            name: stack.enter_context(Machine(suite, "ssh")) for name, suite in SUITES.items()
        }
        for machine in machines.values():
            machine.start()
        for machine in machines.values():
            machine.wait()
            machine.import_image()
            machine.container("web", "-p", f"{WEB}:80")
        for name in ("two", "three"):
            machines[name].install_dockerfw()
            machines[name].systemctl("enable", "--now", "dockerfw-boot", "dockerfw")
        controller = stack.enter_context(Controller(machines))
        package = building.result()
        hosts = f"one dockerfw_deb={package}", "two", "three"
        controller.write("inventory", "\n".join(("[dockerfw]", *hosts, "")))
        come_by_a_container(machines["two"], controller)
        yield Fleet(machines, controller, package)


def come_by_a_container(two: Machine, controller: Controller) -> None:
    """From now on the controller comes to this machine by the sshd in a container alone."""
    two.write("/etc/bastion", _SSHD)
    own = ("/usr:/usr", "/usr/bin:/bin", "/usr/lib:/lib", "/usr/lib64:/lib64", "/etc:/etc")
    volumes = [word for one in (*own, "/home:/home") for word in ("-v", f"{one}:ro")]
    published = ["-p", f"{JUMP}:22", "--tmpfs", "/run/sshd:mode=755"]
    sshd = ["/usr/sbin/sshd", "-D", "-e", "-f", "/etc/bastion"]
    two.docker(
        "run", "-d", "--pull", "never", "--name", "bastion", *published, *volumes, IMAGE, *sshd
    )
    controller.known("bastion", two, controller.address("two"), f"Port {JUMP}")
    controller.known("two", two, GATEWAY, "ProxyJump bastion")
    until(lambda: comes_in(controller, "two"), "the controller to come in by the container", 30)


def comes_in(controller: Controller, name: str) -> bool:
    """Whether the controller gets into this machine."""
    argv = ["ssh", "-F", "ssh", "-o", "ConnectTimeout=5", name, "true"]
    return controller.run(argv, check=False).returncode == 0
