"""Docker's API -> `Inventory`: the one module that opens Docker's socket.

Takes the socket that the user named (``-H``, else ``DOCKER_HOST``, else Docker's own), gives an
`Inventory` and what there is to know of the engine. It only reads: it never changes anything in
Docker and never looks at the kernel. An engine whose packets this host's kernel does not filter
(remote, rootless, Podman, in a virtual machine) is refused with one sentence.

Three list calls (``/info``, ``/containers/json``, ``/networks``) serve any number of containers.
What those do not say is asked once for each container or image and kept. What changes is told by
`Docker.events`; `Docker.read_parts` reads again what an event touched, and no more.
"""

from __future__ import annotations

import json
import os
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse
from importlib.util import find_spec
from typing import Any, Literal
from urllib.parse import urlencode

from docker import APIClient
from docker.errors import APIError, DockerException, NotFound
from docker.utils import kwargs_from_env, parse_host
from requests.exceptions import Timeout

from dockerfw.docker.decode import (
    SERVICE_NAME,
    Json,
    Known,
    Left,
    Parts,
    Reading,
    as_labels,
    as_list,
    as_object,
    as_text,
    configured_ports,
    gateway_endpoint,
    id_of,
    in_order,
    networks_of,
    one_line,
    routed_ports,
)
from dockerfw.docker.events import FILTERS, Event, Misread, read_event
from dockerfw.errors import Failed
from dockerfw.model.docker_names import GATEWAY_BRIDGE
from dockerfw.model.inventory import Container, Inventory, PublishedPort
from dockerfw.model.policy import Needs, Protocol

DEFAULT_HOST = "unix:///var/run/docker.sock"
TIMEOUT = 60
"""Seconds that one answer of Docker may take."""

_LONGEST_LINE = 1 << 20
"""Bytes; an event has the container's labels in it."""
_MOST_IDS = 200
"""Above this many ids one list of all is less trouble than a list of these."""


