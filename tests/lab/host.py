"""A throwaway host and the world outside it, as namespaces of one process.

The host's first process (`tests.lab.agent`) ends when this one does, however it ends, and takes
the namespaces, mounts and processes with it: nothing has to be cleaned up by name.
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from ipaddress import ip_interface
from itertools import count
from pathlib import Path
from typing import Literal

from tests.json_documents import holds, kind_of
from tests.lab import process
from tests.lab.files import Files
from tests.lab.guard import LabError
from tests.lab.packet import Packet
from tests.lab.place import Agent, Place
from tests.lab.process import Namespaces
from tests.lab.wait import Closable, becomes_true
from tests.paths import REPOSITORY

HOST_V4 = "203.0.113.1"
HOST_V6 = "2001:db8:1::1"
_HOST_MAC = "02:00:cb:00:71:01"
_NEIGHBOUR_MAC = "02:00:cb:00:71:02"
_NEIGHBOUR_V4 = "203.0.113.2"
_NEIGHBOUR_V6 = "2001:db8:1::2"
_BEHIND = ("198.51.100.7", "192.0.2.7", "2001:db8:10::7", "2001:db8:20::7")
_CONTAINER_NETWORKS = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fd00::/8")

# Process 1 of the host, before it becomes the agent: files of its own. All of it is in memory
# and in a private mount namespace.
_SETUP = """
set -e
read -r pid rest </proc/self/stat
mount -t proc proc /proc
umount -l /run/netns 2>/dev/null || :
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/lab/docker /run/lock
for folder in /etc /var/lib; do
    layer=/run/lab/upper$folder
    mkdir -p $layer $layer.work
    mount -t overlay -o "lowerdir=$folder,upperdir=$layer,workdir=$layer.work" overlay $folder
