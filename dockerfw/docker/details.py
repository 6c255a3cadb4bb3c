"""What Docker's lists do not show: asked once for each container or image, and kept.

Takes a `Reading` of the lists and completes it: endpoints on the swarm's gateway bridge, ports of
the routing mesh, ports in routed mode, ports of a container that waits for its next start, names
of images, labels without those of the image. A container that Docker gives an error for is left
out, so that it is closed and the others are served.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from dockerfw.docker.api import Api, EngineError, GoneError
from dockerfw.docker.engine import EngineInfo
from dockerfw.docker.json_values import as_labels, as_list, as_object, as_text, one_line
from dockerfw.docker.networks import gateway_endpoint
from dockerfw.docker.ports import configured_ports, in_order, routed_ports
from dockerfw.docker.reading import Reading
from dockerfw.model.docker_names import GATEWAY_BRIDGE, SWARM_SERVICE_LABEL
from dockerfw.model.inventory import Container, PublishedPort
from dockerfw.model.policy import Needs, Protocol


class Details:
    """What was asked of one engine so far."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._image_names: dict[str, str] = {}
        self._image_labels: dict[str, Mapping[str, str]] = {}
        self._mesh_ports: dict[str, tuple[PublishedPort, ...]] = {}
        self._routed: dict[tuple[str, str], tuple[tuple[Protocol, int], ...]] = {}
        """By container and its endpoints: these are other ones after each start."""

    def complete(self, reading: Reading, needs: Needs, engine: EngineInfo) -> None:
        """Add to ``reading`` what its lists do not show, as far as it is needed.

        Raises what the API raises where it is the engine that fails.
        """
        if engine.swarm is not None and reading.containers:
            self._add_gateway_endpoints(reading)
        if engine.swarm == "manager":
            self._add_mesh_ports(reading)
        self._add_routed_ports(reading)
        self._add_ports_to_come(reading)
        if needs.images:
            self._add_image_names(reading)
        if needs.labels:
            self._add_labels(reading)

    def forget_all_but(self, reading: Reading) -> None:
        """Drop what was kept of containers and images that this whole reading does not have."""
        images = set(reading.image_ids.values())
        names, labels, routed = self._image_names, self._image_labels, self._routed
        self._image_names = {k: v for k, v in names.items() if k in reading.containers}
        self._image_labels = {k: v for k, v in labels.items() if k in images}
        self._routed = {k: v for k, v in routed.items() if reading.endpoint_ids.get(k[0]) == k[1]}

    # swarm

    def _add_gateway_endpoints(self, reading: Reading) -> None:
        """Containers on overlay networks are reached through docker_gwbridge, whose endpoints
        are shown only when it is inspected (moby: setupDefaultGW).
        """
        gateway = next((n for n in reading.networks.values() if n.name == GATEWAY_BRIDGE), None)
        if gateway is None:
            return
        answer = _unless_gone(self._api.inspect_network, gateway.id)
        for container_id, place in as_object((answer or {}).get("Containers")).items():
            with reading.tolerating(f"an endpoint of {GATEWAY_BRIDGE}"):
                reading.add_endpoint(container_id, gateway_endpoint(gateway, as_object(place)))

    def _add_mesh_ports(self, reading: Reading) -> None:
        """Ports that the routing mesh publishes, which no list of containers shows.

        A swarm without a leader does not answer: the last answer stands then.
        """
        tasks = reading.on_ingress_networks()
        if not tasks:
            return
        try:
            services = as_list(self._api.services())
        except (EngineError, OSError) as error:
            reading.warn(
                "the swarm does not tell which ports its services publish, so the last ones known"
                f" count: {one_line(error)}"
            )
        else:
            self._mesh_ports = dict(reading.ports_of_services(services))
        for task in tasks:
            service = reading.all_labels[task.id].get(SWARM_SERVICE_LABEL, "")
            ports = {*task.ports, *self._mesh_ports.get(service, ())}
            reading.change(task.id, ports=in_order(ports))

    # ports

    def _add_routed_ports(self, reading: Reading) -> None:
        """Ports that are published without a host port: lists of engine 29 leave them out."""
        for container in reading.on_routed_networks():
            key = (container.id, reading.endpoint_ids[container.id])
            what = f"routed ports of container {one_line(container.name)}"
            with reading.tolerating(what), _leaving_out(reading, container):
                if key not in self._routed:
                    answer = _unless_gone(self._api.inspect_container, container.id)
                    if answer is None:
                        del reading.containers[container.id]
                        continue
                    self._routed[key] = routed_ports(as_object(answer))
                reading.change(container.id, routed=self._routed[key])

    def _add_ports_to_come(self, reading: Reading) -> None:
        """Ports of containers that wait for their next start, for up to a minute: lists do not
        show them, and docker-proxy listens on them before an event reports that start.
        """
        for container_id in sorted(reading.waiting & reading.containers.keys()):
            container = reading.containers[container_id]
            what = f"ports of container {one_line(container.name)}"
            with reading.tolerating(what), _leaving_out(reading, container):
                answer = _unless_gone(self._api.inspect_container, container_id)
                ports = configured_ports(as_object(answer))
                reading.change(container_id, ports=in_order({*container.ports, *ports}))

    # images

    def _add_image_names(self, reading: Reading) -> None:
        """The list shows an image's id where its tag has moved on since."""
        for container in tuple(reading.containers.values()):
            if not container.image.startswith("sha256:"):
                continue
            what = f"the image of container {one_line(container.name)}"
            with reading.tolerating(what), _leaving_out(reading, container):
                if container.id not in self._image_names:
                    answer = _unless_gone(self._api.inspect_container, container.id)
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
            answer = _unless_gone(self._api.inspect_image, image_id)
            if answer is None:
                return None
            config = as_object(as_object(answer).get("Config"))
            self._image_labels[image_id] = as_labels(config.get("Labels"))
        return self._image_labels[image_id]


@contextmanager
def _leaving_out(reading: Reading, container: Container) -> Iterator[None]:
    """An error that Docker gives for one container closes that one and serves the others."""
    try:
        yield
    except EngineError as error:
        why = f"container {one_line(container.name)}, which Docker gives an error for"
        reading.leave_out(container.id, f"{why}: {one_line(error)}")


def _unless_gone(inspect: Callable[[str], Any], wanted: str) -> Any:
    """An answer, or None where what was asked about has vanished since it was listed."""
    try:
        return inspect(wanted)
    except GoneError:
        return None