class Refused(Failed):
    """An engine whose packets this host's kernel does not filter: asking again will not help."""


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What an engine says of itself.

    ``firewall_backend`` is the label in ``/info`` (engine 28.1 and later, else None); the kernel
    is to be believed where it says otherwise: 28.5 can be made to say "nftables" while it writes
    iptables chains. ``swarm`` is this node's part in a swarm, None outside of one: only a manager
    is told which ports the routing mesh publishes.
    """

    version: str
    api_version: str
    firewall_backend: str | None = None
    live_restore: bool = False
    swarm: Literal["manager", "worker"] | None = None


class Docker:
    """A connection to one engine.

    When the engine was restarted behind the socket, perhaps as another version, connect anew:
    the API version was agreed on at the beginning.
    """

    def __init__(self, client: APIClient, url: str, version: Json) -> None:
        self._client = client
        self._url = url
        self._where = one_line(url)
        self._version = version
        self._known = Known()
        self._foreign_ports: Mapping[str, tuple[str, ...]] = {}
        self._needs = Needs()
        self._image_names: dict[str, str] = {}
        self._image_labels: dict[str, Mapping[str, str]] = {}
        self._mesh_ports: dict[str, tuple[PublishedPort, ...]] = {}
        self._routed: dict[tuple[str, str], tuple[tuple[Protocol, int], ...]] = {}
        self.engine = EngineInfo("", "")
        self.warnings: tuple[str, ...] = ()
        """What the last reading could not make sense of, one sentence each."""
        self.stale: frozenset[str] = frozenset()
        """Containers that the last reading showed as they were before what ``left`` tells."""
        self.left_out: frozenset[str] = frozenset()
        """Containers that run and are not in the inventory: see ``warnings``."""

    @classmethod
    def connect(
        cls, host: str | None = None, *, remote_ok: bool = False, timeout: float = TIMEOUT
    ) -> Docker:
        """Connect to ``host`` (else ``DOCKER_HOST``, else Docker's own socket).

        The newest API version of the engine is used, as ``/version`` tells it: no single one is
        known to both engine 20.10 (up to 1.41) and 29.0 (from 1.44 on). ``remote_ok`` is for
        who only records: it lets tcp and ssh through, and a kernel that is not ours.
        ``timeout`` is in seconds, for each answer. Raises `Failed`.
        """
        url = host or os.environ.get("DOCKER_HOST") or DEFAULT_HOST
        where = one_line(url)
        options = _options(url, where, remote_ok=remote_ok, timeout=timeout)
        with _plain_errors(where):
            client = APIClient(version="auto", timeout=timeout, **options)  # type: ignore[arg-type]
            try:
                docker = cls(client, url, as_object(client.version()))
                docker._look_at_engine(this_host=not remote_ok)
            except BaseException:
                client.close()
                raise
        return docker

    def close(self) -> None:
        self._client.close()

    def container(self, container_id: str) -> Container | None:
        """As the last reading found it."""
        return self._known.containers.get(container_id)

    def read_inventory(
        self,
        foreign_ports: Mapping[str, tuple[str, ...]],
        needs: Needs,
        *,
        left: Left | None = None,
    ) -> Inventory:
        """All running containers and all networks, as of now.

        ``foreign_ports`` are, by bridge, the interfaces in it that Docker did not make.
        ``needs`` is what the policy asks for: without it there are no labels, and images are
        named as the list names them. ``left`` is what events told that lists may not know yet.
        What vanishes between two calls is not in the answer; a container that makes no sense, or
        that Docker gives an error for, is left out with a sentence in ``warnings``. What did not
        change since the last reading is the same object. Raises `Failed`.
        """
        self._foreign_ports = foreign_ports
        self._needs = needs
        reading = Reading(foreign_ports, left)
        with _plain_errors(self._where):
            self._look_at_engine(this_host=False)
            # Containers before networks: the network of a container that is listed exists then.
            listed = as_list(self._client.containers())
            reading.take_networks(as_list(self._client.networks()))
            reading.take_containers(listed)
            self._complete(reading)
        self._forget_all_but(reading)
        self._known.replace_all(reading)
        self.left_out = frozenset()
        return self._finish(reading)

    def read_parts(self, parts: Parts) -> Inventory:
        """The last reading, with these parts of it read anew: two calls, or none for what is gone.

        Containers of ``parts`` that do not run leave the inventory. In a swarm the addresses and
        ports that no event tells of are as the last `read_inventory` found them. Raises `Failed`.
        """
        reading = self._known.begin(self._foreign_ports, parts)
        asked, networks = parts.containers, set(parts.networks)
        with _plain_errors(self._where):
            listed = self._list(asked) if asked else []
            networks |= {n for e in listed for n in networks_of(e)} - self._known.networks.keys()
            if networks:
                reading.take_networks(as_list(self._client.networks(ids=sorted(networks))))
                self._notice_swarm(reading, networks)
            reading.take_containers(listed)
            self._complete(reading)
        touched = asked | parts.gone
        self._known.merge(reading, containers=touched, networks=networks)
        self.left_out -= touched
        return self._finish(reading)

    def _list(self, asked: frozenset[str]) -> list[Any]:
        filters = {"id": sorted(asked)} if len(asked) <= _MOST_IDS else {}
        return [e for e in as_list(self._client.containers(filters=filters)) if id_of(e) in asked]

    def _notice_swarm(self, reading: Reading, networks: set[str]) -> None:
        """A swarm begins with its gateway bridge; nothing else tells that this node joined one."""
        found = (reading.networks[n] for n in networks if n in reading.networks)
        if self.engine.swarm is None and any(n.name == GATEWAY_BRIDGE for n in found):
            self._look_at_engine(this_host=False)

    def _complete(self, reading: Reading) -> None:
        """What the lists do not say."""
        if self.engine.swarm is not None and reading.containers:
            self._add_gateway_endpoints(reading)
        if self.engine.swarm == "manager":
            self._add_mesh_ports(reading)
        self._add_routed_ports(reading)
        self._add_ports_to_come(reading)
        if self._needs.images:
            self._add_image_names(reading)
        if self._needs.labels:
            self._add_labels(reading)

    def _finish(self, reading: Reading) -> Inventory:
        self.warnings = tuple(reading.warnings)
        self.stale = frozenset(reading.stale)
        self.left_out |= reading.left_out
        return self._known.inventory(self.engine.version)

    def events(self) -> EventStream:
        """What happens from now on. Raises `Failed`."""
        with _plain_errors(self._where):
            return EventStream(self._url, self._client.api_version, self._client.timeout)

    def _look_at_engine(self, *, this_host: bool) -> None:
        info = as_object(self._client.info())
        _refuse_other_engines(self._where, self._version, info, this_host=this_host)
        self.engine = _engine_info(self._version, info)

    def _add_gateway_endpoints(self, reading: Reading) -> None:
        """Containers on overlay networks are reached through docker_gwbridge, which only tells
        of them when it is inspected (moby: setupDefaultGW).
        """
        gateway = next((n for n in reading.networks.values() if n.name == GATEWAY_BRIDGE), None)
        if gateway is None:
            return
        answer = _unless_gone(self._client.inspect_network, gateway.id)
        for container_id, place in as_object((answer or {}).get("Containers")).items():
            with reading.tolerating(f"an endpoint of {GATEWAY_BRIDGE}"):
                reading.add_endpoint(container_id, gateway_endpoint(gateway, as_object(place)))

    def _add_mesh_ports(self, reading: Reading) -> None:
        """Ports that the routing mesh publishes, which no list of containers tells.

        A swarm without a leader does not answer: the last answer stands then.
        """
        tasks = reading.of_ingress_networks()
        if not tasks:
            return
        ask: Callable[[], object] = self._client.services
        try:
            services = as_list(ask())
        except (DockerException, OSError) as error:
            reading.warn(
                "the swarm does not tell which ports its services publish, so the last ones known"
                f" count: {one_line(error)}"
            )
        else:
            self._mesh_ports = dict(reading.mesh_ports(services))
        for task in tasks:
            service = reading.all_labels[task.id].get(SERVICE_NAME, "")
            ports = {*task.ports, *self._mesh_ports.get(service, ())}
            reading.change(task.id, ports=in_order(ports))

    def _add_routed_ports(self, reading: Reading) -> None:
        """Ports that are published without a host port: lists of engine 29 leave them out."""
        for container in reading.of_routed_networks():
            key = (container.id, reading.endpoint_ids[container.id])
            what = f"routed ports of container {one_line(container.name)}"
            with reading.tolerating(what), _leaving_out(reading, container):
                if key not in self._routed:
                    answer = _unless_gone(self._client.inspect_container, container.id)
                    if answer is None:
                        del reading.containers[container.id]
                        continue
                    self._routed[key] = routed_ports(as_object(answer))
                reading.change(container.id, routed=self._routed[key])

    def _add_ports_to_come(self, reading: Reading) -> None:
        """Of containers that wait for their next start, for up to a minute: lists say nothing of
        their ports, on which docker-proxy listens before anybody tells of that start.
        """
        for container_id in sorted(reading.waiting & reading.containers.keys()):
            container = reading.containers[container_id]
            what = f"ports of container {one_line(container.name)}"
            with reading.tolerating(what), _leaving_out(reading, container):
                answer = _unless_gone(self._client.inspect_container, container_id)
                ports = configured_ports(as_object(answer))
                reading.change(container_id, ports=in_order({*container.ports, *ports}))

    def _add_image_names(self, reading: Reading) -> None:
        """The list shows an image's id where its tag has moved on since."""
        for container in tuple(reading.containers.values()):
            if not container.image.startswith("sha256:"):
                continue
            what = f"the image of container {one_line(container.name)}"
            with reading.tolerating(what), _leaving_out(reading, container):
                if container.id not in self._image_names:
                    answer = _unless_gone(self._client.inspect_container, container.id)
                    if answer is None:
                        del reading.containers[container.id]
                        continue
                    name = as_object(as_object(answer).get("Config")).get("Image")
                    self._image_names[container.id] = as_text(name) or container.image
                reading.change(container.id, image=self._image_names[container.id])

    def _add_labels(self, reading: Reading) -> None:
        """The labels given to each container: what its image brings along does not count."""
        for container in tuple(reading.containers.values()):
            labels = reading.all_labels[container.id]
            if not labels:
                continue
            name = one_line(container.name)
            what = f"the labels of container {name}"
            with reading.tolerating(what), _leaving_out(reading, container):
                of_image = self._labels_of_image(reading.image_ids[container.id])
                if of_image is None:
                    reading.warn(
                        f"the labels of container {name} do not count: its image is gone, so"
                        " nobody can tell which of them the image brought along; create the"
                        " container anew"
                    )
                    continue
                own = {k: v for k, v in labels.items() if of_image.get(k) != v}
                reading.change(container.id, labels=tuple(sorted(own.items())))

    def _labels_of_image(self, image_id: str) -> Mapping[str, str] | None:
        if image_id not in self._image_labels:
            answer = _unless_gone(self._client.inspect_image, image_id)
            if answer is None:
                return None
            config = as_object(as_object(answer).get("Config"))
            self._image_labels[image_id] = as_labels(config.get("Labels"))
        return self._image_labels[image_id]

    def _forget_all_but(self, reading: Reading) -> None:
        images = set(reading.image_ids.values())
        names, labels, routed = self._image_names, self._image_labels, self._routed
        self._image_names = {k: v for k, v in names.items() if k in reading.containers}
        self._image_labels = {k: v for k, v in labels.items() if k in images}
        self._routed = {k: v for k, v in routed.items() if reading.endpoint_ids.get(k[0]) == k[1]}


# --- events --------------------------------------------------------------------------------------


class _UnixConnection(HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("docker", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class EventStream:
    """An iterator of what happens in Docker; `Misread` stands for a line that makes no sense.

    It waits as long as nothing happens. It ends when Docker closes the stream, or `close` does;
    it raises `Failed` when what comes is no stream of events. The docker package is not used
    here: its stream has no time limit for the first answer, and ends at the first broken line.
    """

    def __init__(self, url: str, api_version: str, timeout: float) -> None:
        self._where = one_line(url)
        self._connection = _UnixConnection(url.removeprefix("unix://"), timeout)
        self._lock = threading.Lock()
        self._reading = self._closed = False
        try:
            self._socket, self._response = self._open(api_version)
        except BaseException:
            self._connection.close()
            raise

    def _open(self, api_version: str) -> tuple[socket.socket, HTTPResponse]:
        # Docker answers a moment before it listens for events; it keeps the last 256.
        query = urlencode({"filters": json.dumps(FILTERS), "since": f"{time.time():.9f}"})
        self._connection.connect()
        opened = self._connection.sock
        self._connection.request("GET", f"/v{api_version}/events?{query}")
        response = self._connection.getresponse()
        if response.status != 200:
            said = response.read(1000).decode(errors="replace")
            response.close()
            raise OSError(f"it gives no events: {response.status} {said}")
        opened.settimeout(None)
        return opened, response

    def __iter__(self) -> EventStream:
        return self

    def __next__(self) -> Event | Misread:
        with self._lock:
            if self._closed:
                raise StopIteration
            self._reading = True
        found = None
        try:
            found = self._read()
        finally:
            with self._lock:
                self._reading = False
                if self._closed or found is None:
                    self._closed = True
                    self._release()
        if found is None:
            raise StopIteration
        return found

    def _read(self) -> Event | Misread | None:
        while line := self._line():
            if line.strip() and (found := read_event(line)) is not None:
                return found
        return None

    def _line(self) -> bytes:
        try:
            line = self._response.readline(_LONGEST_LINE)
        except (OSError, HTTPException, ValueError) as error:
            if self._closed:
                return b""
            raise Failed(f"Docker's event stream at {self._where} broke: {one_line(error)}") from (
                error
            )
        if len(line) >= _LONGEST_LINE:
            raise Failed(f"Docker's event stream at {self._where} sends a line without an end")
        return line

    def close(self) -> None:
        """End it, from whichever thread."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
            if not self._reading:
                self._release()

    def _release(self) -> None:
        self._response.close()
        self._connection.close()


# --- which engines are ours ----------------------------------------------------------------------


def _options(url: str, where: str, *, remote_ok: bool, timeout: float) -> dict[str, Any]:
    """The client's arguments for this address. Raises `Failed` if nobody answers there."""
    scheme, separator, rest = url.partition("://")
    if scheme == "unix" and rest.startswith("/"):
        _knock(rest, where, timeout)
        return {"base_url": url}
    if not separator or scheme not in ("tcp", "http", "https", "ssh") or not _parses(url):
        raise Refused(
            f"{where!r} is no address of Docker: write -H unix:///var/run/docker.sock,"
            " or set DOCKER_HOST to that, or to nothing"
        )
    if not remote_ok:
        raise Refused(
            f"Docker at {where} is a remote engine, and dockerfw filters on the host that it runs"
            " on: run it on the engine's own host, or record that one with `dockerfw -H"
            f" {where} inventory`"
        )
    if scheme == "ssh":
        if find_spec("paramiko") is None:  # the docker package wants it, even for /usr/bin/ssh
            raise Failed(
                f"{where} needs the Python package paramiko: install it, or run `dockerfw"
                " inventory` on that host and copy what it prints"
            )
        return {"base_url": url, "use_ssh_client": True}
    try:
        return dict(kwargs_from_env(environment={**os.environ, "DOCKER_HOST": url}))
    except DockerException as error:
        raise Failed(
            f"cannot use the certificates for {where}: DOCKER_CERT_PATH (else ~/.docker) has to"
            " hold ca.pem, cert.pem and key.pem"
        ) from error


def _parses(url: str) -> bool:
    try:
        return bool(parse_host(url))
    except (DockerException, ValueError):
        return False


def _knock(path: str, where: str, timeout: float) -> None:
    """Whether somebody listens at a socket; the errors are plainest before any HTTP."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.settimeout(timeout)
            client.connect(path)
    except FileNotFoundError as error:
        raise Failed(
            f"there is no socket at {where}: is Docker running? Start it with"
            " `systemctl start docker`, or name another socket with -H or DOCKER_HOST"
        ) from error
    except PermissionError as error:
        raise Failed(
            f"no permission for Docker's socket at {where}: run as root, or as a member of the"
            " group docker"
        ) from error
    except (OSError, ValueError) as error:
        reason = one_line(getattr(error, "strerror", None) or error)
        raise Failed(
            f"nobody answers at {where} ({reason}): is Docker running? Start it with"
            " `systemctl start docker`"
        ) from error


_PODMAN_NEXT = (
    "dockerfw knows Docker's way of filtering only; stop Podman's socket or name Docker's"
)


def _engine_info(version: Json, info: Json) -> EngineInfo:
    swarm = as_object(info.get("Swarm"))
    backend = as_object(info.get("FirewallBackend")).get("Driver")
    part: Literal["manager", "worker"] = "manager" if swarm.get("ControlAvailable") else "worker"
    outside = swarm.get("LocalNodeState") in (None, "", "inactive")
    return EngineInfo(
        version=one_line(version.get("Version") or info.get("ServerVersion") or "unknown"),
        api_version=one_line(version.get("ApiVersion") or "unknown"),
        firewall_backend=one_line(backend) if backend else None,
        live_restore=info.get("LiveRestoreEnabled") is True,
        swarm=None if outside else part,
    )


def _refuse_other_engines(where: str, version: Json, info: Json, *, this_host: bool) -> None:
    """Raise `Refused` for an engine whose containers this host's kernel does not filter for us."""
    components = [as_object(c).get("Name") for c in as_list(version.get("Components"))]
    if "BuildahVersion" in info or any("podman" in str(name).lower() for name in components):
        raise Refused(f"it is Podman that answers at {where}: {_PODMAN_NEXT} with -H")
    systems = {str(version.get("Os")).lower(), str(info.get("OSType")).lower()}
    if "windows" in systems:
        raise Refused(
            f"Docker at {where} runs Windows containers: dockerfw filters on Linux; switch"
            " Docker to Linux containers, or name another engine with -H"
        )
    options = [str(option).split(",") for option in as_list(info.get("SecurityOptions"))]
    if any("name=rootless" in option for option in options):
        raise Refused(
            f"Docker at {where} is rootless: its containers' packets do not pass this host's"
            " rules for forwarding, so dockerfw cannot filter them; use a rootful Docker, or"
            " filter the published ports in INPUT"
        )
    if this_host and (theirs := _other_kernel(info)):
        raise Refused(
            f"Docker at {where} runs on another kernel than this host ({theirs}, here"
            f" {os.uname().release}), in a virtual machine or on a remote host: run dockerfw there"
        )


def _other_kernel(info: Json) -> str | None:
    """The engine's kernel, if it is not the one that we run on: a virtual machine's (Docker
    Desktop), or one at the other end of a socket that ssh forwards.

    Docker writes a release of two numbers with three (6.8-rc1 as 6.8.0-rc1), so only the numbers
    are compared.
    """
    theirs = _numbers(str(info.get("KernelVersion")))
    ours = _numbers(os.uname().release)
    if theirs is None or ours is None or theirs == ours:
        return None
    return one_line(info.get("KernelVersion"))


def _numbers(release: str) -> tuple[int, ...] | None:
    found = re.match(r"(\d{1,9})\.(\d{1,9})(?:\.(\d{1,9}))?", release)
    return tuple(int(number or 0) for number in found.groups()) if found else None


# --- errors --------------------------------------------------------------------------------------


@contextmanager
def _plain_errors(where: str) -> Iterator[None]:
    """Whatever a conversation with Docker can end in, as one sentence."""
    try:
        yield
    # OSError is the base of what requests raises, ValueError of broken JSON; the client also
    # trips over configuration files of the user that are not what it expects.
    except (
        DockerException,
        OSError,
        HTTPException,
        ValueError,
        TypeError,
        AttributeError,
    ) as error:
        if _timed_out(error):
            what = "takes too long to answer"
        else:
            what = f"does not answer as it should: {one_line(error)}"
        raise Failed(
            f"Docker at {where} {what}; see `journalctl -u docker`, then try again"
        ) from error


def _timed_out(error: BaseException | None) -> bool:
    """While it agrees on a version, the client wraps whatever goes wrong."""
    while error is not None and not isinstance(error, (Timeout, TimeoutError)):
        error = error.__cause__ or error.__context__
    return error is not None


@contextmanager
def _leaving_out(reading: Reading, container: Container) -> Iterator[None]:
    """An error that Docker gives for one container closes that one and serves the others."""
    try:
        yield
    except APIError as error:
        why = f"container {one_line(container.name)}, which Docker gives an error for"
        reading.leave_out(container.id, f"{why}: {one_line(error)}")


def _unless_gone(inspect: Callable[[str], Any], wanted: str) -> Any:
    """An answer, or None where what was asked about has vanished since it was listed."""
    try:
        return inspect(wanted)
    except NotFound:
        return None
