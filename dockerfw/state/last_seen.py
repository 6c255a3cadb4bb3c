"""What Docker last answered, and what was seen of it, for a boot before it runs.

Takes and gives values; reads and writes below ``/var/lib/dockerfw`` only::

    inventory.json        what ran
    foreign-bridges.json  bridges that were somebody else's, with the kernel's numbers for them
    dockerd.json          the cgroups that dockerd starts in, and what it listened on itself
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from dockerfw.errors import DockerfwError
from dockerfw.model.docker_names import is_docker_bridge
from dockerfw.model.host import HostFacts, Proxy
from dockerfw.model.inventory import Inventory, is_interface_name
from dockerfw.model.net import Port
from dockerfw.state import inventory_file
from dockerfw.state.folder import Folder

_INVENTORY = "inventory.json"
_FOREIGN_BRIDGES = "foreign-bridges.json"
_DOCKERD = "dockerd.json"
_PROTOCOLS = ("tcp", "udp")


class LastSeen:
    """What ran when it was last written."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder

    def remember(self, inventory: Inventory) -> None:
        """Keep subnets and published ports for the next boot. Raises `Failed`."""
        self._folder.make()
        self._folder.write_if_changed(_INVENTORY, inventory_file.dump(inventory, for_people=False))

    def inventory(self) -> Inventory:
        """Return what was kept; an empty inventory where nothing usable was."""
        try:
            return inventory_file.load(self._folder.file(_INVENTORY).read_text())
        except (OSError, UnicodeDecodeError, DockerfwError):
            return Inventory()

    def remember_host(self, facts: HostFacts) -> None:
        """Keep which bridges are somebody else's by Docker's last answer, and, if dockerd was seen,
        what there was to see. Raises `Failed`.
        """
        found = {b.name: b.index for b in facts.bridges if b.name in facts.foreign_bridges}
        self._folder.make()
        self._folder.write_if_changed(_FOREIGN_BRIDGES, json.dumps({"bridges": found}) + "\n")
        if facts.proxy.first_packet != "unseen":
            self._folder.write_if_changed(_DOCKERD, _dump(facts.proxy))

    def dockerd(self) -> Proxy:
        """Return what was kept of it: homes and its own ports; none where nothing usable was."""
        found = self._folder.read_json(_DOCKERD)
        homes, ports = found.get("homes"), found.get("ports")
        if not isinstance(homes, list) or not isinstance(ports, list):
            return Proxy()
        return Proxy(
            homes=tuple(home for home in homes if isinstance(home, str)),
            dockerd_ports=frozenset(
                Port(protocol, port[1])
                for port in ports
                for protocol in _PROTOCOLS
                if isinstance(port, list) and port[:1] == [protocol] and _is_port(port[1:])
            ),
        )

    def foreign_bridges(self) -> Mapping[str, int]:
        """Return what was kept of them, by name; none where nothing usable was."""
        found = self._folder.read_json(_FOREIGN_BRIDGES).get("bridges")
        if not isinstance(found, dict):
            return {}
        return {
            name: index
            for name, index in found.items()
            if isinstance(index, int) and is_interface_name(name) and not is_docker_bridge(name)
        }


def _dump(proxy: Proxy) -> str:
    ports = sorted((port.protocol, port.number) for port in proxy.dockerd_ports)
    return json.dumps({"homes": proxy.homes, "ports": ports}) + "\n"


def _is_port(numbers: list[object]) -> bool:
    return len(numbers) == 1 and isinstance(numbers[0], int) and 0 < numbers[0] < 65536
