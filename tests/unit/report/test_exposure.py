"""What is said of one thing is the same everywhere: log lines, warnings, plan, explain.

Random policies and inventories, with baselines and denies. Whom a log line names is compared, as a
set of addresses, with whom the oracle lets pass; single ones of these with `explain`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TypeVar

from hypothesis import given

from dockerfw.model.host import HostFacts
from dockerfw.model.inventory import Container, Inventory
from dockerfw.model.net import Address
from dockerfw.model.policy import (
    Allow,
    BridgeSource,
    Deny,
    ExceptingSource,
    FileSource,
    Policy,
    SelectorSource,
    Source,
    excepting,
)
from dockerfw.report.explain.explainer import Explainer
from dockerfw.report.exposure import Exposure, Exposures
from dockerfw.report.exposure_text import describe_exposure
from dockerfw.report.warnings import advise
from tests.exposure_claims import Claims, Who, can_be_read
from tests.intervals import NOTHING, IntervalSet
from tests.oracle import (
    LINK_LOCAL,
    Question,
    allowed_sources,
    inside_sources,
    matched_sources,
)
from tests.questions import OWN_ADDRESSES, as_address, facts_for
from tests.strategies import fitting, profile

S = TypeVar("S", Allow, Deny)
PORTS = (
    ("tcp", 80), ("tcp", 443), ("tcp", 22), ("tcp", 8080), ("tcp", 8050), ("udp", 53), ("udp", 80),
    ("sctp", 443), ("icmp", 0), ("esp", 0),
)  # fmt: skip


# --- one port, asked in all ways -----------------------------------------------------------------


@dataclass(frozen=True)
class Scene:
    """A policy, what runs, and what each word of ``from`` means."""

    policy: Policy
    inventory: Inventory
    facts: HostFacts

    def words(self) -> dict[str, Source]:
        statements: tuple[Allow | Deny, ...] = (*self.policy.allows, *self.policy.denies)
        sources = (s for statement in statements for s in statement.sources)
        every = (*self.policy.baseline, *sources)
        return {name: source for source in every for name in (str(source), _word(source))}

    def claimed(self, found: Iterable[Who], question: Question) -> IntervalSet:
        """Whom these clauses let in, all together."""
        words = self.words()
        inside = inside_sources(self.inventory, question.interface, question.family)
        nameless = IntervalSet.of_networks([LINK_LOCAL], question.family) & inside

        def meant(names: tuple[str, ...]) -> IntervalSet:
            sources = [words[name] for name in names]
            return matched_sources(sources, self.inventory, self.facts, question)

        together = NOTHING
        for who in found:
            less = meant(who.excepting)
            if any(isinstance(words[name], SelectorSource) for name in who.excepting):
                less |= nameless
            together |= meant(who.words) - less
        return together

    def interfaces(self) -> list[str]:
        return ["eth0", "wg0", *(n.bridge for n in self.inventory.networks if n.bridge)]

    def allowed(self, question: Question) -> IntervalSet:
        return allowed_sources(self.policy, self.inventory, self.facts, question)

    def unmentioned(self, question: Question, *, on_host: bool) -> IntervalSet:
        """Whom the baseline's ``bridge`` lets in: no line mentions that."""
        if on_host or not any(isinstance(s, BridgeSource) for s in self.policy.baseline):
            return NOTHING
        return inside_sources(self.inventory, question.interface, question.family)

    def explainer(self) -> Explainer:
        return Explainer(self.policy, self.inventory, self.facts)


def scene(pair: tuple[Policy, Inventory]) -> Scene:
    policy, inventory = _distinct_lists(replace(pair[0], mode="enforce")), pair[1]
    facts = replace(facts_for(inventory), forwards=(), br_netfilter=(True, True))
    return Scene(policy, inventory, facts)


def _distinct_lists(policy: Policy) -> Policy:
    """With a name of its own for each list; one with exceptions is named as in ``[sources]``."""
    names: dict[FileSource, str] = {}

    def named(source: Source) -> Source:
        if isinstance(source, ExceptingSource):
            return excepting(
                tuple(map(named, source.sources)), tuple(map(named, source.exceptions))
            )
        if not isinstance(source, FileSource):
            return source
        return replace(source, path=names.setdefault(source, f"list-{len(names)}"))

    def renamed(statement: S) -> S:
        sources = tuple(map(named, statement.sources))
        written = tuple(_word(source) for source in sources)
        return replace(statement, sources=sources, written_from=written)

    return replace(
        policy,
        baseline=tuple(map(named, policy.baseline)),
        allows=tuple(map(renamed, policy.allows)),
        denies=tuple(map(renamed, policy.denies)),
    )


def _word(source: Source) -> str:
    """One word for it."""
    return str(source).replace(", ", "+")


@dataclass(frozen=True)
class Asked:
    """A port of a container, as a question and as a target of `explain`; what is said of it."""

    question: Question
    target: str
    value: list[Who]
    read: list[Who] | None
    on_host: bool = False


def asked(scene: Scene, container: Container, exposure: Exposure) -> Iterator[Asked]:
    sentence = describe_exposure(Exposures(scene.policy), scene.inventory, container)
    split = any(isinstance(source, ExceptingSource) for source in scene.policy.baseline)
    claims = Claims(sentence) if sentence and can_be_read(sentence) and not split else None
    for endpoint in exposure.endpoints:
        for address in endpoint.addresses:
            for protocol, port in PORTS:
                value = [
                    Who(o.left.words, o.left.excepting)
                    for o in exposure.openings
                    if endpoint in o.at and o.ports.holds(protocol, port)
                ]
                read = claims.at_address(address, protocol, port) if claims else None
                yield Asked(
                    Question("direct", "", address, protocol, port),
                    f"{_bracketed(address)}:{_port_text(protocol, port)}",
                    value,
                    read,
                )
    yield from _asked_of_host(scene, container, exposure, claims)


