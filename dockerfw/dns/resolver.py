"""Names of ``host:`` sources -> addresses, and when to ask again.

Takes names and what they stood for last, gives what they stand for now. Asks ``/etc/hosts``, then
DNS, then what else the system knows; raises nothing and waits for nobody longer than it says.
Never decides what an address may do: a name that fails keeps the addresses that it had.
"""

from __future__ import annotations

import queue
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from dockerfw.model.net import Address
from dockerfw.model.policy import MOST_ADDRESSES, HostAddresses, Origin
from dockerfw.text import listed
from dockerfw.wakeup import Wakeup

if TYPE_CHECKING:
    import dns.resolver

SHORTEST = 30.0
"""Seconds after which a name is asked for again, at the least; also one that has no TTL."""
LONGEST = 86_400.0
"""A day: no TTL counts for more."""
IN_ALL = 5.0
"""Seconds that `resolve` takes for all names together."""
_QUERY = 2.0
"""Seconds for one question to DNS; a name is two of them."""
_TRY = 0.7
"""Seconds for one server, then the next one is asked."""
_THREADS = 16


@dataclass(frozen=True, slots=True)
class Answer:
    """What a name stands for: addresses by family, None where that family had no answer.

    ``ignored`` are addresses that nobody can come from. ``ttl`` is in seconds. ``problem`` is why
    nothing is known, None where something is.
    """

    ipv4: tuple[Address, ...] | None = None
    ipv6: tuple[Address, ...] | None = None
    ignored: tuple[Address, ...] = ()
    ttl: float = SHORTEST
    problem: str | None = None

    def settled(self, before: tuple[Address, ...]) -> tuple[Address, ...]:
        """What counts now, at most `MOST_ADDRESSES`: what has no answer stays as it was."""
        if not self.ipv4 and not self.ipv6:
            return before
        by_family: tuple[tuple[int, tuple[Address, ...] | None], ...]
        by_family = ((4, self.ipv4), (6, self.ipv6))
        found: list[Address] = []
        for version, addresses in by_family:
            found += [a for a in before if a.version == version] if addresses is None else addresses
        return tuple(found[:MOST_ADDRESSES])

    def remarks(self) -> Iterator[str]:
        """What is left out of it."""
        known = len(self.ipv4 or ()) + len(self.ipv6 or ())
        if known > MOST_ADDRESSES:
            yield f"has {known} addresses: only the first {MOST_ADDRESSES} count"
        if self.ignored:
            yield (
                f"has {listed([str(a) for a in self.ignored])}, where nobody can come from: ignored"
            )


def answer(addresses: Iterable[Address], ttl: float = SHORTEST) -> Answer:
    """Of addresses that are all that there are."""
    return _sorted(set(addresses), frozenset(), ttl)


def _sorted(addresses: set[Address], silent: frozenset[int], ttl: float) -> Answer:
    """``silent``: the families that had no answer."""
    fit = {a for a in addresses if _can_send(a)}
    ignored = tuple(sorted(addresses - fit, key=_order))
    if not fit:
        named = listed([str(a) for a in ignored])
        problem = f"it has only {named}, where nobody can come from" if named else "no such name"
        return Answer(ignored=ignored, problem=problem)
    found = tuple(sorted(fit, key=_order))
    return Answer(
        ipv4=None if 4 in silent else tuple(a for a in found if a.version == 4),
        ipv6=None if 6 in silent else tuple(a for a in found if a.version == 6),
        ignored=ignored,
        ttl=min(max(ttl, SHORTEST), LONGEST),
    )


def _order(address: Address) -> tuple[int, int]:
    return address.version, int(address)


def _can_send(address: Address) -> bool:
    """Whether a packet from the outside can have it as its source.

    The rest of ``0.0.0.0/8`` and of ``240.0.0.0/4``, multicast and loopback cannot; IPv4 in IPv6
    is no address on the wire; link-local ones say nothing without their interface.
    """
    odd = address.is_unspecified or address.is_loopback or address.is_multicast
    if odd or address.is_link_local or address.is_reserved:
        return False
    return isinstance(address, IPv6Address) or int(address) >> 24 != 0


# --- asking --------------------------------------------------------------------------------------


def _system_resolver() -> dns.resolver.Resolver:
    """As ``/etc/resolv.conf`` has it at this moment."""
    import dns.resolver  # noqa: PLC0415 - costs a tenth of a second that few commands need

    return dns.resolver.Resolver()


