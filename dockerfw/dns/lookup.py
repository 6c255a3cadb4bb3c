"""One name -> its addresses, as this host finds them.

Takes a fully qualified name, gives an `Answer`. Reads ``/etc/hosts``, then asks DNS, then whatever
else the system knows; raises nothing. Never decides what an address may do.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from dockerfw.dns.answer import MOST_TTL, Answer, answer
from dockerfw.model.net import Address

if TYPE_CHECKING:
    import dns.resolver

QUERY_TIMEOUT = 2.0
"""Seconds for one question to DNS; a name is two of them."""
_SERVER_TIMEOUT = 0.7
"""Seconds for one server, then the next one is asked."""


def _system_resolver() -> dns.resolver.Resolver:
    """Return a resolver that asks the servers of ``/etc/resolv.conf``, as it is now."""
    import dns.resolver  # noqa: PLC0415 - costs a tenth of a second that few commands need

    return dns.resolver.Resolver()


@dataclass(frozen=True, slots=True)
class System:
    """Where this host looks names up; ``query_timeout`` is in seconds, for one question to DNS."""

    hosts: Path = Path("/etc/hosts")
    resolver: Callable[[], dns.resolver.Resolver] = _system_resolver
    query_timeout: float = QUERY_TIMEOUT

    def look_up(self, name: str) -> Answer:
        """Return what is known of a name. Never raises.

        Takes twice the timeout at the most, but where the system has to be asked as well.
        """
        try:
            if listed := in_hosts(self.hosts, name):
                return answer(listed)
            return self._by_dns(name) or _by_system(name)
        except Exception as error:  # noqa: BLE001 - a name that breaks a library has failed
            return Answer(problem=f"{type(error).__name__}: {error}")

    def _by_dns(self, name: str) -> Answer | None:
        """Return None where DNS has no such name, or there is no DNS."""
        import dns.exception  # noqa: PLC0415 - see above

        try:
            resolver = self.resolver()
        except (dns.exception.DNSException, OSError):
            return None
        resolver.timeout = _SERVER_TIMEOUT
        questions: tuple[tuple[int, Literal["A", "AAAA"]], ...] = ((4, "A"), (6, "AAAA"))
        replies = {family: self._ask(resolver, name, kind) for family, kind in questions}
        known = [reply for reply in replies.values() if not isinstance(reply, str)]
        failed = {family: why for family, why in replies.items() if isinstance(why, str)}
        found = {address for addresses, _ in known for address in addresses}
        if found:
            return answer(found, min(ttl for _, ttl in known), unanswered=frozenset(failed))
        return Answer(problem=next(iter(failed.values()))) if failed else None

    def _ask(
        self, resolver: dns.resolver.Resolver, name: str, kind: Literal["A", "AAAA"]
    ) -> tuple[set[Address], float] | str:
        """Return the addresses at the end of the chain of aliases, and the shortest TTL on the way.

        Or why there is no answer.
        """
        import dns.exception  # noqa: PLC0415 - see above
        import dns.resolver  # noqa: PLC0415 - see above

        try:
            found = resolver.resolve(
                f"{name}.",
                kind,
                lifetime=self.query_timeout,
                search=False,
                raise_on_no_answer=False,
            )
        except dns.resolver.NXDOMAIN:
            return set(), MOST_TTL
        except dns.exception.Timeout:
            return "DNS does not answer in time"
        except (dns.exception.DNSException, OSError):
            return "DNS gives no usable answer"
        ttl = float(found.chaining_result.minimum_ttl)
        return {ip_address(record.address) for record in found.rrset or ()}, ttl


def _by_system(name: str) -> Answer:
    """Return what is known to anything else that ``/etc/nsswitch.conf`` names."""
    try:
        # The dot at the end keeps search domains out of it.
        found = socket.getaddrinfo(f"{name}.", None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return Answer(problem="no such name")
    texts = {str(entry[4][0]).partition("%")[0] for entry in found}
    return answer(ip_address(text) for text in texts)


def in_hosts(path: Path, name: str) -> set[Address]:
    """Return all addresses of the lines of ``/etc/hosts`` that have this name.

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
