"""Reads what stands around the rules of a host: interfaces, sockets, programs before the rules.

Takes a `Runner`; gives `Surroundings`. Only reads. What a tool that is missing would have shown is
said to be unread.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any

from dockerfw.errors import Failed
from dockerfw.kernel.links import read_links
from dockerfw.kernel.nft.printed import chain_lines
from dockerfw.kernel.runner import NotInstalled, Runner
from dockerfw.model.net import Family, Port, family_of
from dockerfw.model.surroundings import Early, Listener, Surroundings

_FORWARDING: tuple[tuple[Family, str], ...] = (
    (4, "/proc/sys/net/ipv4/ip_forward"),
    (6, "/proc/sys/net/ipv6/conf/all/forwarding"),
)
_INGRESS = re.compile(r"\bhook ingress devices? = \{(.*?)\}|\bhook ingress device (\S+)")
_IPVS = "/proc/thread-self/net/ip_vs"
_SOCKETS = ["ss", "--no-header", "--numeric", "--listening", "--tcp", "--udp", "--processes"]
_PROCESS = re.compile(r'\("([^"]*)",pid=(\d+)')
_CONTAINER = re.compile(r"[0-9a-f]{64}")


def read(runner: Runner) -> Surroundings:
    """Return what is there now. Raises `Failed` where ``ip`` fails."""
    links = read_links(runner, "link")
    return Surroundings(
        tuple(link["ifname"] for link in links if _takes_packets(link)),
        tuple(f for f, path in _FORWARDING if (runner.read_file(path) or "0").strip() != "0"),
        (*_early(runner, links), *_nft_ingress(runner), *_ipvs(runner)),
        _listeners(runner),
    )


def _takes_packets(link: dict[str, Any]) -> bool:
    in_bridge = link.get("linkinfo", {}).get("info_slave_kind") == "bridge"
    return link["ifname"] != "lo" and "UP" in link.get("flags", ()) and not in_bridge


# --- before the rules ----------------------------------------------------------------------------


def _early(runner: Runner, links: list[dict[str, Any]]) -> Iterator[Early]:
    for link in links:
        if link.get("xdp"):
            yield Early("XDP", link["ifname"])
    try:
        queues = json.loads(runner.run(["tc", "-json", "qdisc", "show"]).stdout or "[]")
    except NotInstalled:
        yield Early("tc unread", "")
        return
    except ValueError:
        queues = []
    for queue in queues:
        if queue.get("kind") in ("clsact", "ingress"):
            device = queue.get("dev", "")
            done = runner.run(["tc", "-json", "filter", "show", "dev", device, "ingress"])
            if done.stdout.strip() not in ("", "[]", "[ ]"):
                yield Early("tc", device)


def _nft_ingress(runner: Runner) -> Iterator[Early]:
    try:
        listed = runner.run(["nft", "list", "chains"])
    except NotInstalled:
        return
    found: dict[str, None] = {}
    for line in chain_lines(listed.stdout) if listed.status == 0 else ():
        for several, one in _INGRESS.findall(line.text):
            names = (several or one).replace('"', " ").replace(",", " ").split()
            found |= dict.fromkeys(names)
    yield from (Early("nft ingress", name) for name in found)


def _ipvs(runner: Runner) -> Iterator[Early]:
    """Yield it where it has services: what stands below the three lines of its head."""
    if len((runner.read_file(_IPVS) or "").splitlines()) > 3:
        yield Early("IPVS", "")


# --- sockets -------------------------------------------------------------------------------------


def _listeners(runner: Runner) -> tuple[Listener, ...] | None:
    try:
        done = runner.run(_SOCKETS)
    except NotInstalled:
        return None
    if done.status != 0:
        return None
    containers: dict[str, str] = {}
    return tuple(
        listener
        for line in done.stdout.splitlines()
        for listener in _listener(runner, line.split(None, 6), containers)
    )


def _listener(runner: Runner, words: list[str], containers: dict[str, str]) -> Iterator[Listener]:
    """Yield the socket of one line of ``ss``; none that is of another form."""
    if len(words) < 6 or words[0] not in ("tcp", "udp"):
        return
    where, _, number = words[4].rpartition(":")
    where = where.strip("[]").partition("%")[0].rstrip("]")
    try:
        port = Port(words[0], int(number))
        address = None if where == "*" else ip_address(where)
    except ValueError:
        return
    families: tuple[Family, ...] = (4, 6)
    if address is not None:
        families = (family_of(address),)
        address = None if address.is_unspecified else address
    process = _PROCESS.search(words[6]) if len(words) > 6 else None
    if process is None:
        yield Listener(port, address, families)
        return
    program, pid = process.groups()
    if pid not in containers:
        containers[pid] = _container_of(runner, pid)
    yield Listener(port, address, families, program, containers[pid])


def _container_of(runner: Runner, pid: str) -> str:
    """Return the id of the container that a process is in, by its cgroup; else nothing."""
    try:
        found = _CONTAINER.findall(runner.read_file(f"/proc/{pid}/cgroup") or "")
    except Failed:  # it has ended, or hides
        return ""
    return str(found[-1]) if found else ""
