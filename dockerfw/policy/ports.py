"""One entry of ``ports`` or ``published`` -> ports of a container or of this host.

Takes a string or an integer as it stands in the policy, gives a typed value or raises `WordError`.
Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from dockerfw.model.net import Address
from dockerfw.model.policy import PortKeyword, PortRange, PortSpec, Protocol, PublishedSpec
from dockerfw.policy.addresses import parse_address
from dockerfw.policy.words import WordError, did_you_mean, shown

PROTOCOLS: tuple[Protocol, ...] = ("tcp", "udp", "sctp")
PORT_WORDS = tuple(keyword.value for keyword in PortKeyword)

_WELL_KNOWN: Mapping[str, str] = {
    "dns": "53/udp", "ftp": "21", "http": "80", "https": "443", "imap": "143", "imaps": "993",
    "mariadb": "3306", "mongodb": "27017", "mqtt": "1883", "mysql": "3306", "ntp": "123/udp",
    "postgres": "5432", "postgresql": "5432", "redis": "6379", "smtp": "25", "ssh": "22",
}  # fmt: skip
"""Names of services: policies have numbers, which are the same on every host."""
_TURNED = re.compile(
    r"(tcp|udp|sctp)[/: ]?([0-9-]+)|([0-9-]+)[: ]?(tcp|udp|sctp)", re.ASCII | re.IGNORECASE
)
_PORTS = re.compile(r"([0-9]+)(?:-([0-9]+))?(?:/([^/]*))?", re.ASCII)
_HOST_PORTS = re.compile(r"(.*):([^:\]]*)", re.DOTALL)


def parse_port(value: object) -> PortSpec:
    """Read one entry of ``ports``: ``80``, ``"53/udp"``, ``"8000-8100/tcp"`` or a keyword."""
    if isinstance(value, str) and value in PORT_WORDS:
        return PortKeyword(value)
    if isinstance(value, str) and split_host_port(value):
        raise WordError(
            f"{shown(value)}: `ports` are container ports without an address: write the "
            "container's port, or `published` for a port of this host"
        )
    return parse_range(value, PORT_WORDS)


def parse_published(value: object) -> PublishedSpec:
    """Read one entry of ``published``: as ``ports`` without keywords; an address may go before."""
    if not isinstance(value, str) or ":" not in value:
        if value in PORT_WORDS:
            raise WordError(f"{shown(value)} stands in `ports` only: write host ports here")
        return PublishedSpec(parse_range(value))
    parts = split_host_port(value)
    if parts is None:
        raise WordError(f"{shown(value)} has no port: write one like `[2001:db8::1]:443/tcp`")
    host, ports = parts
    return PublishedSpec(parse_range(ports), parse_host_address(value, host, ports))


def split_host_port(word: str) -> tuple[str, str] | None:
    """Return what stands before and after the last colon, ``[2001:db8::1]:443`` as well.

    None: there is no port.
    """
    match = _HOST_PORTS.fullmatch(word)
    return (match[1], match[2]) if match else None


def parse_host_address(value: str, host: str, ports: str) -> Address:
    """Return the address ``host``, in brackets where it is IPv6, of ``value`` = ``host:ports``."""
    bracketed = host.startswith("[") and host.endswith("]")
    address = parse_address(host[1:-1] if bracketed else host)
    if bracketed and address.version == 4:
        raise WordError(
            f"{shown(value)}: brackets are for IPv6: write {shown(f'{address}:{ports}')}"
        )
    if not bracketed and address.version == 6:
        raise WordError(
            f"{shown(value)}: an IPv6 address stands in brackets: "
            f"write {shown(f'[{address}]:{ports}')}"
        )
    if address.is_unspecified:
        raise WordError(f"{shown(value)} is every address: write {shown(ports)}")
    return address


def parse_range(value: object, keywords: tuple[str, ...] = ()) -> PortRange:
    """Return the ports of ``80``, ``"53/udp"`` or ``"8000-8100/tcp"``.

    ``keywords`` are words that could stand there as well, for the message about one misspelt.
    """
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise WordError(f"{shown(value)} is no port: write a number or a string like `53/udp`")
    if isinstance(value, int):
        return PortRange("tcp", _port(value, value), _port(value, value))
    match = _PORTS.fullmatch(value)
    if match is None:
        raise WordError(_why_no_port(value, keywords))
    protocol = _protocol(value, match[3])
    first = _port_number(match[1], value)
    last = first if match[2] is None else _port_number(match[2], value)
    if last < first:
        turned = PortRange(protocol, last, first)
        raise WordError(f"{shown(value)} is a range from high to low: write {shown(turned)}")
    return PortRange(protocol, first, last)


def _protocol(value: str, written: str | None) -> Protocol:
    if written is None:
        return "tcp"
    for protocol in PROTOCOLS:
        if written == protocol:
            return protocol
    ports = value.partition("/")[0]
    several = [part for part in re.split(r"[+,&| ]+", written.lower()) if part in PROTOCOLS]
    if written.lower() in ("both", "any", "all", "*"):
        several = ["tcp", "udp"]
    if len(several) > 1:
        words = " and ".join(shown(f"{ports}/{protocol}") for protocol in several)
        raise WordError(f"{shown(value)}: one protocol a word: write {words}")
    raise WordError(
        f"{shown(value)}: the protocol is tcp, udp or sctp{did_you_mean(written, PROTOCOLS)}"
    )


def _port_number(digits: str, value: str) -> int:
    if digits[0] == "0" and digits.strip("0"):
        plain = re.sub(r"\b0+(?=[1-9])", "", value)
        raise WordError(f"{shown(value)} has a zero in front: write {shown(plain)}")
    # Ten digits are enough to be over 65,535: int() itself refuses some thousand.
    return _port(int(digits[:10]), value)


def _port(number: int, value: object) -> int:
    if 1 <= number <= 65535:
        return number
    hint = ", or `all` in `ports` for every port" if number == 0 else ""
    raise WordError(f"{shown(value)}: a port is a number from 1 to 65535{hint}")


def _why_no_port(value: str, keywords: tuple[str, ...]) -> str:
    name, slash, _ = value.partition("/")
    if slash and name in keywords:
        return f"{shown(value)}: write {shown(name)}, which takes no protocol"
    if value == "*":
        return "`*` is no port: write `all`" if keywords else "`*` is no port: write `1-65535/tcp`"
    if value.startswith("-") or value.endswith("-"):
        return f"{shown(value)} is half a range: write both ends, like `8000-8100/tcp`"
    meant = _meant(value) or did_you_mean(name, keywords)
    return f"{shown(value)} is no port{meant or ': write a number, `53/udp` or `8000-8100/tcp`'}"


def _meant(value: str) -> str | None:
    """Return ``: write …`` for ports in a form of other programs."""
    words = value.replace(",", " ").split()
    if len(words) > 1 and all(_PORTS.fullmatch(word) for word in words):
        return f", but {len(words)}: write each by itself, {', '.join(map(shown, words))}"
    if turned := _TURNED.fullmatch(value):
        port, protocol = turned[2] or turned[3], turned[1] or turned[4]
        return f": write {shown(f'{port}/{protocol}')}"
    if value in PROTOCOLS:
        return f": write a number before it, {shown(f'53/{value}')}, say"
    number = _WELL_KNOWN.get(value.lower())
    return f": write its number, {shown(number)}" if number else None
