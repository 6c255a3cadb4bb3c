"""What the target and the path of a way in are called in a probe. Pure."""

from __future__ import annotations

from dockerfw.report.audit.way import Way
from dockerfw.report.open_ports import Range
from dockerfw.text import bracketed, port_text, printable, short_port


def target_words(way: Way) -> str:
    """Return the container with its port: ``web:80``, ``web other tcp``."""
    name = printable(way.container.name)
    if way.ports.others or not way.ports.ranges:
        whole = [one.protocol for one in way.ports.ranges if not one.first and one.protocol]
        return f"{name}, other {whole[0]}" if whole else f"{name}, all ports"
    return f"{name}:{_port(way.ports.ranges[0])}"


def way_words(way: Way) -> str:
    """Return the path with the address and port that packets are sent to."""
    number = "" if way.host_ports is None else _port(way.host_ports)
    at = "" if way.at is None else str(way.at)
    if at and number and way.at is not None:
        return f"{way.path} {bracketed(way.at)}:{number}"
    return f"{way.path} {number or at}".rstrip()


def _port(ports: Range) -> str:
    if ports.protocol is None or ports.several:
        return port_text(ports.protocol, ports.first, ports.last)
    return short_port(ports.first, ports.protocol)
