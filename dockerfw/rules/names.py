"""The names of our chains and sets: made here and read here, nowhere else.

Pure. A name encodes what its set is for: `phase_of` returns when the planner may change it,
`read_name` what its elements mean. Names have 31 letters at most (``IPSET_MAXNAMELEN``).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from re import compile as compile_regex
from typing import Literal, TypeAlias, get_args

from dockerfw.model.net import Family

# --- chains --------------------------------------------------------------------------------------

MAIN = "DOCKERFW"
INSIDE = "DOCKERFW-IN"
VERDICT = "DOCKERFW-END"
OK = "DOCKERFW-OK"
DENY = "DOCKERFW-DENY"
INPUT = "DOCKERFW-INPUT"
PRE = "DOCKERFW-PRE"
PRE_INSIDE = "DOCKERFW-PRE-IN"
PRE_FORWARD = "DOCKERFW-PRE-FWD"
PRE_SOURCE = "DOCKERFW-PRE-SRC"


_PLAIN = compile_regex(r"[A-Za-z0-9_.:/@+,-]+")
_OUR_CHAIN = compile_regex(rf"{MAIN}[A-Za-z0-9_-]*")


def is_plain(name: str) -> bool:
    """Return True for a name, anybody's, that kernel text may hold: no blank, no quote."""
    return _PLAIN.fullmatch(name) is not None


def is_our_chain(name: str) -> bool:
    """Return True for chains of this version of dockerfw and of any other.

    One with a name that no version would give is somebody else's, however it begins.
    """
    return _OUR_CHAIN.fullmatch(name) is not None


# --- the interface of a probe --------------------------------------------------------------------

PROBE_LINK = "dockerfw-probe"
"""By it comes in what ``dockerfw probe`` sends; there for as long as that takes."""

# --- the seal ------------------------------------------------------------------------------------

SEAL_TABLE = ("inet", "dockerfw")
"""The family and the name of the nft table that judges packets ..."""
FRAMES_TABLE = ("bridge", "dockerfw")
"""... and of the one that judges frames between ports of bridges."""
BINDINGS_TABLE = ("bridge", "dockerfw-bound")
"""The table that a daemon keeps: which port of a bridge may send from which address."""
SealFamily: TypeAlias = Literal["inet", "bridge"]
SealSet: TypeAlias = Literal[
    "foreign", "mixed", "ours", "port4", "port6", "addr4", "addr6", "dockerd", "others",
    "served4", "served6", "open4", "open6",
]  # fmt: skip
"""Sets of the seal: bridges of others, bridges with foreign ports, bridges of Docker whose names do
not show it, guarded host ports on every address and on one, what dockerd itself listens on; in the
bridge family: ports of bridges that are called as Docker's and are not; ports that containers
serve, containers where every port is open."""
ANSWERLESS_LABEL = 113
"""A bit of a connection's label: no container, nor this host, properly began it, so the seal takes
nothing for an answer to it. (Of 128; ``connlabel.conf`` gives names to the low ones.)"""
JUDGED_LABEL = 114
"""Another one, of those that a container or this host did send the first packet of, or that claims
to come from there: the chains judge both directions of it as if they began it."""
ABROAD_LABEL = 115
"""Of what a container asked through no bridge: no container answers that."""
NEAR_LABEL = 116
"""Of what it asked through a bridge of Docker's: who answers is on a bridge, too."""
GUARDING_SETS: frozenset[SealSet] = frozenset(("port4", "port6", "addr4", "addr6"))


def seal_table(family: SealFamily) -> str:
    """Return the seal's table of that family as ``nft`` names it."""
    return " ".join(SEAL_TABLE if family == "inet" else FRAMES_TABLE)


# --- sets ----------------------------------------------------------------------------------------

