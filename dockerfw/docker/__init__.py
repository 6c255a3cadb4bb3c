"""Docker's API and events -> `Inventory`; `client.Docker` reads, `watcher.Watcher` follows."""
