"""Words of ``from`` that mean nothing, and what was meant by them.

Takes a word, gives what to write in its place. Pure: whether there is such an interface, name or
file on this host is not asked. Never proposes `any` for what may mean less.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from dockerfw.policy.words import did_you_mean, shown

_EVERYONE = ("*", "all", "anyone", "anywhere", "everyone", "everybody", "everything", "everywhere")
_OUTSIDE = ("internet", "public", "wan", "world")
_HOST = ("localhost", "host", "self", "me")
_NEIGHBOURS = ("lan", "local", "localnet", "home", "intranet", "internal", "private", "subnet")

_INTERFACE = re.compile(
    r"(?:eth|en[opsxu]|wl[opsx]?|wlan|wwan|wg|tun|tap|ppp|bond|team|br|virbr|vmbr|lxdbr|lxcbr|docker"
    r"|podman|veth|vlan|vxlan|tailscale|zt|ipsec|utun|dummy|ib|usb|lan|wan)[0-9][\w.-]*"
    r"|(?:br|veth|zt|wg|tun|tap|vlan|bond)-[\w.-]+|lo|docker_gwbridge|cni[0-9]|cilium_\w+",
    re.ASCII,
)
_DOMAIN = re.compile(
    r"(?:\*\.)?(?:[a-z0-9_](?:[a-z0-9_-]*[a-z0-9])?\.)+[a-z][a-z0-9-]*\.?", re.ASCII | re.IGNORECASE
)
_FILE = re.compile(r"(?:\.{0,2}/|~).*|.*\.(?:netset|ipset|txt|list|lst|csv|zone|conf|json)")
_NUMBERED = re.compile(r"(?:as|asn)[0-9]+", re.ASCII | re.IGNORECASE)

_IN_WORDS: Mapping[str, tuple[str, ...]] = {
    "iface": ("interface", "if", "dev", "device", "nic", "in", "port"),
    "host": ("dns", "name", "hostname", "fqdn", "domain", "dyndns", "ddns"),
    "file": ("list", "ipset", "set", "path", "netset", "include"),
    "network": ("docker", "bridge"),
    "lan": ("local", "localnet", "connected", "subnet", "nets"),
    "compose": ("project", "stack"),
}
"""Prefixes, each with what other programs call the same."""
_PLAIN = ("ip", "ip4", "ip6", "ipv4", "ipv6", "addr", "address", "cidr", "net")
_ELSEWHERE = ("as", "asn", "geo", "geoip", "country", "cc", "region")
_URLS = ("http", "https", "ftp")


def meant_by_word(word: str, names: Collection[str]) -> str:
    """Return what to write for a word that is the name of no list: ``: write …``.

    ``names`` are those that it could be.
    """
    lower = word.lower()
    if lower in _EVERYONE:
        return ": every address is `any`"
    if lower in _OUTSIDE:
        return ": every address of the outside is `any`"
    own = f"define it in [sources], or write {shown('container:' + word)} for a container"
    return did_you_mean(word, names) or f": {_meant_by_form(word) or own}"


def _meant_by_form(word: str) -> str | None:
    if word.lower() in _HOST:
        return "this host itself reaches its containers always: take it out"
    if word.lower() in _NEIGHBOURS:
        network = "write its network, `192.168.0.0/24`, say"
        return f"{network}, or `lan:eth0` for the networks of that interface"
    if _NUMBERED.fullmatch(word):
        return _NO_DIRECTORY
    if _INTERFACE.fullmatch(word):
        iface, lan = shown("iface:" + word), shown("lan:" + word)
        return f"an interface is {iface}, its networks are {lan}"
    if _FILE.fullmatch(word):
        return f"a list is {shown('file:' + word)}"
    if not _DOMAIN.fullmatch(word):
        return None
    if word.startswith("*"):
        return "no name in DNS stands for all below it: write each, as `host:vpn.example.org`"
    return f"a name in DNS is {shown('host:' + word)}, a container {shown('container:' + word)}"


def meant_by_prefix(kind: str, name: str, prefixes: Collection[str]) -> str:
    """Return what to write for ``kind:name`` where there is no such kind: ``: write …``."""
    lower = kind.lower()
    if lower in _URLS:
        return (
            ": no list is fetched: download it (`curl -o blocked.netset URL`), and write "
            "`file:blocked.netset`"
        )
    if lower in _ELSEWHERE:
        return f": {_NO_DIRECTORY}"
    if lower in _PLAIN:
        return f": write {shown(name)} alone"
    for prefix, others in _IN_WORDS.items():
        if lower in others:
            return f": write {shown(f'{prefix}:{name}')}"
    known = ", ".join(f"`{prefix}:`" for prefix in prefixes)
    return did_you_mean(kind, prefixes) or f": known are {known}"


_NO_DIRECTORY = (
    "nobody is asked which networks that are: write them to a file, one a line, and `file:` with "
    "its name"
)
