"""Which engine answers, and whether this host's kernel filters its packets.

Pure but for this host's kernel release: takes the answers of ``/version`` and ``/info``. An engine
of another kind (Podman, rootless, Windows containers, in a virtual machine) is refused with one
sentence, since rules on this host would not meet its packets, or not as they are meant.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Literal

from dockerfw.docker.json_values import Json, as_list, as_object, one_line
from dockerfw.errors import Failed
from dockerfw.model.host import Backend

_PODMAN_NEXT = (
    "dockerfw knows Docker's way of filtering only; stop Podman's socket or name Docker's"
)


class Refused(Failed):
    """An engine whose packets this host's kernel does not filter: asking again will not help."""


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What an engine reports of itself.

    ``firewall_backend`` is by the label in ``/info`` (engine 28.1 and later, else None); the kernel
    is to be believed where it differs: 28.5 can be made to report "nftables" while it writes
    iptables chains. ``swarm`` is this node's part in a swarm, None outside of one: only a manager
    is told which ports the routing mesh publishes.
    """

    version: str
    api_version: str
    firewall_backend: Backend | None = None
    live_restore: bool = False
    swarm: Literal["manager", "worker"] | None = None


def decode_engine(version: Json, info: Json) -> EngineInfo:
    """Return what ``/version`` and ``/info`` report. Raises `MalformedError`."""
    swarm = as_object(info.get("Swarm"))
    part: Literal["manager", "worker"] = "manager" if swarm.get("ControlAvailable") else "worker"
    outside = swarm.get("LocalNodeState") in (None, "", "inactive")
    return EngineInfo(
        version=one_line(version.get("Version") or info.get("ServerVersion") or "unknown"),
        api_version=one_line(version.get("ApiVersion") or "unknown"),
        firewall_backend=_backend(as_object(info.get("FirewallBackend")).get("Driver")),
        live_restore=info.get("LiveRestoreEnabled") is True,
        swarm=None if outside else part,
    )


def _backend(driver: object) -> Backend | None:
    """``nftables``, ``iptables+firewalld``: what does the writing comes first."""
    match str(driver).partition("+")[0]:
        case "iptables":
            return "iptables"
        case "nftables":
            return "nftables"
    return None


def refuse_other_engines(where: str, version: Json, info: Json, *, this_host: bool) -> None:
    """Raise `Refused` for an engine whose containers this host's kernel does not filter for us.

    ``where`` is its address, for the sentence. Without ``this_host`` another kernel is allowed.
    """
    components = [as_object(c).get("Name") for c in as_list(version.get("Components"))]
    if "BuildahVersion" in info or any("podman" in str(name).lower() for name in components):
        raise Refused(f"it is Podman that answers at {where}: {_PODMAN_NEXT} with -H")
    systems = {str(version.get("Os")).lower(), str(info.get("OSType")).lower()}
    if "windows" in systems:
        raise Refused(
            f"Docker at {where} runs Windows containers: dockerfw filters on Linux; switch"
            " Docker to Linux containers, or name another engine with -H"
        )
    options = [str(option).split(",") for option in as_list(info.get("SecurityOptions"))]
    if any("name=rootless" in option for option in options):
        raise Refused(
            f"Docker at {where} is rootless: its containers' packets do not pass this host's"
            " rules for forwarding, so dockerfw cannot filter them; use a rootful Docker, or"
            " filter the published ports in INPUT"
        )
    if this_host and (theirs := _other_kernel(info)):
        raise Refused(
            f"Docker at {where} runs on another kernel than this host ({theirs}, here"
            f" {os.uname().release}), in a virtual machine or on a remote host: run dockerfw there"
        )


def _other_kernel(info: Json) -> str | None:
    """The engine's kernel, if it is not the one that we run on: a virtual machine's (Docker
    Desktop), or one at the other end of a socket that ssh forwards.

    Docker writes a release of two numbers with three (6.8-rc1 as 6.8.0-rc1), so only the numbers
    are compared.
    """
    theirs = _numbers(str(info.get("KernelVersion")))
    ours = _numbers(os.uname().release)
    if theirs is None or ours is None or theirs == ours:
        return None
    return one_line(info.get("KernelVersion"))


def _numbers(release: str) -> tuple[int, ...] | None:
    found = re.match(r"(\d{1,9})\.(\d{1,9})(?:\.(\d{1,9}))?", release)
    return tuple(int(number or 0) for number in found.groups()) if found else None
