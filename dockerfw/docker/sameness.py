"""Are Docker's lists what they were? A digest of them, without what says nothing about packets.

Pure. Takes the entries of ``/containers/json`` and ``/networks`` as they came; gives bytes that
are equal where the lists mean the same. To take a thousand containers apart costs some times that.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from typing import Any


def digest(containers: Iterable[Any], networks: Iterable[Any]) -> bytes:
    """Return what is another value where the lists are. Their order, and that of a container's
    ports, varies from call to call and counts for nothing; nor does for how long one is up.
    """
    written = (sorted(map(_container, containers)), sorted(map(repr, networks)))
    # JSON can hold half of a surrogate pair.
    return blake2b(repr(written).encode(errors="surrogatepass")).digest()


def _container(entry: Any) -> str:
    if not isinstance(entry, dict):
        return repr(entry)
    ports = entry.get("Ports")
    ordered = sorted(map(repr, ports)) if isinstance(ports, list) else ports
    return repr({**entry, "Status": None, "Ports": ordered})