Place: TypeAlias = Literal["host", "container"]
"""Where a packet is checked: by the host port that it was sent to (mangle PREROUTING), or by the
container address (filter FORWARD)."""
Class: TypeAlias = Literal["outside", "inside"]
"""Inside: came in on a Docker bridge with an address of its subnet."""
Verdict: TypeAlias = Literal["allow", "deny"]
Topic: TypeAlias = Literal[
    "own",
    "claimed",
    "bridges",
    "bridge",
    "inside",
    "guarded",
    "target",
    "pub",
    "hostnet",
    "nat",
    "natnet",
]
"""What a set of the topology (what is where, whomever the policy allows) holds:

own      each bridge's own subnet, with the bridge; of a bridge with foreign ports link-local, too
claimed  all subnets of Docker: a source in one of these that is not ``own`` and has no way back to
         where it came in is spoofed; a destination in one is closed to whom no rule lets in
bridges  the sets of ``bridge``, as one; it never changes
bridge   all addresses, with each bridge: whatever comes in there and is not ``own``, likewise. In
         `BRIDGE_SETS` parts: an ipset holds one network with no more than 64 interfaces, and finds
         of several networks around an address only the narrowest (tried up to kernel 6.18)
inside   sources that count as inside, with their bridge
guarded  all subnets of Docker, as destinations, with the bridge that leads there
target   addresses of containers, for the counters of what was denied
pub      host ports of docker-proxy and of named host-network containers
hostnet  those of them that are a host-network container's
nat      host ports that NAT rules of others lead on to a bridge
natnet   addresses of this host that NAT rules of others lead on as a whole
"""
Record: TypeAlias = Literal["denied", "again"]
"""A set that the rules themselves fill. What `DENY` met is in ``denied``, with counters: where it
went, and from where. An element there ends some time after its first packet; what came again is in
``again`` besides, some time after its last one."""
Phase: TypeAlias = Literal[
    "deny", "own", "claimed", "inside allow", "inside", "allow", "guard", "frozen", "record"
]
"""When a set may grow and shrink, see ``plan/order.py``. A frozen set never changes; of a record
only what it begins with is written."""

_PREFIX = "dockerfw-"
_OUR_SET = compile_regex(rf"{_PREFIX}[A-Za-z0-9_.-]+")
TOPIC_PHASES: dict[Topic, Phase] = {
    "own": "own", "claimed": "claimed", "bridges": "frozen", "bridge": "claimed",
    "inside": "inside", "guarded": "guard", "target": "guard", "pub": "guard", "hostnet": "guard",
    "nat": "allow", "natnet": "allow",
}  # fmt: skip
_LAST_END = 0xFFFFFFFF
_ENDS = "(?:-u([0-9a-f]{8}))?"
BRIDGE_SETS = 8
_TOPIC_NAME = compile_regex(rf"dockerfw-({'|'.join(get_args(Topic))})([46])")
_RECORD_NAME = compile_regex(rf"dockerfw-({'|'.join(get_args(Record))})([46])(?:-swap)?")
_BRIDGE_NAME = compile_regex(rf"dockerfw-bridge([46])-[0-{BRIDGE_SETS - 1}]")
_LIST_NAME = compile_regex(r"dockerfw-list-[0-9a-f]+-([46])")
_KEYED_NAME = compile_regex(rf"dockerfw-(in-)?(?:(deny-)?(port|addr)|(allow|deny))([46]){_ENDS}")
_TERM_NAME = compile_regex(rf"dockerfw-([hc])([oi])([ad])-[0-9a-f]{{6,10}}-([46]){_ENDS}")
_END = compile_regex(r"-u([0-9a-f]{8})$")


@dataclass(frozen=True, slots=True)
class TopologyName:
    """A set of the topology: see `Topic`."""

    topic: Topic
    family: Family


@dataclass(frozen=True, slots=True)
class RecordName:
    """A set that the rules fill: see `Record`."""

    record: Record
    family: Family


@dataclass(frozen=True, slots=True)
class ListName:
    """A list of source networks, named after its content."""

    family: Family


@dataclass(frozen=True, slots=True)
class BucketName:
    """A set of allowed or denied targets.

    ``keyed``: each element has the source in it; else the rule that uses the set matches the
    source (an interface, a list, everyone). ``wildcard``: such elements are host ports on every
    address. ``until`` is when its elements end by themselves (Unix time), None: never.
    """

    place: Place
    cls: Class
    verdict: Verdict
    family: Family
    keyed: bool
    wildcard: bool = False
    until: int | None = None


SetName: TypeAlias = TopologyName | RecordName | ListName | BucketName


def is_our_set(name: str) -> bool:
    """Return True for sets of this version of dockerfw and of any other, as `is_our_chain`."""
    return _OUR_SET.fullmatch(name) is not None


