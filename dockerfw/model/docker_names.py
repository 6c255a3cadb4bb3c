"""The names that Docker gives to what it makes on a host, in one place. Pure.

Source: moby, ``daemon/libnetwork/drivers/bridge`` and ``docker-facts``; the same from 20.10 to 29.
"""

from __future__ import annotations

from re import compile as compile_regex

DOCKER_USER = "DOCKER-USER"
"""The chain of table ``filter`` that Docker leaves to the admin."""
GATEWAY_BRIDGE = "docker_gwbridge"
"""The network, and its bridge, by which swarm tasks reach the outside."""

COMPOSE_PROJECT_LABEL = "com.docker.compose.project"
COMPOSE_SERVICE_LABEL = "com.docker.compose.service"
SWARM_SERVICE_LABEL = "com.docker.swarm.service.name"
"""Labels that docker compose and swarm give to the containers that they make."""

BRIDGE_NAME_OPTION = "com.docker.network.bridge.name"
"""The option of a network that names its bridge; without it the bridge is br- and the network's
id."""
GATEWAY_MODE_OPTIONS = (
    "com.docker.network.bridge.gateway_mode_ipv4",
    "com.docker.network.bridge.gateway_mode_ipv6",
)
"""The options of a network that publish it as it is ("routed") instead of by NAT."""

NFTABLES_TABLE = "docker-bridges"
"""The nft table of Docker on nftables, one a family."""

_BRIDGE = compile_regex(r"br-[0-9a-f]{12}|docker\d+|docker_gwbridge")
VETH_PREFIX = "veth"
_VETH = compile_regex(rf"{VETH_PREFIX}[0-9a-f]{{7}}")
BRIDGE_PREFIXES = (*(f"br-{digit}" for digit in "0123456789abcdef"), "docker")
"""What the names of Docker's bridges begin with, those to come included."""
_SOME_BRIDGE = ("br-", "docker")


def is_docker_bridge(interface: str) -> bool:
    """Return True if Docker names bridges like this; the admin may name one otherwise."""
    return _BRIDGE.fullmatch(interface) is not None


def may_be_docker_bridge(interface: str) -> bool:
    """Return True for names that Docker's bridges may have, the admin's bridges too."""
    return interface.startswith(_SOME_BRIDGE)


def is_docker_veth(interface: str) -> bool:
    """Return True if Docker names the host's half of a container's interface pair like this."""
    return _VETH.fullmatch(interface) is not None


def is_docker_chain(chain: str) -> bool:
    """Return True for chains that Docker itself fills.

    DOCKER-USER is not one: dockerfw makes it before Docker's first start.
    """
    return chain != DOCKER_USER and (chain == "DOCKER" or chain.startswith("DOCKER-"))
