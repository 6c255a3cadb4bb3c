"""The interfaces of this network namespace, as ``ip`` reports them. Only reads."""

from __future__ import annotations

import json
from typing import Any

from dockerfw.errors import Failed
from dockerfw.kernel.runner import Runner, require


def read_links(runner: Runner, what: str = "address") -> list[dict[str, Any]]:
    """Return what ``ip -details WHAT show`` has of each interface. Raises `Failed`."""
    text = require(runner, ["ip", "-json", "-details", what, "show"])
    try:
        links: list[dict[str, Any]] = json.loads(text or "[]")
    except ValueError:
        raise Failed("ip -json printed no JSON: update iproute2") from None
    # iproute2 leaves empty objects where a filter matched nothing.
    return [link for link in links if "ifname" in link]
