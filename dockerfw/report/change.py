"""One line of what a commit changes, as people and programs read it.

Pure. Takes text that is ready to print; ``report/wording.py`` finds it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from dockerfw.model.net import Address
from dockerfw.report.open_ports import Ports, Range
from dockerfw.report.port_documents import host_ports_document, ports_document
from dockerfw.rules.names import Place
from dockerfw.text import iso_moment, listed, moment

ChangeKind: TypeAlias = Literal[
    "open", "close", "deny", "lift", "end", "guard", "release", "unguard"
]

LISTED_IN_JSON = 100
"""So many sources of one change are listed, the rest is counted."""

_SIGNS: Mapping[ChangeKind, str] = {
    "open": "+", "lift": "+", "close": "-", "deny": "-", "end": "~", "guard": "-", "release": "+",
    "unguard": "+",
}  # fmt: skip
_VERBS: Mapping[ChangeKind, str] = {
    "open": "opens to",
    "close": "closes to",
    "deny": "denies",
    "lift": "no longer denies",
    "end": "stays open to",
    "guard": "closes to all that no rule allows",
    "release": "is no longer Docker's: no longer guarded",
    "unguard": "opens",
}
_WOULD: Mapping[ChangeKind, str] = {
    "open": "would open to",
    "close": "would close to",
    "deny": "would deny",
    "lift": "would no longer deny",
    "end": "would stay open to",
    "guard": "would close to all that no rule allows",
}
"""In mode observe, in which nothing is dropped."""


@dataclass(frozen=True, slots=True)
class Change:
    """What happens to one target.

    ``target`` is what it is called, with its ports; ``ports`` are these alone. ``sources`` are all
    to whom it opens or closes, ``excepting`` those within them for whom nothing changes. ``until``
    is when what opens ends by itself (Unix time). ``idle``: nobody is behind that port now.
    ``place``: are they ports of containers, or of this host, at ``address`` (none: at every one);
    ``containers`` are the names of those that are behind them, where they can be told.
    """

    kind: ChangeKind
    target: str
    ports: tuple[Range, ...] = ()
    sources: tuple[str, ...] = ()
    excepting: tuple[str, ...] = ()
    until: int | None = None
    idle: bool = False
    place: Place = "container"
    address: Address | None = None
    containers: tuple[str, ...] = ()

    @property
    def sign(self) -> str:
        """``+`` where more is let through than before, ``-`` where less is, ``~`` otherwise."""
        return "~" if self.idle else _SIGNS[self.kind]

    def sentence(self, first_apply: bool = False, *, observing: bool = False) -> str:
        """Return what happens to the target, which is not named; see `Diff` for a first apply.

        ``observing``: what would happen, for nothing is dropped.
        """
        verb = _WOULD.get(self.kind, _VERBS[self.kind]) if observing else _VERBS[self.kind]
        if first_apply and not self.idle:
            # All was open until now.
            would = "would close" if observing else "closes"
            verb = {
                "open": "would stay open to" if observing else "stays open to",
                "guard": would,
            }.get(self.kind, verb)
        but = f", but not to {listed(self.excepting)}" if self.excepting else ""
        sentence = f"{verb} {listed(self.sources)}".rstrip() + but
        if self.idle:
            sentence = f"nobody publishes it now; {sentence.replace('opens', 'would open', 1)}"
        if self.until is not None:
            return f"{sentence} until {moment(self.until)}"
        return f"{sentence} without an end" if self.kind == "end" else sentence

    def to_json(self) -> dict[str, object]:
        at_host = self.place == "host"
        return {
            "change": self.kind,
            "target": self.target,
            "place": self.place,
            "address": None if self.address is None else str(self.address),
            "containers": list(self.containers),
            "ports": [] if at_host else ports_document(Ports(self.ports)),
            "host_ports": host_ports_document(self.ports if at_host else (), self.address),
            "sources": list(self.sources[:LISTED_IN_JSON]),
            "sources_in_all": len(self.sources),
            "excepting": list(self.excepting[:LISTED_IN_JSON]),
            "excepting_in_all": len(self.excepting),
            "until": None if self.until is None else iso_moment(self.until),
            "idle": self.idle,
        }
