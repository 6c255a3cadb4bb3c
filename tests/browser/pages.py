"""Audits to be looked at: of five containers, and of as many as one likes."""

from __future__ import annotations

from collections.abc import Iterator

from dockerfw.model.net import FAMILIES
from dockerfw.report.audit import Audit, Row, page
from dockerfw.report.open_ports import Ports, Range

_WEB, _SQL = Range("tcp", 80, 80), Range("tcp", 5432, 5432)
_OTHERS = Ports((), others=True)
_REFUSED = "refused by the policy (drop) of filter FORWARD of iptables-nft"
_NOTES = (
    "ufw closes ports of this host, but not what Docker publishes",
    "unknown: what a bpf program on eth0 does with packets, before any rule",
)


def shop(containers: int, *more: Row) -> Audit:
    """Every kind of row, by turns; a way in that is open comes first."""
    rows = [row for number in range(containers) for row in _of(number)]
    order = ("anyone", "unknown", "some", "neighbours", "nobody")
    rows.sort(key=lambda row: order.index(row.reach))
    own = (("22/tcp", "sshd"), ("123/udp", "chronyd"))
    return Audit("enforcing", (*more, *rows), ("worker",), own, _NOTES)


def shown(audit: Audit, host: str = "shop.example.org") -> str:
    """The page of it, at some time."""
    return page(audit, host, "2027-01-31 00:00 UTC")


def _of(number: int) -> Iterator[Row]:
    at = f"172.18.{(number + 2) // 250}.{(number + 2) % 250 + 2}"
    host_port = Range("tcp", 10000 + number, 10000 + number)
    name = ("shop-web", "shop-db", "metrics-prometheus", "mail-relay", "camera")[number % 5]
    who = (f"{name}-{number + 1}",)
    web = Ports((_WEB,))
    match number % 5:
        case 0:
            rule = f"-d {at}/32 ! -i br-3f2c91aa07de -o br-3f2c91aa07de -p tcp -m tcp --dport 80"
            why = f"let in by `{rule} -j ACCEPT` in filter DOCKER of iptables-nft"
            yield Row(who, "published", FAMILIES, web, host_port, "", "anyone", "anyone", why)
            yield Row(who, "direct", (4,), _OTHERS, None, at, "nobody", "nobody", _REFUSED)
        case 1:
            office = "office (198.51.100.0/24, 2001:db8:10::/48) until 2027-02-01 00:00 UTC"
            line = "allowed by /etc/dockerfw/config.toml:17"
            sql = Ports((_SQL,))
            yield Row(who, "published", FAMILIES, sql, host_port, "", "some", office, line)
            yield Row(who, "direct", (6,), sql, None, "fd00:6::2", "some", office, line)
        case 2:
            rule = "-m mark ! --mark 0x7 -j DROP"
            why = f"whether `{rule}` in filter DOCKER-USER of iptables-nft holds"
            yield Row(who, "published", (4,), web, host_port, "", "unknown", "perhaps anyone", why)
        case 3:
            why = "denied: nothing allows it"
            own = "192.0.2.1"
            yield Row(who, "docker-proxy", (4,), web, host_port, own, "nobody", "nobody", why)
            why = "no rule refuses it"
            yield Row(who, "direct", (4,), _OTHERS, None, at, "neighbours", "neighbours", why)
        case _:
            why = "no rule of this host sees its packets"
            yield Row(who, "macvlan", (4,), _OTHERS, None, "192.0.2.130", "anyone", "anyone", why)
