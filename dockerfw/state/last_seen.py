"""The last inventory, for a boot at which Docker does not answer yet.

Takes and gives an `Inventory`; reads and writes ``/var/lib/dockerfw/inventory.json`` only.
"""

from __future__ import annotations

from dockerfw.errors import DockerfwError
from dockerfw.model.inventory import Inventory
from dockerfw.state import inventory_file
from dockerfw.state.folder import Folder

_INVENTORY = "inventory.json"


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
