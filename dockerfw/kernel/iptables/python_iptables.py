"""Writes rules with the python-iptables package, in a process of its own (iptables-legacy only).

Run as a program: ``python_iptables.py 4`` (or ``6``), with the text on standard input that
``iptables-restore --noflush`` would get. Imports nothing of dockerfw, so that it runs by its path
under any interpreter that has ``iptc``. One transaction a table, under the lock of iptables.

Why a process: some releases of the package crash the interpreter, and the C library below it ends
the process when it dislikes an option. Then nothing of that table was written, and the parent
sees the exit status. Nothing is read back for the same reason: rules go to the kernel without the
package's own check of them, which prints each rule to a pipe and parses it again.

Understands what ``kernel/iptables/render.py`` writes and refuses all else by its line:
``-i -d -s -p -m -j -g``; matches set, conntrack, addrtype, mark, physdev, limit, comment,
tcp, udp, sctp, icmp and icmp6; targets RETURN, DROP, REJECT, MARK, SET, LOG and our chains;
``:CHAIN``, ``-A``, ``-I … 1``, ``-D``.
"""

from __future__ import annotations

import fcntl
import importlib
import importlib.util
import shlex
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LOCK = Path("/run/xtables.lock")
LOCK_SECONDS = 30

_MATCH_OPTIONS = {
    "match-set": 2,
    "update-counters": 0,
    "physdev-out": 1,
    "physdev-is-bridged": 0,
    "ctdir": 1,
    "ctstate": 1,
    "label": 1,
    "src-type": 1,
    "dst-type": 1,
    "mark": 1,
    "comment": 1,
    "dport": 1,
    "sport": 1,
    "tcp-flags": 2,
    "icmp-type": 1,
    "icmpv6-type": 1,
    "invert": 0,
    "limit": 1,
    "limit-burst": 1,
}
_TARGET_OPTIONS = {"set-xmark": 1, "reject-with": 1, "add-set": 2, "exist": 0, "log-prefix": 1}
_PROTOCOLS = {"tcp": 6, "udp": 17, "icmp": 1, "ipv6-icmp": 58, "sctp": 132}


class RefusedError(Exception):
    """A line that this program does not understand, or that the kernel would not take."""


@dataclass(slots=True)
class Module:
    """A match or a target by its name, and its options: (name, values)."""

    name: str
    options: list[tuple[str, list[str]]] = field(default_factory=list)


@dataclass(slots=True)
class Parsed:
    """One rule in words."""

    interface: str = ""
    source: str = ""
    destination: str = ""
    protocol: str = ""
    matches: list[Module] = field(default_factory=list)
    target: Module | None = None
    goto: bool = False


def parse_rule(words: list[str]) -> Parsed:
    """The rule that stands after ``-A CHAIN``; ``!`` before an option negates its value."""
    rule = Parsed()
    rest = iter(words)
    for word in rest:
        negation = "!" if word == "!" else ""
        option = next(rest, "") if negation else word
        _take(rule, option, negation, rest)
    return rule


def _take(rule: Parsed, option: str, negation: str, rest: Iterator[str]) -> None:
    name = option.removeprefix("--")
    if option in ("-m", "-j", "-g"):
        module = Module(next(rest, ""))
        if option == "-m":
            rule.matches.append(module)
        else:
            rule.target, rule.goto = module, option == "-g"
    elif option == "-i":
        rule.interface = negation + next(rest, "")
    elif option == "-d":
        rule.destination = negation + next(rest, "")
    elif option == "-s":
        rule.source = negation + next(rest, "")
    elif option == "-p":
        rule.protocol = negation + next(rest, "")
    elif rule.target is not None and name in _TARGET_OPTIONS:
        rule.target.options.append((name, _values(negation, _TARGET_OPTIONS[name], rest)))
    elif rule.matches and name in _MATCH_OPTIONS:
        rule.matches[-1].options.append((name, _values(negation, _MATCH_OPTIONS[name], rest)))
    else:
        raise RefusedError(f"{option} is not understood")


