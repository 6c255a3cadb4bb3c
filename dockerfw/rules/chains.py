"""The fixed chains, and where the policy's buckets stand in them.

Takes a `Skeleton` (what of the policy shapes them) and the buckets (`BucketRule`) that
``rules/compiler.py`` made; gives `Chain`s. The number of rules depends on the policy and on this
host (what its kernel can do, whether it bridges for others), not on containers and networks. Knows
none of these and no address of this host: those live in sets, and the names of the sets stand here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_network

from dockerfw.model.net import Family
from dockerfw.model.policy import OnDeny
from dockerfw.rules.buckets import BucketRule, BucketRules
from dockerfw.rules.matches import (
    claimed,
    from_inside,
    icmp_that_always_passes,
    nameless,
    on_bridge,
    own,
    to_containers,
)
from dockerfw.rules.names import (
    DENY,
    INPUT,
    INSIDE,
    JUDGED_LABEL,
    MAIN,
    OK,
    PRE,
    PRE_FORWARD,
    PRE_INSIDE,
    PRE_SOURCE,
    VERDICT,
    topology_set,
)
from dockerfw.rules.records import record_rules
from dockerfw.rules.rule import (
    AddressType,
    BridgedToOthers,
    Chain,
    ConnState,
    DestNetwork,
    DestPorts,
    Drop,
    Goto,
    InInterface,
    InSet,
    Marked,
    Match,
    NoSyn,
    NoTarget,
    NotTcp,
    Reject,
    Reply,
    Return,
    Rule,
    SetMark,
    SourceNetwork,
    Stray,
    Target,
    Unlabelled,
    WayBack,
)
from dockerfw.rules.sources import NOBODY, NOBODY_BY_NAME

SPOOFED_CONTAINER = "forged: a container address from elsewhere"
SPOOFED_HOST = "forged: an address of this host"
SPOOFED_ELSE = "forged: an address from elsewhere, by a container"


@dataclass(frozen=True, slots=True)
class Skeleton:
    """What of a policy, and of the host that it is for, shapes the chains.

    ``inside_denied``: some deny names sources on Docker's bridges, so that even where the
    baseline lets them all pass the host port matters. ``labels``: the seal labels connections
    that nobody properly began. ``bridged``: the families whose bridged packets meet the chains, on
    a host that bridges for others. ``way_back``: as in `HostFacts`. ``log``: what is denied, in the
    kernel's log.
    """

    host_bit: int
    ok_bit: int
    observe: bool
    on_deny: OnDeny
    bridge_baseline: bool
    inside_denied: bool
    labels: bool
    bridged: frozenset[Family] = frozenset()
    way_back: bool = True
    log: bool = False

    def chains(self, family: Family, buckets: BucketRules) -> list[Chain]:
        """Return all our chains of one family, the buckets in their places."""
        mark_host = self._may_use_host_port()
        # Once allowed is enough: most packets look into one set of these, and not into the rest.
        undecided = Marked(0, self.host_bit)
        hosts = _rules(buckets["host", "outside"], Return(), mark_host, undecided)
        hosts_in = _rules(buckets["host", "inside"], Return(), mark_host, undecided)
        direct = _rules(buckets["container", "outside"], Goto(DENY), Goto(OK))
        direct_in = _rules(buckets["container", "inside"], Goto(DENY), Goto(OK))
        by_host_port = self._begun_by_host_port()
        # Before all that costs a look into a set, unless a deny is to come first: of a host port
        # that Docker does not publish `PRE` cannot tell whose it is.
        early = () if direct[0] or direct_in[0] else (by_host_port,)
        late = () if early else (by_host_port,)
        return [
            _chain(
                family,
                PRE,
                self._pre_head(family),
                hosts,
                (*self._by_nat_of_others(family), self._checked()),
            ),
            _chain(
                family,
                PRE_INSIDE,
                (Rule(self._from_this_host(family), Return(), SPOOFED_HOST, "spoofed"),),
                hosts_in,
                self._pre_inside_tail(family),
            ),
            Chain(family, "mangle", PRE_FORWARD, self._pre_forward(family)),
            Chain(family, "mangle", PRE_SOURCE, self._pre_source(family)),
            _chain(
                family,
                MAIN,
                (*early, *self._main_head(family)),
                direct,
                (Rule((), Goto(VERDICT), "everything else"),),
                between=(*late, *self._by_host_port()),
            ),
            _chain(
                family,
                INSIDE,
                (
                    *self._to_nobody_by_name(family),
                    self._not_to_containers(family, inside=True),
                    *self._to_all_of_a_network(family),
                ),
                direct_in,
                self._inside_tail(),
                between=self._inside_by_host_port(late),
            ),
            Chain(family, "filter", VERDICT, self._verdict(family)),
            Chain(family, "filter", INPUT, self._input(family)),
            Chain(family, "filter", OK, (self._set_ok(),)),
            Chain(family, "filter", DENY, self._deny(family)),
        ]

    def _spoofed(self, matches: tuple[Match, ...], comment: str) -> Rule:
        return Rule(matches, self._drop(), comment, "spoofed")

    def _drop(self) -> Target:
        return NoTarget() if self.observe else Drop()

    # where the host port is still to be seen

    def _pre_head(self, family: Family) -> tuple[Rule, ...]:
        not_ours: list[Rule]
        if family == 4:
            not_ours = [
                Rule((DestNetwork(ip_network("127.0.0.0/8")),), Return(), "nobody from outside"),
                # Not "! LOCAL": a broadcast to a docker-proxy port has to be checked too.
                Rule((AddressType("dst", "UNICAST"),), Goto(PRE_FORWARD), "not for this host"),
            ]
        else:
            # In IPv6 a local address is UNICAST as well.
            elsewhere = (
                DestNetwork(ip_network("ff00::/8"), negated=True),
                AddressType("dst", "LOCAL", negated=True),
            )
            not_ours = [Rule(elsewhere, Goto(PRE_FORWARD), "not for this host")]
        nobody = (SourceNetwork(NOBODY[family]), on_bridge(family))
        return (
            Rule((self._some_bit(),), SetMark(0, self._both), "no bit but ours counts"),
            *not_ours,
            Rule(nobody, Return(), "forged: no address of a container", "spoofed"),
            *nameless(family, PRE_INSIDE, Return()),
            from_inside(family, PRE_INSIDE),
        )

    def _checked(self) -> Rule:
        """Return the rule at the end of `PRE`: who may use the host port has to be who it says.

        Last, so that a lookup of the way back is spent on none but those.
        """
        matches: list[Match] = [self._some_bit()]
        if self.way_back:
            matches.append(WayBack(negated=True))
        return Rule(tuple(matches), Goto(PRE_SOURCE), "no way back")

    def _pre_source(self, family: Family) -> tuple[Rule, ...]:
        """Return the rules that take the host port away again from spoofed sources.

        Where the way back cannot be had, every source is in doubt that could be one.
        """
        true = () if self.way_back else (Rule((own(family),), Return(), "of this bridge"),)
        not_allowed = SetMark(0, self._both)
        return (
            Rule(self._from_this_host(family), not_allowed, SPOOFED_HOST, "spoofed"),
            # What this host sends to many it receives itself; the kernel sees no way back to that.
            Rule((AddressType("src", "LOCAL"), own(family)), Return(), "sent to many by this host"),
            *true,
            Rule((claimed(family),), not_allowed, SPOOFED_CONTAINER, "spoofed"),
            Rule((on_bridge(family),), not_allowed, SPOOFED_ELSE, "spoofed"),
        )

    def _pre_forward(self, family: Family) -> tuple[Rule, ...]:
        """Return the rules that mark sources in doubt as true, for `MAIN` to go by.

        The way back is looked up for those alone; while these rules are missing they are spoofed.
        """
        if not self.way_back:
            return ()
        mark = SetMark(self.ok_bit, self._both)
        elsewhere = own(family, negated=True)
        to_containers = InSet(topology_set("claimed", family), ("dst",))
        return (
            *(Rule(answer, Return(), "answers") for answer in self._answers()),
            Rule((SourceNetwork(NOBODY[family]),), Return(), "no address of anybody"),
            Rule((claimed(family), elsewhere, WayBack()), mark, "a way back"),
            Rule((to_containers, on_bridge(family), elsewhere, WayBack()), mark, "a way back"),
        )

    def _pre_inside_tail(self, family: Family) -> tuple[Rule, ...]:
        if not self.bridge_baseline:
            return self._by_nat_of_others(family)
        not_host_network = InSet(topology_set("hostnet", family), ("dst", "dst"), negated=True)
        mark = self._may_use_host_port()
        return (Rule((not_host_network,), mark, "baseline bridge", "baseline"),)

    def _by_nat_of_others(self, family: Family) -> tuple[Rule, ...]:
        """Return the rules for host ports that nobody publishes and that somebody's NAT leads on:
        nothing has denied them here, and MAIN judges by where they lead.

        Known ports alone, not all that nobody publishes: a new port of Docker's may lead to an
        address that was another container's a moment ago.
        """
        undecided = Marked(0, self._both)
        nobodys = InSet(topology_set("pub", family), ("dst", "dst"), negated=True)
        mark = SetMark(self.ok_bit, self._both)
        port = InSet(topology_set("nat", family), ("dst", "dst"))
        address = InSet(topology_set("natnet", family), ("dst",))
        return tuple(
            Rule((undecided, known, nobodys), mark, "by NAT of others") for known in (port, address)
        )

    # where packets are forwarded

    def _main_head(self, family: Family) -> tuple[Rule, ...]:
        # By host port: there the mark says it all.
        unmarked = (Marked(0, self._both), ConnState("DNAT", negated=True))
        elsewhere = own(family, negated=True)
        return (
            *self._bridged_to_others(family, Reply()),
            *self._in_this_hosts_name(),
            # The seal recognises answers by itself: those of other people's connections get no bit.
            *(Rule(answer, Return(), "answers") for answer in self._answers()),
            *icmp_that_always_passes(family),
            # The claim first: most sources make none.
            self._spoofed((claimed(family), *unmarked, elsewhere), SPOOFED_CONTAINER),
            self._spoofed((AddressType("src", "LOCAL"),), SPOOFED_HOST),
            *self._bridged_to_others(family),
            *self._stray(family),
            *nameless(family, INSIDE, self._drop(), to_containers(family)),
            from_inside(family, INSIDE),
            self._not_to_containers(family, inside=False),
            self._spoofed((*unmarked, on_bridge(family), elsewhere), SPOOFED_ELSE),
        )

    def _begun_by_host_port(self) -> Rule:
        """Return the rule for most of what is allowed: `PRE` has allowed and checked it."""
        matches = (self._marked(), ConnState("DNAT"), Reply(negated=True))
        return Rule(matches, Goto(OK), "by host port")

    def _bridged_to_others(self, family: Family, *matches: Match) -> tuple[Rule, ...]:
        """Return the rule for what a bridge carries to a VM or to its uplink: Docker's network may
        be on that bridge, too, and its subnet be theirs.

        Answers pass before anything else: of a connection between such ports the seal may think
        that it came in elsewhere than its source lives.
        """
        if family not in self.bridged:
            return ()
        return (Rule((*matches, BridgedToOthers()), Goto(OK), "bridged to others"),)

    def _not_to_containers(self, family: Family, *, inside: bool) -> Rule:
        """Return the rule for what leaves by no Docker bridge that is known.

        A network that nobody knows of yet is one of the inside's under baseline ``bridge``. A host
        port that Docker publishes is guarded wherever its NAT leads.
        """
        target: Target = Goto(OK) if inside and self.bridge_baseline else Return()
        matches = (ConnState("DNAT", negated=True), to_containers(family, negated=True))
        return Rule(matches, target, "not about containers")

    @property
    def _parts(self) -> bool:
        """True if some container may not reach every other one."""
        return not self.bridge_baseline or self.inside_denied

    def _to_nobody_by_name(self, family: Family) -> tuple[Rule, ...]:
        """Return the rules for destinations of which nobody can tell what container that is.

        They lead to a neighbour as well as its own address does. Discovery has passed before.
        """
        if not self._parts:
            return ()
        by_a_bridge = InSet(topology_set("bridges", family), ("dst", "dst"))
        return tuple(
            Rule((DestNetwork(network), by_a_bridge), Goto(DENY), "to nobody by name")
            for network in NOBODY_BY_NAME[family]
        )

    def _to_all_of_a_network(self, family: Family) -> tuple[Rule, ...]:
        if family == 6 or not self._parts:
            return ()
        matches = (to_containers(family), AddressType("dst", "BROADCAST"))
        return (Rule(matches, Goto(DENY), "to nobody by name"),)

    def _in_this_hosts_name(self) -> tuple[Rule, ...]:
        """Return what stands for the label of a spoofed packet's entry where there is none.

        Such a packet may reach ports of this host that are nobody's; an answer to it that others
        send in this host's name must not reach a container.
        """
        if self.labels:
            return ()
        return (self._spoofed((Reply(), AddressType("src", "LOCAL")), SPOOFED_HOST),)

    def _answers(self) -> tuple[tuple[Match, ...], tuple[Match, ...]]:
        """Return what an answer is: a packet in the reply direction of a connection that somebody
        began. What would begin one in TCP is none: where it crosses another one like it, both
        sides open, whoever sent that.
        """
        label = (Unlabelled(JUDGED_LABEL),) if self.labels else ()
        return (NoSyn(), Reply(), *label), (NotTcp(), Reply(), *label)

    def _stray(self, family: Family) -> tuple[Rule, ...]:
        """A connection that lost its entry (a reset from a source that is no longer allowed does
        that) must not be taken up from the server's end: the client would answer it. Where
        connections have labels, the answers are judged instead.
        """
        if self.labels:
            return ()
        stray = (Stray(), own(family))
        return (self._spoofed(stray, "of no connection"),)

    def _by_host_port(self) -> tuple[Rule, ...]:
        unmarked = Marked(0, self._both)
        return (
            # What NAT of others leads here is judged by the rules below.
            Rule((unmarked, ConnState("DNAT")), Goto(VERDICT), "not by this host port"),
            # What answers a container that nobody answers is sent to this host's address as well.
            Rule((self._marked(), Reply()), Goto(OK), "back by host port"),
        )

    @property
    def _both(self) -> int:
        return self.host_bit | self.ok_bit

    def _some_bit(self) -> Marked:
        return Marked(0, self._both, negated=True)

    def _marked(self) -> Marked:
        """Also by `OK`: a packet meets these chains once more where a jump stands twice."""
        return Marked(self.host_bit, self.host_bit)

    def _may_use_host_port(self) -> SetMark:
        return SetMark(self.host_bit, self._both)

    def _set_ok(self) -> Rule:
        return Rule((), SetMark(self._both, self._both), "for the seal")

    def _inside_by_host_port(self, late: tuple[Rule, ...]) -> tuple[Rule, ...]:
        """Return none where the baseline lets all of the inside pass: then the host port matters
        only for a deny.
        """
        if self.bridge_baseline and not self.inside_denied:
            return ()
        return (*late, *self._by_host_port())

    def _inside_tail(self) -> tuple[Rule, ...]:
        if self.bridge_baseline:
            return (Rule((), Goto(OK), "baseline bridge", "baseline"),)
        return (Rule((), Goto(VERDICT), "everything else"),)

    def _verdict(self, family: Family) -> tuple[Rule, ...]:
        to_docker = InSet(topology_set("claimed", family), ("dst",))
        return (
            Rule((to_docker,), Goto(DENY), "to a Docker network"),
            Rule((), Return(), "not about containers"),
        )

    def _input(self, family: Family) -> tuple[Rule, ...]:
        published = topology_set("pub", family)
        return (
            Rule((InInterface("lo"),), Return(), "this host itself"),
            # docker-proxy asks nothing from the port that it listens on: what comes there as a
            # reply belongs to a connection that somebody forged, or that lost its entry and was
            # taken up again the other way round. A host-network container does ask from its port.
            Rule((Reply(), InSet(published, ("dst", "dst"), negated=True)), Goto(OK), "answers"),
            *self._answers_to_host_network(family),
            # No other source is looked at here: this host's own ports are nobody's but its own.
            # Spoofed packets to the rest have no mark.
            self._spoofed(self._from_this_host(family), SPOOFED_HOST),
            Rule((self._marked(),), Goto(OK), "by host port"),
            Rule((InSet(published, ("dst", "dst")),), Goto(DENY), "to docker-proxy"),
        )

    def _answers_to_host_network(self, family: Family) -> tuple[Rule, ...]:
        """Return the rules for answers to a host-network container. From and to broadcast addresses
        there are none, only packets made by hand.
        """
        one_to_one: list[Match] = [AddressType("dst", "LOCAL")]
        if family == 4:
            one_to_one.append(AddressType("src", "UNICAST"))
        host_network = InSet(topology_set("hostnet", family), ("dst", "dst"))
        return tuple(
            Rule((*answer, host_network, *one_to_one), Goto(OK), "answers to the host network")
            for answer in self._answers()
        )

    @staticmethod
    def _from_this_host(family: Family) -> tuple[Match, Match]:
        """Return what claims to come from this host, less what is sent to many: what this host
        sends to many it receives itself, with its own address as the source.
        """
        source = AddressType("src", "LOCAL")
        if family == 4:
            return source, AddressType("dst", "LOCAL")
        # Not LOCAL: an anycast address of this host is not, in IPv6.
        return source, DestNetwork(ip_network("ff00::/8"), negated=True)

    def _deny(self, family: Family) -> tuple[Rule, ...]:
        count = Rule(
            (InSet(topology_set("target", family), ("dst",)),), NoTarget(), "denied, counted"
        )
        ends: tuple[Rule, ...] = (Rule((), Drop(), "denied"),)
        if self.observe:
            ends = (Rule((), Goto(OK), "observe: would be denied"),)
        elif self.on_deny == "reject":
            reset = Rule((DestPorts("tcp", 0, 65535),), Reject(tcp_reset=True), "denied")
            ends = (reset, Rule((), Reject(), "denied"))
        denied = (count, *record_rules(family, ends, log=self.log), *ends)
        if not self.observe:
            return denied
        # It goes on, and meets these chains again where a jump stands twice.
        return (Rule((Marked(self._both, self._both),), Goto(OK), "counted before"), *denied)


def _rules(
    buckets: Iterable[BucketRule], deny: Target, allow: Target, *unless: Match
) -> tuple[tuple[Rule, ...], tuple[Rule, ...]]:
    """Return the deny rules and the allow rules of one place and class.

    ``unless`` stands before what an allow matches.
    """
    both = tuple(buckets)
    denies = tuple(Rule(b.matches, deny, b.comment, "deny") for b in both if b.verdict == "deny")
    allows = tuple(
        Rule((*unless, *b.matches), allow, b.comment, "allow") for b in both if b.verdict == "allow"
    )
    return denies, allows


def _chain(
    family: Family,
    name: str,
    head: tuple[Rule, ...],
    buckets: tuple[tuple[Rule, ...], tuple[Rule, ...]],
    tail: tuple[Rule, ...],
    *,
    between: tuple[Rule, ...] = (),
) -> Chain:
    denies, allows = buckets
    return Chain(
        family,
        "mangle" if name in (PRE, PRE_INSIDE) else "filter",
        name,
        (*head, *denies, *between, *allows, *tail),
        deny_at=len(head),
        allow_at=len(head) + len(denies) + len(between),
    )
