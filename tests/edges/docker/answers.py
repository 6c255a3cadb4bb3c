"""Docker's answers as JSON, in the shapes of engines 20.10 to 29, and how to read them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from typing import Any

from dockerfw.docker.client import Docker
from dockerfw.errors import Failed
from dockerfw.model.inventory import Container, Inventory, PublishedPort
from dockerfw.model.policy import Needs
from tests.fakeengine import IMAGE, FakeEngine
from tests.paths import FIXTURES

__all__ = ["IMAGE"]

RECORDED = ("engine-29-iptables", "engine-29-nftables")
WEB, DB, SIDE = "1" * 64, "2" * 64, "3" * 64
NET, BACK, OVERLAY, GATEWAY, HOSTNET = "a" * 64, "b" * 64, "c" * 64, "d" * 64, "e" * 64


def play(engine: FakeEngine, recorded: str) -> None:
    """Let the engine answer as the one of engine 29 that was recorded."""

    def answer(name: str) -> Any:
        return json.loads((FIXTURES / recorded / f"{name}.json").read_text())

    engine.about = answer("version")
    engine.info = answer("info") | {"KernelVersion": os.uname().release}
    engine.answers["/containers/json"] = answer("containers")
    engine.answers["/networks"] = answer("networks")


@contextmanager
def connected(engine: FakeEngine) -> Iterator[Docker]:
    docker = Docker.connect(engine.url, timeout=10)
    try:
        yield docker
    finally:
        docker.close()


def read(
    engine: FakeEngine, *, images: bool = False, labels: bool = False, warned: bool = False
) -> Inventory:
    with connected(engine) as docker:
        inventory = docker.read_inventory({}, Needs(images=images, labels=labels))
        assert bool(docker.warnings) == warned, docker.warnings
        return inventory


def attempt(act: Callable[[], Inventory]) -> Inventory | str:
    """What came out, or the sentence of why nothing did; any other error is a bug."""
    try:
        return act()
    except Failed as error:
        return str(error)


def network(
    network_id: str = NET, name: str = "shop", driver: str = "bridge", **more: Any
) -> dict[str, Any]:
    config = [{"Subnet": "172.18.0.0/16", "Gateway": "172.18.0.1"}]
    return {
        "Name": name,
        "Id": network_id,
        "Driver": driver,
        "IPAM": {"Config": config},
        "Internal": False,
        "Options": {},
        **more,
    }


def container(
    container_id: str = WEB, name: str = "web", mode: str = "shop", **more: Any
) -> dict[str, Any]:
    place = {"NetworkID": NET, "EndpointID": "ep-" + name, "IPAddress": "172.18.0.2"}
    return {
        "Id": container_id,
        "Names": ["/" + name],
        "Image": "nginx:1",
        "ImageID": IMAGE,
        "Labels": {},
        "State": "running",
        "Ports": [],
        "HostConfig": {"NetworkMode": mode},
        "NetworkSettings": {"Networks": {"shop": place}},
        **more,
    }


def with_ports(*entries: dict[str, Any]) -> dict[str, Any]:
    return container(Ports=list(entries))


def on(**places: dict[str, Any]) -> dict[str, Any]:
    return {"Networks": places}


def published(address: str, host: int, inner: int, protocol: Any = "tcp") -> PublishedPort:
    return PublishedPort(ip_address(address), host, inner, protocol)


def one(inventory: Inventory, name: str = "web") -> Container:
    return next(c for c in inventory.containers if c.name == name)
