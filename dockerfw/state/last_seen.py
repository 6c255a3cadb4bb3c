"""What Docker last answered, for a boot at which it does not answer yet.

Takes and gives values; reads and writes below ``/var/lib/dockerfw`` only::

    inventory.json        what ran
    foreign-bridges.json  bridges that were somebody else's, with the kernel's numbers for them
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from dockerfw.errors import DockerfwError
from dockerfw.model.docker_names import is_docker_bridge
from dockerfw.model.host import HostFacts
from dockerfw.model.inventory import Inventory, is_interface_name
from dockerfw.state import inventory_file
from dockerfw.state.folder import Folder

_INVENTORY = "inventory.json"
_FOREIGN_BRIDGES = "foreign-bridges.json"


class LastSeen:
    """What ran when it was last written."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder

    def remember(self, inventory: Inventory) -> None:
        """Keep subnets and published ports for the next boot. Raises `Failed`."""
        self._folder.make()
        self._folder.write_if_changed(_INVENTORY, inventory_file.dump(inventory))

    def inventory(self) -> Inventory:
        """Return what was kept; an empty inventory where nothing usable was."""
        try:
            return inventory_file.load(self._folder.file(_INVENTORY).read_text())
        except (OSError, UnicodeDecodeError, DockerfwError):
            return Inventory()

    def remember_foreign_bridges(self, facts: HostFacts) -> None:
        """Keep which bridges are somebody else's by Docker's last answer. Raises `Failed`."""
        found = {b.name: b.index for b in facts.bridges if b.name in facts.foreign_bridges}
        self._folder.make()
        self._folder.write_if_changed(_FOREIGN_BRIDGES, json.dumps({"bridges": found}) + "\n")

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
