"""Who is who on one bridge, on real engines: bound as containers come, go and come back."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from tests.engine.scene import allow, apply
from tests.lab.daemon import Daemon
from tests.lab.engine import Engine, EngineContainer
from tests.lab.host import Host
from tests.lab.packet import Packet
from tests.lab.wait import until

POLICY = (
    "[defaults]\nbaseline = []\n",
    allow('to = "lone"\nports = [80, "53/udp"]', "container:app"),
)


class Scene(NamedTuple):
    """``lone`` is open to ``app`` alone."""

    host: Host
    engine: Engine
    lone: EngineContainer
    app: EngineContainer
    evil: EngineContainer

    def is_taken_for_app(self, sender: EngineContainer) -> bool:
        """Whether lone hears a datagram in the name of app, from the sender's MAC address."""
        self.lone.received()
        packet = Packet("udp", self.app.address, self.lone.address, 40000, 53, "", b"claimed")
        sender.forge(packet, mac=self.lone.mac("eth0"))
        assert self.host.udp(self.lone.address, 53, patience=5).reached
        return "claimed" in {one.text for one in self.lone.received()}

    def restarted(self, container: EngineContainer) -> EngineContainer:
        """The same container with another pair of interfaces; lone listens again."""
        self.engine.docker("restart", container.name)
        again = self.engine.refresh(container.name)
        if container.name == "lone":
            again.listen("53/udp")
        return again


@pytest.fixture(
    scope="module",
    params=["20.10", *(pytest.param(one, marks=pytest.mark.slow) for one in ("26.1", "28.5"))],
)
def scene(request: pytest.FixtureRequest) -> Iterator[Scene]:
    with Host(bridge_calls=True) as host, Engine(host, request.param) as engine:
        lone, app, evil = (engine.container(name) for name in ("lone", "app", "evil"))
        lone.listen("53/udp")
        apply(host, *POLICY)
        yield Scene(host, engine, lone, app, evil)


def test_a_neighbour_is_nobody_else_and_whoever_comes_back_is_let_in_at_once(scene: Scene) -> None:
    assert scene.is_taken_for_app(scene.evil), "nobody keeps the bindings"
    with Daemon(scene.host) as daemon:
        until(lambda: not scene.is_taken_for_app(scene.evil), "app to be bound", 5)
        assert scene.app.tcp(scene.lone.address, 80, patience=3).reached
        scene = scene._replace(lone=scene.restarted(scene.lone))
        assert scene.app.tcp(scene.lone.address, 80, patience=3).reached
        scene = scene._replace(app=scene.restarted(scene.app))
        assert scene.app.tcp(scene.lone.address, 80, patience=3).reached
        assert not scene.is_taken_for_app(scene.evil)
        scene = scene._replace(evil=scene.restarted(scene.evil))
        assert not scene.is_taken_for_app(scene.evil), "also from another port"

        daemon.stop(signal.SIGKILL)
        assert not scene.is_taken_for_app(scene.evil), "what is known of ports stays true"
        scene = scene._replace(lone=scene.restarted(scene.lone))
        assert scene.app.tcp(scene.lone.address, 80, patience=3).reached, "nobody is cut off"
        scene = scene._replace(app=scene.restarted(scene.app))
        assert scene.app.tcp(scene.lone.address, 80, patience=3).reached
        assert not scene.is_taken_for_app(scene.evil)
