"""An audit as lines for a terminal and as JSON. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import ip_address

from dockerfw.report.audit.row import REACHES, Audit, InForce, Reach, Row
from dockerfw.report.open_ports import Range
from dockerfw.report.port_documents import host_ports_document, ports_document
from dockerfw.text import bracketed, counted, listed, paragraph, printable

_TITLES: Mapping[Reach, str] = {
    "anyone": "OPEN to anyone",
    "unknown": "UNKNOWN: may be open",
    "some": "open to some",
    "neighbours": "open to neighbours: who can send packets to a private address of this host",
    "nobody": "closed",
}
_HEADS: Mapping[InForce, str] = {
    "no": "NOT PROTECTED by dockerfw:",
    "observing": "OBSERVING: dockerfw drops nothing;",
    "enforcing": "dockerfw enforces its policy:",
    "not in sync": "NOT IN SYNC: the kernel is not as the policy in force wants it;",
}
_MOST_OWN = 6
_WIDEST = 24
_DEEPER = " " * 6


def headline(audit: Audit) -> str:
    """Return one sentence that says how bad it is."""
    opened = counted(audit.count("anyone"), "way in", "ways in")
    text = f"{opened} open to anyone"
    unknown = audit.count("unknown")
    if unknown:
        text += f", {unknown:,} not known"
    return f"{_HEADS[audit.in_force]} {text}"


def lines(audit: Audit, width: int = 80) -> list[str]:
    """Return all of it for people, the headline first."""
    found = paragraph(headline(audit), width=width, rest="  ")
    for reach in REACHES:
        rows = [row for row in audit.rows if row.reach == reach]
        if rows:
            found += ["", *paragraph(_TITLES[reach], width=width, rest="  ")]
            found += _section(rows, width)
    found.append("")
    for note in remarks(audit):
        found += paragraph(printable(note), width=width, rest="  ")
    return found


def _section(rows: list[Row], width: int) -> Iterator[str]:
    """Yield a line a way in, and below it why; where the next one has the same reason, once."""
    cells = [(printable(names(row)), ports_text(row)) for row in rows]
    sizes = [min(max(map(len, column)), _WIDEST) for column in zip(*cells, strict=True)]
    for at, row in enumerate(rows):
        own = "  ".join(cell.ljust(size) for cell, size in zip(cells[at], sizes, strict=True))
        first = f"  {own}  "
        if len(first) + len(where(row)) > width:
            yield from paragraph(own.rstrip(), width=width, first="  ", rest=_DEEPER)
            first = _DEEPER
        yield from paragraph(where(row), width=width, first=first, rest=_DEEPER)
        following = rows[at + 1] if at + 1 < len(rows) else None
        if following is None or _why(following) != _why(row):
            yield from paragraph(printable(_why(row)), width=width, first=_DEEPER, rest=_DEEPER)


def _why(row: Row) -> str:
    return "; ".join(part for part in (_extra(row), row.reason) if part)


def _extra(row: Row) -> str:
    """Return whom it is about, where the title does not say so, and what enforcing makes of it."""
    parts = []
    if row.who not in ("anyone", "neighbours", "nobody"):
        parts.append(row.who)
    if row.enforced:
        parts.append(f"enforced it is {row.enforced}")
    return ", ".join(parts)


def names(row: Row) -> str:
    return listed(row.containers, 3)


def ports_text(row: Row) -> str:
    """Return the container's ports: ``80/tcp``, ``all ports``, ``all other ports``."""
    ports = row.ports
    if not ports.others:
        return listed([str(one) for one in ports.ranges])
    whole = [one.protocol for one in ports.ranges if (one.first, one.last) == (0, 65535)]
    if whole:
        return f"all other {whole[0]} ports"
    return "all other ports" if ports.ranges else "all ports"


def where(row: Row) -> str:
    """Return the path with the address and port that packets are sent to, and the families."""
    at = bracketed(ip_address(row.at)) if row.at and row.host_ports else row.at
    number = ""
    if row.host_ports is not None:
        number = _numbers(row.host_ports)
    target = f"{at}:{number}" if at and number else at or number
    families = ", ".join(f"IPv{family}" for family in row.families)
    words = {
        "published": "published as",
        "loopback": "published as",
        "docker-proxy": "docker-proxy at",
        "forwarded": "NAT of others at",
        "host network": "host network" + (" at" if target else ""),
        "direct": "direct to",
        "routed": "routed to",
        "bridged": "over its bridge to",
    }.get(row.path, f"{row.path} to")
    return f"{words} {target}".rstrip() + f"  {families}"


def _numbers(ports: Range) -> str:
    return str(ports.first) if ports.first == ports.last else f"{ports.first}-{ports.last}"


def remarks(audit: Audit) -> Iterator[str]:
    """Yield what is to be said besides the ways in, a sentence each."""
    for note in audit.notes:
        yield note if note.startswith("unknown") else f"note: {note}"
    if audit.no_way_in:
        yield f"no way in from outside: {listed(audit.no_way_in, 10)}"
    if audit.own_ports is None:
        yield "unknown: ports of this host itself, since ss (iproute2) is not installed"
    elif audit.own_ports:
        own = [f"{port} {program}".rstrip() for port, program in audit.own_ports]
        yield (
            f"{counted(len(own), 'port')} of this host itself "
            f"{'is' if len(own) == 1 else 'are'} not dockerfw's business: {listed(own, _MOST_OWN)}"
        )
    yield "containers among each other are not listed: dockerfw explain CONTAINER CONTAINER:PORT"
    if audit.in_force == "no" and audit.may_be_open:
        yield (
            "next: dockerfw init -o /etc/dockerfw/config.toml writes a policy; dockerfw plan shows "
            "what it would close"
        )


def document(audit: Audit) -> dict[str, object]:
    """Return all of it as JSON; its shape is in ``docs/commands.md``."""
    return {
        "in_force": audit.in_force,
        "open_to_anyone": audit.count("anyone"),
        "unknown": audit.count("unknown"),
        "ways": [_way(row) for row in audit.rows],
        "no_way_in": list(audit.no_way_in),
        "own_ports": None
        if audit.own_ports is None
        else [{"port": port, "program": program} for port, program in audit.own_ports],
        "notes": list(audit.notes),
    }


def _way(row: Row) -> dict[str, object]:
    at = ip_address(row.at) if row.at and row.host_ports else None
    return {
        "container": row.containers[0],
        "sharing": list(row.containers[1:]),
        "path": row.path,
        "families": list(row.families),
        "port": ports_text(row),
        "ports": ports_document(row.ports),
        "host_ports": host_ports_document([row.host_ports] if row.host_ports else [], at),
        "at": row.at or None,
        "reach": row.reach,
        "who": row.who,
        "reason": row.reason,
        "enforced": row.enforced or None,
    }
