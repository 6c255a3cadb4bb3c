"""Docker's API -> `Inventory`.

Only reads: it never changes anything in Docker and never asks the kernel. Three list calls
(``/info``, ``/containers/json``, ``/networks``) serve any number of containers; what those do not
show is in `details`. What changes is reported by `Docker.events`; `Docker.read_parts` reads again
what an event touched, and no more.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from dockerfw.docker.api import GoneError
from dockerfw.docker.connection import TIMEOUT, Connection, plain_errors
from dockerfw.docker.containers import network_ids, started_at
from dockerfw.docker.details import Details
from dockerfw.docker.engine import EngineInfo, decode_engine, refuse_other_engines
from dockerfw.docker.event_stream import EventStream
from dockerfw.docker.json_values import as_list, as_object, entry_id
from dockerfw.docker.known_inventory import KnownInventory
from dockerfw.docker.reading import Departed, Parts, Reading
from dockerfw.docker.sameness import of_containers, of_networks, of_text
from dockerfw.model.docker_names import GATEWAY_BRIDGE
from dockerfw.model.inventory import Container, Inventory
from dockerfw.model.policy import Needs

_MOST_IDS = 200
"""Above this many ids one list of all is less trouble than a list of these."""


class _Read(NamedTuple):
    """A whole reading: what was asked, and what Docker answered, see `sameness`."""

    foreign_ports: Mapping[str, tuple[str, ...]]
    needs: Needs
    networks: bytes
    containers: bytes
    text: bytes


class Docker:
    """One engine, and the inventory as the last reading found it.

    When the engine was restarted behind the socket, perhaps as another version, connect anew:
    the API version was agreed on at the beginning.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._api = connection.api
        self._known = KnownInventory()
        self._details = Details(connection.api)
        self._foreign_ports: Mapping[str, tuple[str, ...]] = {}
        self._needs = Needs()
        self._read: _Read | None = None
        """What is known is what was read so."""
        self.engine = EngineInfo("", "")
        self.warnings: tuple[str, ...] = ()
        """What the last reading could not make sense of, one sentence each."""
        self.stale: frozenset[str] = frozenset()
        """Containers that the last reading found as they were before what ``departed`` reports."""
        self.left_out: frozenset[str] = frozenset()
        """Containers that run and are not in the inventory: see ``warnings``."""

    @classmethod
    def connect(
        cls, host: str | None = None, *, remote_ok: bool = False, timeout: float = TIMEOUT
    ) -> Docker:
        """Connect to ``host`` (else ``DOCKER_HOST``, else Docker's own socket).

        ``remote_ok`` is for commands that only record: it allows tcp and ssh, and a kernel that
        is not ours. ``timeout`` is in seconds, for each answer. Raises `Failed`.
        """
        connection = Connection.open(host, remote_ok=remote_ok, timeout=timeout)
        try:
            with plain_errors(connection.where):
                docker = cls(connection)
                docker._check_engine(this_host=not remote_ok)
        except BaseException:
            connection.close()
            raise
        return docker

    def close(self) -> None:
        self._connection.close()

    def container(self, container_id: str) -> Container | None:
        """Return the container as the last reading found it."""
        return self._known.containers.get(container_id)

    def started(self, container_ids: Iterable[str]) -> Mapping[str, float]:
        """Return since when these run, by id: Unix time, whole seconds. Those that are gone, or of
        which Docker does not tell, are left out. Raises `Failed`.
        """
        found = {}
        with plain_errors(self._connection.where):
            for container_id in container_ids:
                with suppress(GoneError):
                    moment = started_at(as_object(self._api.inspect_container(container_id)))
                    if moment is not None:
                        found[container_id] = moment
        return found

    def events(self, since: float) -> EventStream:
        """Return what happens from now on; ``since`` is now, in Unix time. Raises `Failed`."""
        return EventStream(self._connection, since)

    def read_inventory(
        self,
        foreign_ports: Mapping[str, tuple[str, ...]],
        needs: Needs,
        *,
        departed: Departed | None = None,
    ) -> Inventory:
        """Return all running containers and all networks, as of now.

        ``foreign_ports`` are, by bridge, the interfaces in it that Docker did not make.
        ``needs`` is what the policy asks for: without it there are no labels, and images are
        named as the list names them. ``departed`` is what events reported that lists may not show
        yet. What vanishes between two calls is not in the answer; a container that makes no
        sense, or that Docker gives an error for, is left out with a sentence in ``warnings``.
        What did not change since the last reading is the same object. Raises `Failed`.
        """
        self._foreign_ports = foreign_ports
        self._needs = needs
        reading = Reading(foreign_ports, departed)
        with plain_errors(self._connection.where):
            self._check_engine(this_host=False)
            # Containers before networks: the network of a container that is listed exists then.
            text = self._api.containers_text()
            networks = as_list(self._api.networks())
            lasts = not departed and self.engine.swarm is None
            now = _Read(foreign_ports, needs, of_networks(networks), b"", of_text(text))
            before = self._read if lasts else None
            if before is not None and now._replace(containers=before.containers) == before:
                return self._known.inventory(self.engine)
            listed = as_list(json.loads(text))
            now = now._replace(containers=of_containers(listed))
            if before is not None and now._replace(text=before.text) == before:
                self._read = now
                return self._known.inventory(self.engine)
            reading.add_networks(networks)
            reading.add_containers(listed)
            self._details.complete(reading, needs, self.engine)
        self._details.forget_all_but(reading)
        self._known.replace_all(reading)
        self.left_out = frozenset()
        # Only what the lists decide by themselves is the same as long as they are.
        self._read = now if reading.plain and lasts else None
        return self._finish(reading)

    def read_parts(self, parts: Parts) -> Inventory:
        """Return the last reading with these parts of it read anew.

        That is two calls, or none where all of it is gone. Containers of ``parts`` that do not
        run leave the inventory. In a swarm the addresses and ports that no event reports are as
        the last `read_inventory` found them. Raises `Failed`.
        """
        self._read = None
        reading = self._known.begin(self._foreign_ports, parts)
        asked, networks = parts.containers, set(parts.networks)
        with plain_errors(self._connection.where):
            listed = self._list(asked) if asked else []
            networks |= {n for e in listed for n in network_ids(e)} - self._known.networks.keys()
            if networks:
                reading.add_networks(as_list(self._api.networks(sorted(networks))))
                self._notice_swarm(reading, networks)
            reading.add_containers(listed)
            self._details.complete(reading, self._needs, self.engine)
        touched = asked | parts.gone
        self._known.merge(reading, containers=touched, networks=networks)
        self.left_out -= touched
        return self._finish(reading)

    def _list(self, asked: frozenset[str]) -> list[Any]:
        ids = sorted(asked) if len(asked) <= _MOST_IDS else ()
        listed = as_list(self._api.containers(ids))
        return [entry for entry in listed if entry_id(entry) in asked]

    def _notice_swarm(self, reading: Reading, networks: set[str]) -> None:
        """A swarm begins with its gateway bridge; no other event shows that this node joined."""
        found = (reading.networks[n] for n in networks if n in reading.networks)
        if self.engine.swarm is None and any(n.name == GATEWAY_BRIDGE for n in found):
            self._check_engine(this_host=False)

    def _finish(self, reading: Reading) -> Inventory:
        self.warnings = tuple(reading.warnings)
        self.stale = frozenset(reading.stale)
        self.left_out |= reading.left_out
        return self._known.inventory(self.engine)

    def _check_engine(self, *, this_host: bool) -> None:
        info = as_object(self._api.info())
        about = self._api.about
        refuse_other_engines(self._connection.where, about, info, this_host=this_host)
        self.engine = decode_engine(about, info)