def read_name(name: str) -> SetName | None:
    """Return what the set of this name is for; None if no version of ours makes such a set."""
    if found := _TOPIC_NAME.fullmatch(name):
        topic = next(t for t in get_args(Topic) if t == found[1])
        return TopologyName(topic, _family(found[2]))
    if found := _RECORD_NAME.fullmatch(name):
        record = next(r for r in get_args(Record) if r == found[1])
        return RecordName(record, _family(found[2]))
    if found := _BRIDGE_NAME.fullmatch(name):
        return TopologyName("bridge", _family(found[1]))
    if found := _LIST_NAME.fullmatch(name):
        return ListName(_family(found[1]))
    if found := _KEYED_NAME.fullmatch(name):
        inside, host_deny, host_kind, verdict, family, end = found.groups()
        return BucketName(
            place="host" if host_kind else "container",
            cls="inside" if inside else "outside",
            verdict="deny" if host_deny or verdict == "deny" else "allow",
            family=_family(family),
            keyed=True,
            wildcard=host_kind == "port",
            until=_moment(end),
        )
    if found := _TERM_NAME.fullmatch(name):
        place, cls, verdict, family, end = found.groups()
        return BucketName(
            place="host" if place == "h" else "container",
            cls="inside" if cls == "i" else "outside",
            verdict="allow" if verdict == "a" else "deny",
            family=_family(family),
            keyed=False,
            until=_moment(end),
        )
    return None


def phase_of(name: str) -> Phase | None:
    """Return the phase of this set; None if it is not one of ours."""
    match read_name(name):
        case TopologyName(topic=topic):
            return TOPIC_PHASES[topic]
        case RecordName():
            return "record"
        case ListName():
            return "frozen"
        case BucketName(verdict="deny"):
            return "deny"
        case BucketName(cls=cls):
            return "inside allow" if cls == "inside" else "allow"
        case None:
            return None


def is_topic(name: str, *topics: Topic) -> bool:
    """Return True if the set holds one of these topics, in either family."""
    found = read_name(name)
    return isinstance(found, TopologyName) and found.topic in topics


# Each stands in thousands of items: made once it is kept once.
@lru_cache(maxsize=64)
def topology_set(topic: Topic, family: Family) -> str:
    return f"{_PREFIX}{topic}{family}"


def record_set(record: Record, family: Family) -> str:
    return f"{_PREFIX}{record}{family}"


@lru_cache(maxsize=2)
def bridge_sets(family: Family) -> tuple[str, ...]:
    """Return the sets that all bridges are shared out to; `topology_set` ``bridges`` holds them.

    They are made before it by the order of their names, and destroyed after it by the reverse.
    """
    return tuple(f"{_PREFIX}bridge{family}-{number}" for number in range(BRIDGE_SETS))


def bridge_set(bridge: str, family: Family) -> str:
    """Return the one of `bridge_sets` that holds this bridge."""
    return bridge_sets(family)[sha256(bridge.encode()).digest()[0] % BRIDGE_SETS]


def list_set(content: bytes, family: Family) -> str:
    """Name a list after ``content``: the same list has the same name, whoever uses it."""
    return f"{_PREFIX}list-{sha256(content).hexdigest()[:12]}-{family}"


@lru_cache(maxsize=1024)
def keyed_set(
    family: Family, place: Place, cls: Class, verdict: Verdict, until: int | None, *, wildcard: bool
) -> str:
    """Name the set whose elements are target and source together.

    ``wildcard``: targets are host ports on every address of the host (place ``host`` alone).
    """
    inside = "in-" if cls == "inside" else ""
    what: str = verdict
    if place == "host":
        what = ("deny-" if verdict == "deny" else "") + ("port" if wildcard else "addr")
    return ending(f"{_PREFIX}{inside}{what}{family}", until)


@lru_cache(maxsize=1024)
def term_set(
    family: Family, place: Place, cls: Class, verdict: Verdict, until: int | None, meaning: str
) -> str:
    """Name the set of targets of one source match and span, which ``meaning`` spells out."""
    digest = sha256(f"{place} {cls} {verdict} {meaning}".encode()).hexdigest()
    # Names have 31 letters: an end takes the place of some.
    short = digest[: 10 if until is None else 6]
    return ending(f"{_PREFIX}{place[0]}{cls[0]}{verdict[0]}-{short}-{family}", until)


def swap_set(name: str) -> str:
    """Name the set that takes the place of ``name``; no rule ever uses this one."""
    if phase_of(name) == "record":
        return f"{name}-swap"
    return ending(f"{_PREFIX}swap", end_of(name))


# --- ends ----------------------------------------------------------------------------------------


def ending(name: str, until: int | None) -> str:
    """Return the name of a set whose elements end at that Unix time; None: never.

    What lies beyond the year 2106 ends then.
    """
    return name if until is None else f"{name}-u{min(max(until, 0), _LAST_END):08x}"


def end_of(name: str) -> int | None:
    """Return when the elements of the set of this name end, as `ending` has it."""
    found = _END.search(name)
    return int(found[1], 16) if found else None


def _family(digit: str) -> Family:
    return 4 if digit == "4" else 6


def _moment(digits: str | None) -> int | None:
    return int(digits, 16) if digits else None