def _values(negation: str, count: int, rest: Iterator[str]) -> list[str]:
    values = [next(rest, "") for _ in range(count)]
    return ["!", *values] if negation else values


def build(iptc: Any, family: int, rule: Parsed) -> Any:
    """The same rule as an object of the package."""
    made = iptc.Rule() if family == 4 else iptc.Rule6()
    if rule.protocol:
        number = _PROTOCOLS.get(rule.protocol.removeprefix("!"))
        if number is None:
            raise RefusedError(f"protocol {rule.protocol} is not understood")
        made.protocol = f"{'!' if rule.protocol.startswith('!') else ''}{number}"
    if rule.interface:
        made.in_interface = rule.interface
    if rule.destination:
        made.dst = rule.destination
    if rule.source:
        made.src = rule.source
    for match in rule.matches:
        part = made.create_match(match.name)
        for name, values in match.options:
            part.set_parameter(name, values)
    target = rule.target or Module("")
    part = made.create_target(target.name, goto=rule.goto)
    for name, values in target.options:
        part.set_parameter(name, values)
    return made


class Writer:
    """One table, changed in memory and committed at once."""

    def __init__(self, iptc: Any, family: int, name: str) -> None:
        self._iptc = iptc
        self._family = family
        kind = iptc.Table if family == 4 else iptc.Table6
        # To tell a chain from a target the package asks every table that it believes in, and
        # asking creates the table: let it believe in this one only.
        kind.existing_table_names.update({other: other == name for other in kind.ALL})
        self._table = kind(name, autocommit=False)

    def carry_out(self, line: str) -> None:
        if line.startswith(":"):
            self._empty_chain(line[1:].split(" ", 1)[0])
            return
        verb, chain, *words = shlex.split(line)
        if verb == "-I" and words[:1] == ["1"]:
            self._insert(chain, words[1:])
        elif verb == "-A":
            self._table.append_entry(chain, self._raw(words).rule)
        elif verb == "-D":
            rule = self._raw(words)
            self._table.delete_entry(chain, rule.rule, rule.mask)
        else:
            raise RefusedError(f"{verb} is not understood")

    def commit(self) -> None:
        self._table.commit()

    def _empty_chain(self, name: str) -> None:
        if self._table.is_chain(name):
            self._table.flush_entries(name)
        else:
            self._table.create_chain(name)

    def _insert(self, chain: str, words: list[str]) -> None:
        self._table.insert_entry(chain, self._raw(words).rule, 0)

    def _raw(self, words: list[str]) -> Any:
        return build(self._iptc, self._family, parse_rule(words))


def write(iptc: Any, family: int, text: str) -> None:
    """Carry out a whole document; raises `RefusedError` with the number of the bad line."""
    open_tables: list[Writer] = []
    for number, line in enumerate(text.splitlines(), start=1):
        with _naming_line(number):
            if line.startswith("*"):
                open_tables = [Writer(iptc, family, line[1:])]
            elif line == "COMMIT":
                open_tables.pop().commit()
            else:
                open_tables[-1].carry_out(line)


@contextmanager
def _naming_line(number: int) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        # The package raises a dozen types, a bare AttributeError among them.
        raise RefusedError(f"line {number}: {error}") from error


@contextmanager
def lock(path: Path = LOCK, seconds: float = LOCK_SECONDS) -> Iterator[None]:
    """Hold the lock that iptables-legacy takes; the package itself takes none."""
    deadline = time.monotonic() + seconds
    with path.open("w") as held:
        while True:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise RefusedError("Another app is holding the xtables lock") from None
                time.sleep(0.02)
        yield


def main() -> int:
    """Exit status 0: written; 1: refused, with the reason on stderr; 3: no python-iptables."""
    if importlib.util.find_spec("iptc") is None:
        return 3
    try:
        iptc = importlib.import_module("iptc")
        with lock():
            write(iptc, int(sys.argv[1]), sys.stdin.read())
    except Exception as error:  # noqa: BLE001 - the package fails in many ways, at import too
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