def _asked_of_host(
    scene: Scene, container: Container, exposure: Exposure, claims: Claims | None
) -> Iterator[Asked]:
    shared = Counter[tuple[str, int]](
        (protocol, port)
        for c in scene.inventory.containers
        for protocol, port, _ in {(b.protocol, b.host_port, b.container_port) for b in c.ports}
    )
    on_host = scene.inventory.on_host_network(container)
    for port in exposure.host_ports:
        protocol, number = port.port.protocol, port.port.number
        # Docker gives a host port to one container; here it may be drawn for two.
        if shared[protocol, number] > (0 if on_host else 1):
            continue
        for address in OWN_ADDRESSES:
            if address.version not in port.families or port.address not in (None, address):
                continue
            apart = [p for p in exposure.host_ports if (p.address, p.port) == (address, port.port)]
            found = exposure.host_ports[apart[0] if apart else port]
            value = [Who(opening.left.words, opening.left.excepting) for opening in found]
            read = None
            if claims and port.container_port is not None:
                read = claims.at_host(address, protocol, number, port.container_port)
            elif claims:
                read = claims.at_own_host_port(address, protocol, number)
            yield Asked(
                Question("host", "", address, protocol, number),
                f"{_bracketed(address)}:{_port_text(protocol, number)}",
                value,
                read,
                on_host,
            )


def _bracketed(address: Address) -> str:
    return f"[{address}]" if address.version == 6 else str(address)


def _port_text(protocol: str, port: int) -> str:
    return "icmp" if protocol == "icmp" else f"{port}/{protocol}"


@profile(share=4)
@given(fitting())
def test_a_log_line_names_whom_the_policy_lets_in_and_nobody_else(
    pair: tuple[Policy, Inventory],
) -> None:
    now = scene(pair)
    exposures = Exposures(now.policy)
    for container in now.inventory.containers:
        for one in asked(now, container, exposures.of(now.inventory, container)):
            for interface in now.interfaces():
                question = replace(one.question, interface=interface)
                unmentioned = now.unmentioned(question, on_host=one.on_host)
                allowed = now.allowed(question)
                claimed = now.claimed(one.value, question)
                assert not (claimed - allowed).intervals, (container.name, question, one)
                assert not (allowed - claimed - unmentioned).intervals, (container.name, question)
                if one.read is not None:
                    assert now.claimed(one.read, question) == claimed, (container.name, one)


@profile()
@given(fitting())
def test_a_log_line_and_explain_agree(pair: tuple[Policy, Inventory]) -> None:
    now = scene(pair)
    exposures = Exposures(now.policy)
    explainer = now.explainer()
    for container in now.inventory.containers:
        for one in asked(now, container, exposures.of(now.inventory, container)):
            if one.question.protocol == "esp":
                continue  # explain has no word for it
            for interface in now.interfaces():
                question = replace(one.question, interface=interface)
                claimed = now.claimed(one.value, question)
                unmentioned = now.unmentioned(question, on_host=one.on_host)
                for number in _edges(claimed, question.family):
                    source = f"{as_address(number, question.family)}@{interface}"
                    for row in explainer.explain(source, one.target).rows:
                        if number not in unmentioned or number in claimed:
                            assert row.allowed == (number in claimed), (source, one, row)


def _edges(claimed: IntervalSet, family: int) -> set[int]:
    """An address of each end of what is claimed and the first beside it, but for the odd ones."""
    ends = {n for first, last in claimed.intervals[:3] for n in (first - 1, first, last, last + 1)}
    plain = {203 << 24 | 113 << 8 | 9} if family == 4 else {0x20010DB8 << 96 | 0x77}
    return {n for n in ends | plain if _is_plain(n, family)}


def _is_plain(number: int, family: int) -> bool:
    if not 0 < number < (2**32 if family == 4 else 2**128):
        return False
    address = as_address(number, family)
    odd = address.is_multicast or address.is_loopback or address.is_link_local
    return not odd and getattr(address, "ipv4_mapped", None) is None and number != 2**32 - 1


# --- warnings ------------------------------------------------------------------------------------


@profile(share=4)
@given(fitting())
def test_a_rule_that_opens_nothing_by_its_warning_opens_nothing(
    pair: tuple[Policy, Inventory],
) -> None:
    policy, inventory = replace(pair[0], mode="enforce"), pair[1]
    allows = tuple(
        replace(allow, origin=replace(allow.origin, line=line))
        for line, allow in enumerate(policy.allows, 2)
    )
    policy = replace(policy, allows=allows)
    warnings = advise(policy, inventory, facts_for(inventory))
    useless = {
        index
        for index, allow in enumerate(allows)
        for warning in warnings
        if warning.startswith(f"{allow.origin}: ")
        and ("no container is left" in warning or "takes back all of this" in warning)
    }
    exposures = Exposures(policy)
    opening: set[int | None] = set()
    for container in inventory.containers:
        exposure = exposures.of(inventory, container)
        opening |= {o.rule for o in exposure.openings}
        opening |= {o.rule for found in exposure.host_ports.values() for o in found}
    assert not useless & opening
