"""Are Docker's lists what they were? Digests of them, without what says nothing about packets.

Pure. Takes ``/containers/json`` as text or as entries, and the entries of ``/networks``; gives
bytes that are equal where they mean the same. To take a thousand containers apart, and to make
text of them again, costs ten times what their text does, and to decode them twenty times.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from hashlib import blake2b
from typing import Any

# For how long one is up, and how well it is. Within a text quotes are escaped.
_STATUS = re.compile(rb'"Status": ?"[^"\\]*"')


def of_text(containers: bytes) -> bytes:
    """Return what is another value where a list of containers is, and also where a container's
    ports are in another order: Docker lists several as they come.
    """
    return blake2b(_STATUS.sub(b"", containers)).digest()


def of_containers(entries: Iterable[Any]) -> bytes:
    """Return what is another value where a list of containers is; no order counts."""
    return _digest(map(_container, entries))


def of_networks(entries: Iterable[Any]) -> bytes:
    """Return what is another value where a list of networks is; no order counts."""
    return _digest(map(repr, entries))


def _container(entry: Any) -> str:
    if not isinstance(entry, dict):
        return repr(entry)
    ports = entry.get("Ports")
    ordered = sorted(map(repr, ports)) if isinstance(ports, list) else ports
    return repr({**entry, "Status": None, "Ports": ordered})


def _digest(written: Iterable[str]) -> bytes:
    # JSON can hold half of a surrogate pair.
    return blake2b(repr(sorted(written)).encode(errors="surrogatepass")).digest()
