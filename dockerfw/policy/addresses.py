"""One word of the policy -> an IP address or a network, or what to write in its place.

Takes a string, gives ``ipaddress`` values or raises `WordError`. Accepts one notation of each
network: no host bits, no netmasks, no ranges, no IPv4 in IPv6. Pure; list files go through here
as well, at 100,000 lines a file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
    summarize_address_range,
)
from itertools import islice
from socket import AF_INET, AF_INET6, inet_pton

from dockerfw.model.net import Address, IPNetwork
from dockerfw.policy.words import WordError, shown

_SHOWN_NETWORKS = 4

_CIDR = re.compile(r"[0-9A-Fa-f:.]+(?:/(?:0|[1-9][0-9]{0,2}))?", re.ASCII)
_WILDCARD = (
    r"[0-9]+\.[0-9]+(?:\.[0-9]+)?(?:\.\*)+|[0-9]+(?:\.\*){3}|[0-9A-Fa-f]+(?::[0-9A-Fa-f]+)+:\*"
)
_LIKE_ADDRESS = re.compile(
    r"(?:[0-9]+(?:\.[0-9]*)*|[0-9A-Fa-f]*:[0-9A-Fa-f:.]*)(?:[/%-].*)?|" + _WILDCARD,
    re.ASCII | re.DOTALL,
)
_DIGITS = re.compile(r"[0-9]{1,3}", re.ASCII)


def looks_like_address(word: str) -> bool:
    """Return True if this is meant as an address, a network or a range, right or wrong."""
    return _LIKE_ADDRESS.fullmatch(word) is not None


def network_or_none(word: str) -> IPNetwork | None:
    """Return an IP address or a CIDR in the one notation that is accepted; None for all else."""
    if not _CIDR.fullmatch(word):
        return None
    # Lists have 100,000 lines: inet_pton and a tuple are twice as fast as ipaddress with text.
    address, _, prefix = word.partition("/")
    try:
        if ":" not in address:
            return IPv4Network((_number(AF_INET, address), int(prefix or 32)))
        network = IPv6Network((_number(AF_INET6, address), int(prefix or 128)))
    except (OSError, ValueError):
        return None
    return network if _mapped(network) is None else None


def _number(family: int, address: str) -> int:
    return int.from_bytes(inet_pton(family, address), "big")


def parse_network(word: str) -> IPNetwork:
    """As `network_or_none`; raises `WordError` with how to write what is refused."""
    network = network_or_none(word)
    if network is None:
        raise WordError(_why_no_network(word))
    return network


def parse_address(word: str) -> Address:
    """Return one IP address; a network is refused."""
    network = parse_network(word)
    if "/" in word:
        raise WordError(f"{shown(word)} is a network: write one address")
    return network.network_address


def _short(network: IPNetwork) -> str:
    alone = network.prefixlen == network.max_prefixlen
    return str(network.network_address if alone else network)


def _mapped(network: IPv6Network) -> IPv4Network | None:
    address = int(network.network_address)
    if address >> 32 != 0xFFFF or network.prefixlen < 96:
        return None
    return IPv4Network((address & 0xFFFFFFFF, network.prefixlen - 96))


def _why_no_network(word: str) -> str:
    address, percent, zone = word.partition("%")
    if percent and looks_like_address(address):
        interface = shown("iface:" + (zone.partition("/")[0] or "NAME"))
        return f"{shown(word)} has a zone, which no packet carries: write {interface}"
    first, dash, last = word.partition("-")
    if dash:
        return _why_no_range(word, first, last)
    if "," in word:
        several = ", ".join(shown(part.strip()) for part in word.split(",") if part.strip())
        return f"{shown(word)} is several: write each by itself, {several}"
    short = _written_out(word)
    write = f": write {shown(short)}" if short else ""
    no_network = f"{shown(word)} is no IP address and no network (CIDR){write}"
    return _how_to_write_network(word) or no_network


def _written_out(word: str) -> str | None:
    """Return the network that ``192.168.*``, ``192.168.1.`` or ``10/8`` is short for."""
    address, slash, prefix = word.partition("/")
    if ":" in address:
        groups = address.removesuffix(":*").split(":")
        network = f"{':'.join(groups)}::/{16 * len(groups)}"
        return network if address.endswith(":*") and network_or_none(network) else None
    parts = address.removesuffix(".").split(".")
    numbers = [part for part in parts if _DIGITS.fullmatch(part)]
    if parts[: len(numbers)] != numbers or set(parts[len(numbers) :]) - {"*"}:
        return None
    if len(numbers) > 3 or not (slash or "." in address):
        return None
    zeros = ["0"] * (4 - len(numbers))
    network = f"{'.'.join([*numbers, *zeros])}/{prefix if slash else 8 * len(numbers)}"
    return network if network_or_none(network) else None


def _why_no_range(word: str, first: str, last: str) -> str:
    try:
        low, high = ip_address(first), ip_address(last)
        networks = [_short(network) for network in islice(_summary(low, high), _SHOWN_NETWORKS + 1)]
    except ValueError:
        return f"{shown(word)} is a range: write networks (CIDR), smaller address first"
    written = ", ".join(f'"{n}"' for n in networks[:_SHOWN_NETWORKS])
    more = " and so on" if len(networks) > _SHOWN_NETWORKS else ""
    return f"{shown(word)} is a range: write it as networks, {written}{more}"


def _summary(low: Address, high: Address) -> Iterator[IPNetwork]:
    if isinstance(low, IPv4Address) and isinstance(high, IPv4Address):
        return summarize_address_range(low, high)
    if isinstance(low, IPv6Address) and isinstance(high, IPv6Address):
        return summarize_address_range(low, high)
    raise ValueError("two families")


def _how_to_write_network(word: str) -> str | None:
    """Return the notation that is meant, for IPv4 in IPv6, host bits and netmasks."""
    try:
        network = ip_network(word, strict=False)
    except ValueError:
        return None
    if isinstance(network, IPv6Network) and (mapped := _mapped(network)) is not None:
        return (
            f"{shown(word)} is an IPv4 address written as IPv6, which no packet carries: "
            f"write {shown(_short(mapped))}"
        )
    try:
        ip_network(word)
    except ValueError:
        return (
            f"{shown(word)} has host bits set: write {shown(network)} for the network "
            f"or {shown(word.partition('/')[0])} for the one address"
        )
    return f"{shown(word)}: write the length of the prefix, {shown(network)}"


def whole_family(network: IPNetwork) -> bool:
    """Return True for ``0.0.0.0/0`` and ``::/0``, also where only the ``/0`` was forgotten."""
    return int(network.network_address) == 0 and network.prefixlen in (0, network.max_prefixlen)


def whole_family_hint(word: str) -> str:
    """Return why that is seldom what was meant."""
    if not word.endswith("/0"):
        return f"{shown(word)} is that one address, which nobody has: every address is `any`"
    family, other = ("IPv6", "IPv4") if ":" in word else ("IPv4", "IPv6")
    return f"{shown(word)} is {family} only and leaves {other} out: `any` is both families"