@dataclass(frozen=True, slots=True)
class System:
    """Where this host looks names up."""

    hosts: Path = Path("/etc/hosts")
    resolver: Callable[[], dns.resolver.Resolver] = _system_resolver

    def look_up(self, name: str) -> Answer:
        """Never raises; takes some four seconds at the most, but where only the system knows."""
        try:
            if here := in_hosts(self.hosts, name):
                return answer(here)
            return self._by_dns(name) or _by_system(name)
        except Exception as error:  # noqa: BLE001 - a name that breaks a library has failed
            return Answer(problem=f"{type(error).__name__}: {error}")

    def _by_dns(self, name: str) -> Answer | None:
        """None: DNS has no such name, or there is no DNS."""
        import dns.exception  # noqa: PLC0415 - see above

        try:
            resolver = self.resolver()
        except (dns.exception.DNSException, OSError):
            return None
        resolver.timeout = _TRY
        questions: tuple[tuple[int, Literal["A", "AAAA"]], ...] = ((4, "A"), (6, "AAAA"))
        told = {version: _ask(resolver, name, kind) for version, kind in questions}
        known = [reply for reply in told.values() if not isinstance(reply, str)]
        found = {address for addresses, _ in known for address in addresses}
        silent = {version: why for version, why in told.items() if isinstance(why, str)}
        if found:
            return _sorted(found, frozenset(silent), min(ttl for _, ttl in known))
        return Answer(problem=next(iter(silent.values()))) if silent else None


def _ask(
    resolver: dns.resolver.Resolver, name: str, kind: Literal["A", "AAAA"]
) -> tuple[set[Address], float] | str:
    """Addresses at the end of the chain of aliases, and the shortest TTL on the way there.

    Or why there is no answer.
    """
    import dns.exception  # noqa: PLC0415 - see above
    import dns.resolver  # noqa: PLC0415 - see above

    try:
        found = resolver.resolve(
            f"{name}.", kind, lifetime=_QUERY, search=False, raise_on_no_answer=False
        )
    except dns.resolver.NXDOMAIN:
        return set(), LONGEST
    except dns.exception.Timeout:
        return "DNS does not answer in time"
    except (dns.exception.DNSException, OSError):
        return "DNS gives no usable answer"
    ttl = float(found.chaining_result.minimum_ttl)
    return {ip_address(record.address) for record in found.rrset or ()}, ttl


def _by_system(name: str) -> Answer:
    """Whatever else ``/etc/nsswitch.conf`` names. The dot keeps search domains out of it."""
    try:
        found = socket.getaddrinfo(f"{name}.", None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return Answer(problem="no such name")
    texts = {str(entry[4][0]).partition("%")[0] for entry in found}
    return answer(ip_address(text) for text in texts)


def in_hosts(path: Path, name: str) -> set[Address]:
    """All addresses of the lines of ``/etc/hosts`` that name it.

    ``getaddrinfo`` finds these only by a name without a dot at its end, and would then look in
    search domains as well, where a wildcard may answer for any name.
    """
    try:
        lines = path.read_text("utf-8", "replace").splitlines()
    except OSError:
        return set()
    found: set[Address] = set()
    for line in lines:
        address, *names = line.partition("#")[0].split() or [""]
        if name in (n.rstrip(".").lower() for n in names):
            try:
                found.add(ip_address(address))
            except ValueError:
                continue
    return found


# --- once, for plan and apply --------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Resolved:
    """``names``: what counts. ``remarks``: what people should know of a name."""

    names: HostAddresses = field(default_factory=dict)
    remarks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def warnings(self, origins: Mapping[str, Origin | None]) -> tuple[str, ...]:
        """The remarks, with the line of the rule that has the name."""
        return tuple(
            f"{f'{origin}: ' if (origin := origins.get(name)) else ''}host:{name} {remark}"
            for name, remarks in self.remarks.items()
            for remark in remarks
        )


def resolve(
    names: Iterable[str],
    last_good: HostAddresses,
    seconds: float = IN_ALL,
    system: System | None = None,
) -> Resolved:
    """All names at once; one that does not answer within ``seconds`` has failed."""
    wanted = sorted(set(names))
    answers = _in_parallel(wanted, seconds, system or System())
    settled: dict[str, tuple[Address, ...]] = {}
    remarks: dict[str, tuple[str, ...]] = {}
    for name in wanted:
        found = answers.get(name) or Answer(problem="it does not answer in time")
        settled[name] = found.settled(last_good.get(name, ()))
        remarks[name] = tuple(_remarks(found, settled[name]))
    return Resolved(settled, remarks)


def _remarks(found: Answer, counts: tuple[Address, ...]) -> Iterator[str]:
    if found.problem is None:
        yield from found.remarks()
    elif counts:
        yield (
            f"cannot be looked up ({found.problem}): what it stood for last still counts, "
            f"{listed([str(a) for a in counts])}"
        )
    else:
        yield f"has no address ({found.problem}), so it opens nothing until it has one"


def _in_parallel(names: list[str], seconds: float, system: System) -> dict[str, Answer]:
    todo: queue.SimpleQueue[str] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[str, Answer]] = queue.SimpleQueue()
    for name in names:
        todo.put(name)

    def work() -> None:
        while not todo.empty():
            try:
                name = todo.get_nowait()
            except queue.Empty:
                return
            done.put((name, system.look_up(name)))

    for _ in names[:_THREADS]:
        # Nobody waits for a thread that hangs, not even at the end of the process.
        threading.Thread(target=work, name="dockerfw-resolve", daemon=True).start()
    answers: dict[str, Answer] = {}
    deadline = time.monotonic() + seconds
    while len(answers) < len(names):
        try:
            name, found = done.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            break
        answers[name] = found
    return answers


