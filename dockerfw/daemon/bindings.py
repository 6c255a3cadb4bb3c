"""Keeps which port of a bridge may send from which address, see ``rules/bindings.py``.

Takes the kernel's notices of ports, and what runs; reads ports and what is behind them, and writes
the table. Knows the inventory before the sets of the policy do: an address is bound before it is
let in anywhere. A port is known as soon as its other end is up, and a container's first process
starts after that.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from dockerfw.daemon.edges import Background
from dockerfw.daemon.reporter import Reporter
from dockerfw.errors import DockerfwError
from dockerfw.kernel.interface import Kernel
from dockerfw.model.docker_names import is_docker_veth
from dockerfw.model.host import BridgePort, Interior
from dockerfw.model.inventory import Inventory
from dockerfw.model.net import Address
from dockerfw.rules.bindings import Bindings, bind
from dockerfw.rules.ruleset import Seal

_WHAT = "the addresses that ports of bridges are bound to"


@dataclass(frozen=True, slots=True)
class _Written:
    """What stands since one of our writes; None: no table."""

    bindings: Bindings | None


@dataclass(frozen=True, slots=True)
class _Room:
    """A namespace as it was read, and the ports that lead there by then."""

    ports: frozenset[BridgePort]
    interior: Interior


class PortBindings:
    """The only writer of its table."""

    def __init__(self, kernel: Kernel, worker: Background, reporter: Reporter) -> None:
        self._kernel = kernel
        self._worker = worker
        self._reporter = reporter
        self._inventory = Inventory()
        self._seal: Seal | None = None
        self._own: frozenset[Address] = frozenset()
        self._written: _Written | None = None
        """None: it is not known what stands."""
        self._rooms: dict[int, _Room] = {}
        self._checking = False

    def follow(self, inventory: Inventory, seal: Seal | None, own: frozenset[Address]) -> None:
        """Bring the table in line with what runs; ``seal`` is the one that stands, and ``own`` are
        the addresses of this host.

        Where the policy parts no containers of one bridge there is nothing to bind.
        """
        self._inventory, self._seal, self._own = inventory, seal, own
        self.ports_changed()

    def ports_changed(self) -> None:
        """Read the ports, and write if that changes anything. Errors are kept for ``status``."""
        if self._seal is None or self._seal.frames is None:
            return
        try:
            self._write(self._found(self._seal))
        except DockerfwError as error:
            self._written = None
            self._reporter.note("bindings", str(error))
        else:
            self._reporter.note("bindings", None)

    def check(self) -> None:
        """Compare what stands with what was written, and read everything anew, beside the loop."""
        written, ports = self._written, {n: room.ports for n, room in self._rooms.items()}
        if self._checking or written is None or written.bindings is None:
            return
        self._checking = True

        def read() -> tuple[bool, Mapping[int, _Room]]:
            return self._kernel.bindings_stand(written.bindings), self._read_rooms(ports)

        def then(found: tuple[bool, Mapping[int, _Room]] | Exception) -> None:
            self._checking, lost = False, False
            if isinstance(found, Exception):
                self._written = None
            elif self._written is written:
                stands, rooms = found
                self._rooms, lost = dict(rooms), not stands
                self._written = written if stands else None
            self.ports_changed()
            if lost and self._written is not None:
                self._reporter.warning(f"{_WHAT} were changed by others, and put right")

        self._worker.submit(read, then)

    # what should stand

    def _found(self, seal: Seal) -> Bindings | None:
        if seal.inside:
            self._rooms.clear()
            return None
        ports = self._kernel.ports()
        by_namespace: dict[int, set[BridgePort]] = {}
        for port in ports:
            if port.namespace is not None and is_docker_veth(port.name):
                by_namespace.setdefault(port.namespace, set()).add(port)
        leading = {n: frozenset(found) for n, found in by_namespace.items()}
        known = self._addresses()
        kept = {
            n: room
            for n, room in self._rooms.items()
            if _is_whole(room, leading.get(n, frozenset()), known)
        }
        missing = {n: found for n, found in leading.items() if n not in kept}
        self._rooms = {**kept, **self._read_rooms(missing)}
        interiors = {n: room.interior for n, room in self._rooms.items()}
        return bind(ports, interiors, self._inventory, self._own, observe=seal.observe)

    def _addresses(self) -> frozenset[Address]:
        containers = self._inventory.containers
        return frozenset(a for c in containers for e in c.endpoints for a in e.addresses)

    def _read_rooms(self, leading: Mapping[int, frozenset[BridgePort]]) -> dict[int, _Room]:
        found = ((n, ports, self._kernel.look_into(n)) for n, ports in leading.items())
        return {n: _Room(ports, inside) for n, ports, inside in found if inside is not None}

    def _write(self, bindings: Bindings | None) -> None:
        if self._written is not None and self._written.bindings == bindings:
            return
        unknown, self._written = self._written is None, None
        if not (unknown and self._kernel.bindings_stand(bindings)):
            self._kernel.write_bindings(bindings)
        self._written = _Written(bindings)


def _is_whole(room: _Room, ports: Collection[BridgePort], known: frozenset[Address]) -> bool:
    """Return True if nothing shows that there is more in it by now.

    Where a port was up before its addresses were set, they are read when Docker reports them.
    """
    return room.ports == ports and len(room.interior.addresses & known) >= len(ports)