done
mkdir -p /var/lib/docker
mount --bind /run/lab/docker /var/lib/docker
rm -rf /etc/dockerfw /var/lib/dockerfw /etc/docker
mkdir -p /etc/dockerfw
echo "$pid"
exec "$@"
"""
_AGENT = (
    f"import sys; sys.path.insert(0, {str(REPOSITORY)!r}); from tests.lab.agent import main; main()"
)

_running: weakref.WeakSet[Host] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    for host in list(_running):
        host.close()


class Outside(Place):
    """The world: joined to the host by eth0, with addresses on the link and behind it."""

    def __init__(self, host: Host, namespaces: Namespaces) -> None:
        super().__init__(host.agent, "outside", "outside", namespaces)
        self._host = host
        self._ports = count(41000)

    def add(self, *addresses: str) -> None:
        """Give the outside further addresses; the host routes back to them."""
        self.ip(*(f"addr add {address} dev eth0 nodad" for address in addresses))
        for address in addresses:
            neighbour = _NEIGHBOUR_V6 if ":" in address else _NEIGHBOUR_V4
            self._host.ip(f"route replace {ip_interface(address).ip} via {neighbour}")

    def forge(
        self,
        *packets: Packet,
        mac: bytes | None = None,
        via: str = "eth0",
        tags: bytes = b"",
        own_mac: bytes | None = None,
    ) -> None:
        """As `Place.forge`; the next hop is the host unless another one is given."""
        to = mac or bytes.fromhex(_HOST_MAC.replace(":", ""))
        super().forge(*packets, mac=to, via=via, tags=tags, own_mac=own_mac)

    def syn(
        self,
        address: str,
        port: int,
        *,
        source: str = "203.0.113.9",
        patience: float = 1.0,
    ) -> bool:
        """Send a hand-made SYN to the host's MAC; whether a SYN-ACK for it came back.

        Unlike `tcp` it can ask for an address that this side would never route to the host,
        such as 127.0.0.1.
        """
        # A new port each time: SYN-ACKs are sent again, and an earlier one's must not count.
        source_port = next(self._ports)
        with self.sniff() as sniffer:
            self.forge(Packet("tcp", source, address, source_port, port))
            return becomes_true(
                lambda: any(
                    (p.flags, p.port, p.source_port) == ("SA", source_port, port)
                    for p in sniffer.seen()
                ),
                patience,
            )


class Host(Place, Files, Closable):
    """A host of its own: network, mounts and processes; see `tests.lab`.

    rp_filter      0 off, 1 strict, 2 loose, on every interface
    bridge_calls   br_netfilter is on: packets between containers of one bridge meet iptables
    flavour        which iptables the names ``iptables`` and ``ip6tables`` stand for
    """

    def __init__(
        self,
        *,
        rp_filter: Literal[0, 1, 2] = 0,
        bridge_calls: bool = False,
        flavour: Literal["nft", "legacy"] = "nft",
    ) -> None:
        if os.geteuid() != 0:
            msg = "the lab makes network namespaces: run it as root"
            raise LabError(msg)
        self.legacy = False
        self.at_end: list[Callable[[], None]] = []
        self._child = self._begin()
        self._agent = Agent(self._child)
        _running.add(self)
        try:
            self.pid = self._own_pid()
            proc = f"/proc/{self.pid}/ns"
            super().__init__(
                self._agent,
                "host",
                "host",
                Namespaces(f"{proc}/mnt", f"{proc}/net", f"{proc}/pid"),
            )
            self._gateways: dict[str, tuple[str, ...]] = {}
            self._places: dict[str, Place] = {}
            self._settings(rp_filter, bridge_calls=bridge_calls)
            self.outside = self._world()
            if flavour == "legacy":
                self.use_legacy()
        except BaseException:
            self.close()
            raise

    @staticmethod
    def _begin() -> subprocess.Popen[str]:
        own = ["--mount", "--net", "--pid", "--fork", "--kill-child", "--propagation", "private"]
        python = [sys.executable, "-S", "-E", "-c", _AGENT]
        return process.start(
            ["unshare", *own, "sh", "-c", _SETUP, "sh", *python],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None,
        )

    def _own_pid(self) -> int:
        assert self._child.stdout is not None
        line = self._child.stdout.readline()
        if not line.strip().isdigit():
            msg = "no namespaces to be had: is this root, with overlayfs and a mount of its own?"
            raise LabError(msg)
        return int(line)

    def _settings(self, rp_filter: int, *, bridge_calls: bool) -> None:
        self.agent.ask("settle", key="host")
        settings = {
            "net.ipv4.ip_forward": 1,
            "net.ipv6.conf.all.forwarding": 1,
            "net.ipv6.conf.default.forwarding": 1,
            "net.ipv4.conf.all.rp_filter": rp_filter,
            "net.ipv4.conf.default.rp_filter": rp_filter,
        }
        # A kernel whose br_netfilter is a module that nobody has loaded has no such settings.
        if bridge_calls or Path("/proc/sys/net/bridge").exists():
            settings["net.bridge.bridge-nf-call-iptables"] = int(bridge_calls)
            settings["net.bridge.bridge-nf-call-ip6tables"] = int(bridge_calls)
        for name, value in settings.items():
            self.sysctl(name, value)

    def _space(self, key: str) -> Namespaces:
        descriptor = self.agent.ask("new", key=key)
        network = f"/proc/{self.pid}/fd/{descriptor}"
        return Namespaces(self.namespaces.mount, network, self.namespaces.process)

    def _world(self) -> Outside:
        outside = Outside(self, self._space("outside"))
        self.ip(
            "link set lo up",
            f"link add eth0 address {_HOST_MAC} type veth "
            f"peer name eth0 address {_NEIGHBOUR_MAC} netns {self._inner(outside)}",
            "link set eth0 up",
            f"addr add {HOST_V4}/24 brd + dev eth0",
            f"addr add {HOST_V6}/64 dev eth0 nodad",
            # Known for good: what the host asks by ARP would otherwise differ from test to test
            # (an ARP request for the answer of 127.0.0.1 is one that nobody answers).
            *(
                f"neigh replace {a} lladdr {_NEIGHBOUR_MAC} dev eth0 nud permanent"
                for a in ("203.0.113.2", "203.0.113.9", "2001:db8:1::2", "2001:db8:1::9")
            ),
        )
        outside.ip(
            "link set lo up",
            "link set eth0 up",
            *(f"addr add {a}/24 brd + dev eth0" for a in ("203.0.113.2", "203.0.113.9")),
            *(f"addr add {a}/64 dev eth0 nodad" for a in ("2001:db8:1::2", "2001:db8:1::9")),
            *(f"addr add {a} dev eth0{' nodad' if ':' in a else ''}" for a in _BEHIND),
            # The first address of each family is the one that speaks unless told otherwise.
            *(
                f"addr change {a} dev eth0 preferred_lft 0"
                for a in ("2001:db8:1::9/64", *_BEHIND)
                if ":" in a
            ),
            *(
                f"route add {net} via {HOST_V6 if ':' in net else HOST_V4}"
                for net in _CONTAINER_NETWORKS
            ),
        )
        self.ip(
            "route add 198.51.100.0/24 via " + _NEIGHBOUR_V4,
            "route add 192.0.2.0/24 via " + _NEIGHBOUR_V4,
            "route add 2001:db8::/32 via " + _NEIGHBOUR_V6,
        )
        return outside

    @staticmethod
    def _inner(place: Place) -> str:
        """The namespace's path as the host's own processes see it."""
        return "/proc/1/fd/" + place.namespaces.network.rpartition("/")[2]

    # --- bridges and containers without an engine ----------------------------------------------

    def bridge(self, name: str, *gateways: str) -> None:
        """A bridge with these addresses (``172.18.0.1/16``), as Docker would make it."""
        self.ip(
            f"link add {name} type bridge",
            f"link set {name} up",
            *(f"addr add {g} dev {name}{' nodad' if ':' in g else ''}" for g in gateways),
        )
        self._gateways[name] = gateways

    def container(
        self, name: str, addresses: Mapping[str, Sequence[str]], *, by_docker: bool = True
    ) -> Place:
        """A namespace on these bridges; its interfaces are eth0, eth1, … in their order.

        The host's halves have names as Docker gives them, unless not ``by_docker``: a VM.
        """
        if name in self._places or name in ("host", "outside"):
            msg = f"this host has a place called {name} already"
            raise LabError(msg)
        place = Place(self.agent, name, name, self._space(name))
        self._places[name] = place
        host_lines, own_lines = [], ["link set lo up"]
        for index, (bridge, own) in enumerate(addresses.items()):
            peer = f"veth{len(self._places):04}{index:03}"
            if not by_docker:
                peer = f"tap{len(self._places)}x{index}"
            host_lines += [
                f"link add {peer} type veth peer name eth{index} netns {self._inner(place)}",
                f"link set {peer} master {bridge} up",
            ]
            own_lines += [f"link set eth{index} up"]
            own_lines += [f"addr add {a} dev eth{index}{' nodad' if ':' in a else ''}" for a in own]
            families = {ip_interface(a).version for a in own}
            own_lines += [
                f"route append default via {ip_interface(g).ip}"
                for g in self._gateways[bridge]
                if ip_interface(g).version in families
            ]
        self.ip(*host_lines)
        place.ip(*own_lines)
        return place

    def adopt(self, name: str, pid: int) -> Place:
        """The network of a process of this host (its number in there), such as a container's."""
        descriptor = self.agent.ask("open", key=name, pid=pid)
        network = f"/proc/{self.pid}/fd/{descriptor}"
        own = Namespaces(self.namespaces.mount, network, self.namespaces.process)
        return Place(self.agent, name, name, own)

    # --- files and dockerfw --------------------------------------------------------------------

    def path(self, path: str) -> Path:
        """A file of the host, as seen from out here; gone with the host."""
        return Path(f"/proc/{self.pid}/root{path}")

    def dockerfw(
        self,
        *arguments: str,
        stdin: str | bytes | None = None,
        timeout: float = 120,
        check: bool = True,
        env: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run dockerfw in this host, with the python of the test run and the host's paths.

        What it prints for programs has to be as ``docs/json.schema.json`` has it.
        """
        argv = [sys.executable, "-m", "dockerfw", *arguments]
        done = self.run(argv, stdin=stdin, timeout=timeout, check=check, env=env)
        if "--json" in arguments and done.stdout:
            document = json.loads(done.stdout)
            holds(kind_of(arguments, document), document)
        return done

    def use_legacy(self) -> None:
        """From now on ``iptables`` is iptables-legacy, as update-alternatives would have it."""
        self.legacy = True
        for name in ("iptables", "ip6tables"):
            self.run(["update-alternatives", "--set", name, f"/usr/sbin/{name}-legacy"])

    # --- the end -------------------------------------------------------------------------------

    def close(self) -> None:
        """End the host with all that is in it."""
        _running.discard(self)
        child = self._child
        if child.stdin is not None:
            with suppress(BrokenPipeError):
                child.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            child.wait(5)
        for started in (child, *self._agent.started):
            process.end(started)
        while self.at_end:
            self.at_end.pop()()
