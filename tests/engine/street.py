"""One host with a container for each kind of way in, and a policy that opens some of them."""

from __future__ import annotations

import json
from typing import Any

from tests.engine.scene import allow
from tests.lab.engine import Engine, EngineContainer
from tests.lab.host import HOST_V4, HOST_V6, Host

UNPUBLISHED = 7777
"""A port at which some containers listen, and that nobody publishes."""
POLICY = (
    allow('to = "web"\nports = [80]', "any"),
    allow('to = "dns"\nports = ["53/udp"]', "office"),
    allow(f'to = "six"\nports = [80, {UNPUBLISHED}]', "office"),
    allow("published = [8102]", "office"),
    allow('to = "hostnet"\nports = [8088]', "office"),
)


class Street:
    """One engine, with a container for each kind of way in."""

    def __init__(self, host: Host, engine: Engine) -> None:
        self.host = host
        self.engine = engine
        create = ("network", "create")
        engine.docker(*create, "--ipv6", "--subnet", "fd00:6::/64", "dual")
        engine.docker(*create, "--ipv6", "--subnet", "2001:db8:6::/64", "world")
        lan = ("--subnet", "203.0.113.0/24", "--ip-range", "203.0.113.128/28")
        engine.docker(*create, "-d", "macvlan", "-o", "parent=eth0", *lan, "lan")
        self.containers: dict[str, EngineContainer] = {}
        self._run("web", "-p", "8080:80")
        self._run("dns", "-p", "5353:53/udp").listen("53/udp")
        self._run("range", "-p", "8100-8105:8100-8105").listen(
            *(f"{port}/tcp" for port in range(8100, 8106))
        )
        self._run("bound", "-p", f"{HOST_V4}:8443:80")
        self._run("local", "-p", "127.0.0.1:9090:80")
        self._run("hidden")
        self._run("six", "--network", "dual", "-p", "8086:80")
        self._run("multi", "--network", "dual", "-p", "8090:80")
        engine.docker("network", "connect", "world", "multi")
        self.containers["multi"] = engine.refresh("multi")
        # Engine 28 publishes it on the network that is not the first one by name.
        self._run("far", "--network", "world", "-p", "8091:80")
        engine.docker("network", "connect", "dual", "far")
        self.containers["far"] = engine.refresh("far")
        self._run("sixth", "--network", "dual", "-p", "[::]:8092:80")
        self._run("camera", "--network", "lan")
        self._run("hostnet", "--network", "host", port="8088")
        if engine.version == "28.5":
            mode = "com.docker.network.bridge.gateway_mode_ipv4=routed"
            engine.docker(*create, "-o", mode, "flat")
            self._run("flat", "--network", "flat", "-p", "80")
        for name, container in self.containers.items():
            if name not in ("hostnet", "camera"):
                container.listen(f"{UNPUBLISHED}/tcp", f"{UNPUBLISHED}/udp")
        host.ip("route add 2001:db8:6::/64 dev eth0 metric 5000")
        host.outside.ip(f"route add 2001:db8:6::/64 via {HOST_V6}")

    def _run(self, name: str, *options: str, port: str = "80") -> EngineContainer:
        self.containers[name] = self.engine.container(name, *options, env={"PORT": port})
        return self.containers[name]

    def audit(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.host.dockerfw("audit", "--json").stdout)
        return found

    def probe(self) -> dict[str, Any]:
        """What the packets of a probe find, whether that agrees or not."""
        found: dict[str, Any] = json.loads(
            self.host.dockerfw("probe", "--json", check=False).stdout
        )
        return found
