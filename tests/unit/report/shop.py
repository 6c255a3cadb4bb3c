"""What runs in the tests of what is open to whom, and the text of policies."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from dockerfw.model.inventory import Container, Endpoint, Inventory, Network, PublishedPort
from dockerfw.model.policy import Policy
from dockerfw.policy.document import Document
from dockerfw.policy.parser import parse

SHOP = Network("n1", "shop", "bridge", "br-1234", (ip_network("172.18.0.0/16"),))
BACK = Network("n2", "back", "bridge", "br-5678", (ip_network("172.19.0.0/16"),))
LAN = Network("n3", "lan", "macvlan", None, (ip_network("192.0.2.0/24"),))
NETWORKS = (SHOP, BACK, LAN)
LISTS = {"block.netset": "203.0.113.0/24\n", "empty.netset": "\n"}


def at(address: str, network: Network = SHOP, ipv6: str | None = None) -> Endpoint:
    six = IPv6Address(ipv6) if ipv6 else None
    return Endpoint(network.name, network.id, IPv4Address(address), six)


def published(
    port: int, host_port: int, host: str = "0.0.0.0", protocol: str = "tcp"
) -> PublishedPort:
    return PublishedPort(ip_address(host), host_port, port, protocol)  # type: ignore[arg-type]


WEB = Container("w", "shop-web-1", endpoints=(at("172.18.0.4"),))
DB = Container(
    "d",
    "shop-db-1",
    endpoints=(at("172.18.0.3"),),
    ports=(published(5432, 5432), published(5432, 5432, "::")),
)


def running(*containers: Container, networks: tuple[Network, ...] = NETWORKS) -> Inventory:
    return Inventory(containers, networks)


def policy(text: str) -> Policy:
    def read_file(_document: str, path: str) -> bytes:
        return LISTS[path].encode()

    return parse([Document("config.toml", text.encode())], read_file)


def allow(to: str, ports: str, source: str = '"any"') -> str:
    return f"[[allow]]\nto = {to}\nports = {ports}\nfrom = {source}\n"


BOTH = replace(DB, endpoints=(*DB.endpoints, at("172.19.0.9", BACK)))
