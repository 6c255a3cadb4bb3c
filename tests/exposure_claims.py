"""What a log line claims of one container, read back from its sentence.

Pure. Takes the sentence of ``report/exposure_text.py``; gives who may reach which port by it, in
words of the policy. Shares no code with it: a reader has no more than the text.
"""

from __future__ import annotations

from dataclasses import dataclass
from re import compile as compile_regex

from dockerfw.model.net import Address

_CLAUSE = compile_regex(
    r"(?P<ports>.+) open to (?P<who>.+?)(?: until [-0-9]+ [:0-9]+ UTC)?"
    r"(?: at (?P<at>.+?))?(?: but not (?P<but>.+))?"
)
_CLOSED = compile_regex(r"closed(?:: (?P<list>.+)| \((?P<all>.+)\))?")


@dataclass(frozen=True, slots=True)
class Who:
    """Everybody whom ``words`` name and ``excepting`` do not."""

    words: tuple[str, ...]
    excepting: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Clause:
    ports: tuple[str, ...]
    at: tuple[str, ...]
    who: Who


class Claims:
    """The clauses of a sentence."""

    def __init__(self, sentence: str) -> None:
        assert " more" not in sentence, "what is not listed cannot be read"
        self.sentence = sentence
        self.clauses: list[_Clause] = []
        self.closed: tuple[str, ...] = ()
        for text in sentence.split("; "):
            self._read(text)

    def _read(self, text: str) -> None:
        if closed := _CLOSED.fullmatch(text):
            self.closed = _words(closed["list"] or closed["all"])
        elif clause := _CLAUSE.fullmatch(text):
            who = Who(_words(clause["who"]), _words(clause["but"]))
            self.clauses.append(_Clause(_ports(clause["ports"]), _words(clause["at"]), who))
        else:
            assert text in (
                "other ports are not guarded",
                "not guarded, as no rule names its ports",
                "what rules name is closed",
            ), text

    def at_address(self, address: Address, protocol: str, port: int) -> list[Who]:
        """Who may reach a port at one of the container's own addresses."""
        return [
            clause.who
            for clause in self.clauses
            if not clause.at or str(address) in clause.at
            if any(_holds(text, protocol, port) for text in clause.ports)
        ]

    def at_host(self, address: Address, protocol: str, port: int, container_port: int) -> list[Who]:
        """Who may use a host port at this address of the host.

        What is said of the port at this address counts before what is said of it at any, and that
        before what is said of the port of the container.
        """
        for host in (f"{_bracketed(address)}:", ""):
            if f"{container_port}/{protocol} published as {host}{port}" in self.closed:
                return []
            named = [c.who for c in self.clauses if _names_host_port(c, host, protocol, port)]
            if named:
                return named
        return [
            clause.who
            for clause in self.clauses
            if not clause.at
            if any(_holds(text, protocol, container_port) for text in clause.ports)
        ]

    def at_own_host_port(self, address: Address, protocol: str, port: int) -> list[Who]:
        """Who may reach a port of a container on the host's network."""
        here = f"{_bracketed(address)}:"
        if any(_holds(text.removeprefix(here), protocol, port) for text in self.closed):
            return []
        apart = [
            clause.who
            for clause in self.clauses
            for text in clause.ports
            if text.startswith(here) and _holds(text.removeprefix(here), protocol, port)
        ]
        return apart or [
            clause.who
            for clause in self.clauses
            if any(_holds(text, protocol, port) for text in clause.ports)
        ]


def can_be_read(sentence: str) -> bool:
    """Whether it lists all that it is about."""
    return " more" not in sentence


def _words(text: str | None) -> tuple[str, ...]:
    return tuple(text.split(", ")) if text else ()


def _ports(text: str) -> tuple[str, ...]:
    return (text,) if text.startswith("all ports except ") else _words(text)


def _names_host_port(clause: _Clause, host: str, protocol: str, port: int) -> bool:
    for text in clause.ports:
        for prefix in (f"host port {host}", f"host ports {host}"):
            if text.startswith(prefix) and _holds(text.removeprefix(prefix), protocol, port):
                return True
    return False


def _holds(text: str, protocol: str, port: int) -> bool:
    if text == "all ports":
        return True
    if text.startswith("all ports except "):
        excepted = text.removeprefix("all ports except ").split(", ")
        return not any(_holds(one, protocol, port) for one in excepted)
    if text == "ping":
        return protocol == "icmp" and port == 0
    ports, slash, of = text.partition("/")
    first, _, last = ports.partition("-")
    if not slash or not first.isdigit() or of != protocol:
        return False
    return int(first) <= port <= int(last or first)


def _bracketed(address: Address) -> str:
    return f"[{address}]" if address.version == 6 else str(address)
