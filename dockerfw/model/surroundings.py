"""What stands around the rules of a host: interfaces, sockets that listen, and what sees packets
before any rule does.

Pure values: ``kernel/surroundings.py`` reads them, ``report/audit/`` goes by them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from dockerfw.model.net import Address, Family, Port

EarlyKind: TypeAlias = Literal["XDP", "tc", "nft ingress", "IPVS", "tc unread"]
"""``tc unread``: the tool ``tc`` is missing, so nobody knows of its filters."""


@dataclass(frozen=True, slots=True)
class Early:
    """Something that takes packets of an interface before any rule of netfilter, or past them.

    ``interface`` is empty for ``tc unread`` and ``IPVS``.
    """

    kind: EarlyKind
    interface: str


@dataclass(frozen=True, slots=True)
class Listener:
    """A socket of this host's own network that listens; ``address`` None: at every address.

    ``families`` are those in which it is reached. ``program`` is the name of its process and
    ``container`` the id of the container that this is in; empty where nobody knows.
    """

    port: Port
    address: Address | None
    families: tuple[Family, ...]
    program: str = ""
    container: str = ""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """``interfaces`` are all that are up and in no bridge, but for ``lo``.

    ``forwarding`` are the families in which this host forwards packets; ``listeners`` None: the
    sockets could not be read.
    """

    interfaces: tuple[str, ...] = ()
    forwarding: tuple[Family, ...] = (4, 6)
    early: tuple[Early, ...] = ()
    listeners: tuple[Listener, ...] | None = ()
