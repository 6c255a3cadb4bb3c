"""One word of the policy -> one value: addresses, interfaces, ports, selectors.

Takes a single string (or integer) as it stands in the policy, gives a typed value, or raises
`WordError` with what is wrong and what to write instead. Pure; never knows of files and lines.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
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
from dockerfw.model.policy import (
    InterfaceSource,
    PortKeyword,
    PortRange,
    PortSpec,
    Protocol,
    PublishedSpec,
    Selector,
    SelectorKind,
)

PROTOCOLS: tuple[Protocol, ...] = ("tcp", "udp", "sctp")
SELECTOR_KINDS: tuple[SelectorKind, ...] = (
    "container",
    "compose",
    "label",
    "image",
    "network",
    "service",
)
PORT_WORDS = tuple(keyword.value for keyword in PortKeyword)

# The kernel's IFNAMSIZ is 16 with the closing NUL (include/uapi/linux/if.h).
_INTERFACE_LENGTH = 15
_SHOWN_LENGTH = 80
_SHOWN_NETWORKS = 4

_CIDR = re.compile(r"[0-9A-Fa-f:.]+(?:/(?:0|[1-9][0-9]{0,2}))?", re.ASCII)
_LIKE_ADDRESS = re.compile(
    r"(?:[0-9]+(?:\.[0-9]*)*|[0-9A-Fa-f]*:[0-9A-Fa-f:.]*)(?:[/%-].*)?", re.ASCII | re.DOTALL
)
_PORTS = re.compile(r"([0-9]+)(?:-([0-9]+))?(?:/([^/]*))?", re.ASCII)
_HOST_PORTS = re.compile(r"(.*):([^:\]]*)", re.DOTALL)
_INTERFACE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*\*?|\*", re.ASCII)
_PREFIX = re.compile(r"([A-Za-z][A-Za-z_-]*):(.*)", re.DOTALL)
_CONTAINER = re.compile(r"[A-Za-z0-9*][A-Za-z0-9_.*-]*", re.ASCII)
_IMAGE = re.compile(r"[A-Za-z0-9*][A-Za-z0-9_./:@*-]*", re.ASCII)
_FQDN = re.compile(
    r"(?=.{1,253}\Z)(?:[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.)+"
    r"[A-Za-z](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.?",
    re.ASCII,
)


class WordError(ValueError):
    """What is wrong with a word, and what to write instead."""


def shown(value: object) -> str:
    """A value from outside for a message: in backquotes, on one line, not too long."""
    plain = value if isinstance(value, str) else _as_toml(value)
    if len(plain) > _SHOWN_LENGTH:
        plain = plain[: _SHOWN_LENGTH - 3] + "..."
    safe = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in plain)
    return f"`{safe}`"


def _as_toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and abs(value) > 2**64:
        return hex(value)  # str() refuses integers of some thousand digits
    if isinstance(value, list):
        return "[...]"
    if isinstance(value, dict):
        return "{...}"
    return str(value)


def nearest(word: str, words: Iterable[str]) -> str:
    """``: did you mean `x`?``, or nothing where no word comes near."""
    by_lower_case = {known.lower(): known for known in words}
    close = get_close_matches(word.lower(), by_lower_case, n=1)
    return f": did you mean {shown(by_lower_case[close[0]])}?" if close else ""


def check_text(word: str) -> None:
    """Refuse what no name may be or hold: nothing, control characters, space at the ends."""
    if not word.strip():
        raise WordError("an empty name: write a name here, or take the entry out")
    if not word.isprintable():
        raise WordError(f"{shown(word)} holds a control character: write plain text")
    if word != word.strip():
        raise WordError(f"{shown(word)} has a space at its end: write {shown(word.strip())}")


def check_named(kind: str, name: str) -> None:
    """Refuse ``kind:`` with nothing behind it."""
    if not name.strip():
        raise WordError(f"{shown(kind + ':')} has no name: write one behind the colon")


def split_prefix(word: str) -> tuple[str, str] | None:
    """``("label", "tier=db")`` of ``label:tier=db``; None where no ``word:`` stands in front."""
    match = _PREFIX.fullmatch(word)
    return (match[1], match[2]) if match else None


# --- addresses ---------------------------------------------------------------------------------


def looks_like_address(word: str) -> bool:
    """Whether this is meant as an address, a network or a range, right or wrong."""
    return _LIKE_ADDRESS.fullmatch(word) is not None


def network_or_none(word: str) -> IPNetwork | None:
    """An IP address or a CIDR, in the one notation that is accepted; None for all else."""
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
    """As `network_or_none`; what is refused is told how to be written."""
    network = network_or_none(word)
    if network is None:
        raise WordError(_why_no_network(word))
    return network


def parse_address(word: str) -> Address:
    """One IP address, not a network."""
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
    return _how_to_write_network(word) or f"{shown(word)} is no IP address and no network (CIDR)"


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
    """For IPv4 in IPv6, host bits and netmasks: the notation that is meant."""
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


# --- interfaces and host names -----------------------------------------------------------------


def parse_interface(name: str) -> InterfaceSource:
    """The name after ``iface:``; ``*`` at its end matches any rest."""
    check_text(name)
    if "@" in name:
        own = name.partition("@")[0]
        raise WordError(f"{shown(name)} is how ip shows it: write {shown('iface:' + own)}")
    if ":" in name:
        own = name.partition(":")[0]
        raise WordError(
            f"{shown(name)} is an alias, which receives nothing itself: "
            f"write {shown('iface:' + own)}"
        )
    if name.endswith("+"):
        raise WordError(f"{shown(name)}: the wildcard is `*`: write {shown(name[:-1] + '*')}")
    if not _INTERFACE.fullmatch(name) or name in (".", ".."):
        raise WordError(
            f"{shown(name)} is no interface name: write letters, digits, `_`, `.` and `-`, "
            "and `*` at the end only"
        )
    if len(name) > _INTERFACE_LENGTH:
        raise WordError(
            f"{shown(name)} has {len(name)} characters, an interface name has at most "
            f"{_INTERFACE_LENGTH}: see `ip -br link`"
        )
    return InterfaceSource(name)


def parse_host_name(name: str) -> str:
    """The name after ``host:``, a fully qualified domain name, in the one way to write it."""
    check_text(name)
    if looks_like_address(name):
        raise WordError(f"{shown(name)} is an address: write it without `host:`")
    if not _FQDN.fullmatch(name):
        raise WordError(
            f"{shown(name)} is no full domain name: write one like `host:vpn.example.org`"
        )
    return name.rstrip(".").lower()


# --- ports -------------------------------------------------------------------------------------


def parse_port(value: object) -> PortSpec:
    """One entry of ``ports``: ``80``, ``"53/udp"``, ``"8000-8100/tcp"`` or a keyword."""
    if isinstance(value, str) and value in PORT_WORDS:
        return PortKeyword(value)
    if isinstance(value, str) and _HOST_PORTS.fullmatch(value):
        raise WordError(
            f"{shown(value)}: `ports` are container ports without an address: write the "
            "container's port, or `published` for a port of this host"
        )
    return _parse_range(value, PORT_WORDS)


def parse_published(value: object) -> PublishedSpec:
    """One entry of ``published``: as ``ports`` without keywords; an address may go before."""
    if not isinstance(value, str) or ":" not in value:
        if value in PORT_WORDS:
            raise WordError(f"{shown(value)} stands in `ports` only: write host ports here")
        return PublishedSpec(_parse_range(value, ()))
    match = _HOST_PORTS.fullmatch(value)
    if match is None:
        raise WordError(f"{shown(value)} has no port: write one like `[2001:db8::1]:443/tcp`")
    return PublishedSpec(_parse_range(match[2], ()), _host_address(value, match[1], match[2]))


def _host_address(value: str, host: str, ports: str) -> Address:
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


def _parse_range(value: object, keywords: tuple[str, ...]) -> PortRange:
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
    raise WordError(
        f"{shown(value)}: the protocol is tcp, udp or sctp{nearest(written, PROTOCOLS)}"
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
    near = nearest(name, keywords)
    return f"{shown(value)} is no port{near or ': write a number, `53/udp` or `8000-8100/tcp`'}"


# --- selectors ---------------------------------------------------------------------------------


def parse_target(word: str) -> Selector:
    """One entry of ``to``: a selector, with ``!`` in front to take out again."""
    check_text(word)
    negated = word.startswith("!")
    rest = word[1:] if negated else word
    if rest.startswith("!"):
        raise WordError(f"{shown(word)} is negated twice: write {shown(rest.lstrip('!'))}")
    prefix = split_prefix(rest)
    if prefix is None:
        _check_bare_name(rest)
        return _container(rest, negated)
    return parse_selector(*prefix, negated=negated)


def parse_selector(kind: str, name: str, *, negated: bool = False) -> Selector:
    """The selector ``kind:name``."""
    check_named(kind, name)
    match kind:
        case "container":
            return _container(name, negated)
        case "compose":
            return _compose(name, negated)
        case "label":
            check_text(name)
            key, equals, value = name.partition("=")
            check_text(key)
            return Selector("label", key, value if equals else None, negated)
        case "image":
            _check_form(_IMAGE, name, "of an image: write one like `image:nginx:*`")
            return Selector("image", name, None, negated)
        case "network":
            _check_exact_name("network", name)
            return Selector("network", name, None, negated)
        case "service":
            _check_exact_name("service", name)
            return Selector("service", name, None, negated)
    raise WordError(_why_no_kind(kind, name))


def _check_bare_name(word: str) -> None:
    if word in ("any", "bridge"):
        raise WordError(
            f"{shown(word)} stands in `from`: write `*` for every container, "
            f"or {shown('container:' + word)} if one has that name"
        )
    if looks_like_address(word):
        raise WordError(
            f"{shown(word)} is an address: `to` takes containers, whose addresses change: "
            "write a name, `compose:`, `label:`, `image:` or `network:`"
        )


def _container(name: str, negated: bool) -> Selector:
    if name.startswith("/") and _CONTAINER.fullmatch(name[1:]):
        raise WordError(f"{shown(name)}: write the name without the slash, {shown(name[1:])}")
    _check_form(
        _CONTAINER, name, "of a container: it has letters, digits, `_`, `.`, `-`; `*` is a wildcard"
    )
    return Selector("container", name, None, negated)


def _compose(name: str, negated: bool) -> Selector:
    project, slash, service = name.partition("/")
    for part in (project, service) if slash else (project,):
        _check_form(
            _CONTAINER, part, "for compose: write `compose:PROJECT` or `compose:PROJECT/SERVICE`"
        )
    return Selector("compose", project, service if slash else None, negated)


def _check_form(form: re.Pattern[str], name: str, how: str) -> None:
    check_text(name)
    if not form.fullmatch(name):
        raise WordError(f"{shown(name)} is no name {how}")


def _check_exact_name(kind: str, name: str) -> None:
    check_text(name)
    if "*" in name:
        raise WordError(f"{shown(f'{kind}:{name}')}: `{kind}:` takes one exact name: leave out `*`")


def _why_no_kind(kind: str, name: str) -> str:
    word = shown(f"{kind}:{name}")
    try:
        _parse_range(name, ())
    except WordError:
        kinds = ", ".join(f"`{known}:`" for known in SELECTOR_KINDS)
        near = nearest(kind, SELECTOR_KINDS) or f": write a container's name or one of {kinds}"
        return f"{word}: there is no selector {shown(kind + ':')}{near}"
    return f"{word} holds a port: write {shown(kind)} here and the port in `ports`"


# --- expectations ------------------------------------------------------------------------------


def check_question_source(word: str) -> None:
    """``from`` of an expectation: an address (``@INTERFACE`` may follow), a container, ``host``."""
    check_text(word)
    name, at, interface = word.partition("@")
    if at:
        if parse_interface(interface).name.endswith("*"):
            raise WordError(f"{shown(word)}: write one interface, without `*`")
        parse_address(name)
    elif looks_like_address(name):
        parse_address(name)
    else:
        _check_one_container(name, word)


def check_question_target(word: str) -> None:
    """``to`` of an expectation: ``NAME:PORT[/PROTOCOL]``, ``:PORT``, ``ADDRESS:PORT``."""
    check_text(word)
    match = _HOST_PORTS.fullmatch(word)
    if match is None:
        raise WordError(f"{shown(word)} has no port: write NAME:PORT, ADDRESS:PORT or :PORT")
    host, ports = match.groups()
    if ports != PortKeyword.ICMP.value:
        asked = _parse_range(ports, ())
        if asked.first != asked.last:
            raise WordError(f"{shown(word)}: one port can be asked for, not a range")
    if host and (host.startswith("[") or looks_like_address(host)):
        _host_address(word, host, ports)
    elif host:
        _check_one_container(host, word)


def _check_one_container(name: str, word: str) -> None:
    bare = name.removeprefix("container:").removeprefix("/")
    if "*" in bare or not _CONTAINER.fullmatch(bare):
        raise WordError(f"{shown(word)}: write one address or the name of one container")
