"""Docker's edge: its API and events -> `Inventory`."""