# --- again and again, for the daemon -------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Moved:
    """``names``: what all names stand for now. ``said``: a line for the log each."""

    names: HostAddresses
    said: tuple[str, ...]


class Resolver:
    """Follows names in a thread of its own. Watch `fileno`, and `take` when it is readable."""

    def __init__(
        self, system: System | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._system = system or System()
        self._clock = clock
        self._changed = threading.Condition()
        # All below are the lock's.
        self._names: dict[str, tuple[Address, ...]] = {}
        self._due: dict[str, float] = {}
        self._remarks: dict[str, tuple[str, ...]] = {}
        self._said: list[str] = []
        self._moved = False
        self._stopped = False
        self._wakeup = Wakeup()
        self._thread = threading.Thread(target=self._work, name="dockerfw-resolver", daemon=True)
        self._thread.start()

    def fileno(self) -> int:
        return self._wakeup.fileno()

    def follow(self, names: Iterable[str], last_good: HostAddresses) -> None:
        """These names from now on, and no others; all are asked for at once.

        ``last_good`` is what they stand for until there is an answer.
        """
        now = self._clock()
        with self._changed:
            self._names = {name: tuple(last_good.get(name, ())) for name in names}
            self._due = dict.fromkeys(self._names, now)
            self._remarks = {n: r for n, r in self._remarks.items() if n in self._names}
            self._said, self._moved = [], False
            self._changed.notify()

    def take(self) -> Moved | None:
        """What has changed since the last time; None: nothing has."""
        self._wakeup.clear()
        with self._changed:
            if not self._said and not self._moved:
                return None
            moved = Moved(dict(self._names), tuple(self._said))
            self._said, self._moved = [], False
        return moved

    def stop(self) -> None:
        """At once: a question that is under way ends by itself, and nobody hears of it."""
        with self._changed:
            self._stopped = True
            self._changed.notify()
            self._wakeup.close()

    def _work(self) -> None:
        while (name := self._next()) is not None:
            found = self._system.look_up(name)
            with self._changed:
                if not self._stopped and name in self._names:
                    self._note(name, found)

    def _next(self) -> str | None:
        """The next name that is due, when it is; None: the end."""
        with self._changed:
            while not self._stopped:
                name = min(self._due, key=lambda n: self._due[n], default=None)
                wait = None if name is None else self._due[name] - self._clock()
                if name is not None and wait is not None and wait <= 0:
                    return name
                self._changed.wait(wait)
        return None

    def _note(self, name: str, found: Answer) -> None:
        self._due[name] = self._clock() + found.ttl
        before, counts = self._names[name], found.settled(self._names[name])
        self._names[name] = counts
        if counts != before:
            self._moved = True
            was = f", was {listed([str(a) for a in before])}" if before else ""
            self._said.append(f"host:{name} is {listed([str(a) for a in counts])}{was}")
        remarks = tuple(_remarks(found, counts))
        if remarks != self._remarks.get(name, ()):
            self._said += [f"host:{name} {remark}" for remark in remarks]
            if not remarks:
                self._said.append(f"host:{name} can be looked up again")
            self._remarks[name] = remarks
        if self._said or self._moved:
            self._wakeup.wake()
