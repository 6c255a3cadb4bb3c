"""What others change of our state is put right by the daemon, and nobody gets in meanwhile.

Chains, jumps, seal and sets are flushed, deleted, bypassed and replaced while an outside host
that may not get in connects as fast as it can: to the published port by IPv4 (Docker's NAT) and
by IPv6 (docker-proxy), and straight to the container. Each drift that can open anything is first
seen to do so with the chains alone: no seal, no daemon.

The period of whole looks is an hour where the kernel announces a drift, so that what is healed
was healed because of the notice; where it announces nothing, that period is as short as it can be.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import pytest

from tests.engine.scene import OFFICE, STRANGER, allow, apply
from tests.lab import process
from tests.lab.daemon import Daemon
from tests.lab.engine import Engine, Version
from tests.lab.host import HOST_V4, HOST_V6, Host
from tests.lab.place import Hammer
from tests.lab.wait import becomes_true

PORT = 5432
POLICY = allow(f'to = "db"\nports = [{PORT}]', "office")
SOON, NEVER = 1, 3600
"""Seconds from one whole look to the next: as few as can be, and more than a test takes."""
PATIENCE = 30.0
DOCKER_GONE = "Docker's own rules are gone: restart Docker"


class Setup(NamedTuple):
    version: Version
    legacy: bool = False

    def __str__(self) -> str:
        return f"{self.version} {'legacy' if self.legacy else 'nft'}"


class Scene(NamedTuple):
    setup: Setup
    host: Host
    engine: Engine
    paths: tuple[tuple[str, int, str], ...]

    def run(self, *commands: str) -> None:
        """One after the other; those of ``iptables`` in both families."""
        for command in commands:
            self.host.run(["sh", "-ec", command])
            if command.startswith("iptables"):
                self.host.run(["sh", "-ec", command.replace("iptables", "ip6tables")])

    def hammer(self) -> Hammer:
        return self.host.outside.hammer(*self.paths)

    def status(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(
            self.host.dockerfw("status", "--json", check=False).stdout
        )
        return told

    def in_sync(self) -> bool:
        told = self.status()
        return bool(told["in_sync"] and told["enforcing"])

    def office_gets_in(self) -> bool:
        """By all ways that there are: from 28 on Docker itself lets nobody straight in."""
        ways = self.paths[:2] if self.setup.version == "28.5" else self.paths
        answers = [
            self.host.outside.tcp(address, port, source=OFFICE[":" in address], patience=0.3)
            for address, port, _ in ways
        ]
        return all(answer.text == "db" for answer in answers)

    def put_in_force(self, resync: int) -> None:
        apply(self.host, f"[daemon]\nresync = {resync}", POLICY)


COMMON = Setup("20.10")
SETUPS = (COMMON, Setup("20.10", legacy=True), Setup("28.5"))


def row(setup: Setup, *more: Drift) -> Any:
    quick = setup is COMMON and not any(drift.like for drift in more)
    marks = [] if quick else [pytest.mark.slow]
    title = " ".join((str(setup), *(drift.title for drift in more)))
    return pytest.param(setup, *more, id=title, marks=marks)


@pytest.fixture(scope="module")
def stage(request: pytest.FixtureRequest) -> Iterator[Scene]:
    setup: Setup = request.param
    flavour: Literal["nft", "legacy"] = "legacy" if setup.legacy else "nft"
    with Host(flavour=flavour) as host, Engine(host, setup.version, "--live-restore") as engine:
        database = engine.container("db", "-p", f"{PORT}:{PORT}", env={"PORT": str(PORT)})
        paths = (
            (HOST_V4, PORT, STRANGER[0]),
            (HOST_V6, PORT, STRANGER[1]),
            (database.address, PORT, STRANGER[0]),
        )
        yield Scene(setup, host, engine, paths)


# --- what others do ------------------------------------------------------------------------------


class Drift(NamedTuple):
    """``found`` is what the log has to name.

    safe        why the chains alone let nobody in; empty: they are seen to do so
    announced   the kernel tells of it (of what iptables-legacy does it never tells)
    undo        what takes away what is not ours
    docker      Docker's own rules go as well
    open        nothing stands until it has been healed: nobody gets in from then on only
    on_legacy   it is about the rules of iptables-legacy, too: there ``nft`` takes the seal alone
    like        which drift stands for it in the quick ring; empty: it is there itself
    """

    title: str
    do: tuple[str, ...]
    found: str
    safe: str = ""
    announced: bool = True
    undo: tuple[str, ...] = ()
    docker: bool = False
    open: bool = False
    on_legacy: bool = True
    like: str = ""

    def writers(self) -> set[str]:
        """The programs that it uses, by the names that the kernel has of them."""
        programs = {
            word for line in self.do for word in re.findall(r"ip6?tables(?:-\w+)?|nft", line)
        }
        both = programs | {name.replace("iptables", "ip6tables") for name in programs}
        return {name[:15] for name in both}


# In one transaction a table: the daemon is back before a second command could begin.
TAKE_AWAY = """iptables-save | awk '
    /^\\*/ { print }
    /^:DOCKERFW/ { name[++n] = substr($1, 2) }
    /^-A (DOCKER-USER|INPUT|PREROUTING) -j DOCKERFW/ { sub("-A", "-D"); print }
    /^COMMIT/ {
        for (i = 1; i <= n; i++) print "-F", name[i]
        for (i = 1; i <= n; i++) print "-X", name[i]
        n = 0; print
    }' | iptables-restore --noflush"""

# A set that rules name cannot go; they are back in milliseconds, so it may take a few tries.
ANOTHER_SET = """for attempt in 1 2 3 4 5 6 7 8 9; do
    printf ':%s -\\n' DOCKERFW DOCKERFW-INPUT DOCKERFW-IN DOCKERFW-END |
        sed -e '1i *filter' -e '$a COMMIT' | iptables-restore --noflush
    printf 'destroy dockerfw-guarded4\\ncreate dockerfw-guarded4 hash:ip\\n' |
        ipset restore && exit 0
done; exit 1"""

_NOTHING_MISSING = "chains and jumps stand"

DRIFTS = (
    Drift(
        "iptables -F in all tables",
        (
            "iptables -P FORWARD ACCEPT",
            *(f"iptables -t {table} -F" for table in ("nat", "mangle", "filter")),
        ),
        "IPv4: DOCKERFW was empty",
        docker=True,
    ),
    Drift(
        "our chains flushed and taken away",
        (TAKE_AWAY,),
        "IPv4: the chains of dockerfw were gone",
    ),
    Drift(
        "ACCEPT on top of FORWARD and INPUT",
        ("iptables -I FORWARD -j ACCEPT", "iptables -I INPUT -j ACCEPT"),
        "IPv4: rules of FORWARD above the jump to DOCKER-USER let packets past it: -j ACCEPT",
        undo=("iptables -D FORWARD -j ACCEPT", "iptables -D INPUT -j ACCEPT"),
    ),
    Drift(
        "ACCEPT on top of DOCKER-USER",
        ("iptables -I DOCKER-USER -j ACCEPT",),
        "IPv4: rules of DOCKER-USER above the jump to DOCKERFW let packets past it: -j ACCEPT",
        undo=("iptables -D DOCKER-USER -j ACCEPT",),
        like="ACCEPT on top of FORWARD and INPUT",
    ),
    Drift(
        "a rule of our chain deleted",
        ("iptables -D DOCKERFW-DENY 2",),
        "IPv4: 1 rule of DOCKERFW-DENY missing",
        like="ACCEPT in our chain",
    ),
    Drift(
        "ACCEPT in our chain",
        ("iptables -I DOCKERFW -j ACCEPT",),
        "IPv4: a rule that is not ours stood in DOCKERFW: -j ACCEPT",
    ),
    Drift(
        "our jumps deleted",
        (
            "iptables -D DOCKER-USER -j DOCKERFW",
            "iptables -D INPUT -j DOCKERFW-INPUT",
            "iptables -t mangle -D PREROUTING -j DOCKERFW-PRE",
        ),
        "IPv4: DOCKER-USER does not jump to DOCKERFW",
        like="our chains flushed and taken away",
    ),
    Drift(
        "our jump doubled",
        ("iptables -A DOCKER-USER -j DOCKERFW",),
        "IPv4: DOCKER-USER jumps to DOCKERFW more than once",
        safe="a packet is judged twice",
        like="our chains flushed and taken away",
    ),
    Drift(
        "Docker's jump moved down",
        # In one transaction, or a look in between finds no jump at all.
        tuple(
            r"printf '*filter\n-D FORWARD -j DOCKER-USER\n-A FORWARD -j DOCKER-USER\nCOMMIT\n' | "
            f"{tables}-restore --noflush"
            for tables in ("iptables", "ip6tables")
        ),
        "IPv4: rules of FORWARD above the jump to DOCKER-USER let packets past it",
        like="ACCEPT on top of FORWARD and INPUT",
    ),
    Drift(
        "nft flush ruleset",
        ("nft flush ruleset",),
        "the seal",
        docker=True,
        open=True,
        on_legacy=False,
        like="nft flush ruleset, with the seal included",
    ),
    Drift(
        "nft flush ruleset, with the seal included",
        ("{ echo flush ruleset; cat /var/lib/dockerfw/seal.nft; } | nft -f -",),
        "IPv4: the chains of dockerfw were gone",
        docker=True,
        on_legacy=False,
    ),
    Drift(
        "the seal deleted",
        ("nft delete table inet dockerfw",),
        "the seal (nft table inet dockerfw) was missing",
        safe=_NOTHING_MISSING,
    ),
    Drift(
        "a port taken out of the seal",
        (f"nft delete element inet dockerfw port6 {{ tcp . {PORT} }}",),
        "the seal was changed",
        safe=_NOTHING_MISSING,
    ),
    Drift(
        "a rule put into the seal",
        tuple(f"nft insert rule inet dockerfw {c} accept" for c in ("forward", "input")),
        "the seal was changed",
        safe=_NOTHING_MISSING,
        like="a port taken out of the seal",
    ),
    Drift(
        "the chains of the seal flushed",
        ("nft flush chain inet dockerfw forward", "nft flush chain inet dockerfw input"),
        "the seal was changed",
        safe=_NOTHING_MISSING,
        like="a port taken out of the seal",
    ),
    Drift("ipset flush", ("ipset flush",), "set entries missing, 0 too many", announced=False),
    Drift(
        "an entry deleted from a set",
        (f"ipset del dockerfw-port4 198.51.100.0/24,tcp:{PORT}",),
        "1 set entry missing, 0 too many",
        safe="it lets the office in",
        announced=False,
        like="ipset flush",
    ),
    Drift(
        "an entry added to a set",
        (f"ipset add dockerfw-port4 192.0.2.0/24,tcp:{PORT}",),
        "0 set entries missing, 1 too many",
        safe="it is not about those who hammer; it would let its own in, by the seal too",
        announced=False,
    ),
    Drift(
        "a set of another type in the place of ours",
        (ANOTHER_SET,),
        "set dockerfw-guarded4 was of type hash:ip: made anew as hash:net,iface",
        announced=False,
        like="ipset flush",
    ),
)  # fmt: skip


def bring_docker_back(scene: Scene, drift: Drift) -> None:
    if drift.docker:
        scene.engine.restart()


def see_it_leak(scene: Scene, drift: Drift) -> None:
    """With the chains alone, and nobody to put them right."""
    scene.host.run(["nft", "delete", "table", "inet", "dockerfw"])
    with scene.hammer() as hammer:
        hammer.go_on(seconds=60)
        assert hammer.count().total == 0, "the chains alone hold while nobody touches them"
        scene.run(*drift.do)
        if drift.open or drift.title.endswith("included"):
            scene.host.run(["nft", "delete", "table", "inet", "dockerfw"], check=False)
        leaks = becomes_true(lambda: hammer.count().total > 0)
        assert leaks, f"without the seal and the daemon nothing leaked: {hammer.count()}"
    scene.run(*drift.undo)
    bring_docker_back(scene, drift)


def named_writers(log: str) -> set[str]:
    """Whom the log blames for what was put right."""
    found = re.findall(r"\(rules were written by ([^)]*)\)", log)
    return {name for names in found for name in names.split(", ")}


def told_of_docker(scene: Scene, daemon: Daemon, said: int) -> bool:
    in_status = any(DOCKER_GONE in warning["text"] for warning in scene.status()["warnings"])
    return in_status and DOCKER_GONE in daemon.log()[said:]


# --- and what the daemon does --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stage", "drift"),
    [
        row(setup, drift)
        for setup in SETUPS
        for drift in DRIFTS
        if drift.on_legacy or not setup.legacy
    ],
    indirect=["stage"],
)
def test_what_others_change_is_put_right_and_nobody_gets_in_meanwhile(
    stage: Scene, drift: Drift
) -> None:
    scene = stage
    heard = drift.announced and not scene.setup.legacy
    scene.put_in_force(NEVER if heard else SOON)
    if not drift.safe:
        see_it_leak(scene, drift)
        scene.host.dockerfw("apply", "--yes")

    with Daemon(scene.host) as daemon, scene.hammer() as hammer:
        hammer.go_on(seconds=60)
        said = len(daemon.log())
        scene.run(*drift.do)
        assert becomes_true(scene.in_sync, PATIENCE), f"{scene.status()}\n{daemon.log()}"
        before = hammer.count().total if drift.open else 0
        hammer.go_on(seconds=60)
        assert hammer.count().total == before, f"{hammer.count()}\n{daemon.log()}"

        log = daemon.log()[said:]
        assert "warning: put right: " in log, log
        assert drift.found in log, log
        assert named_writers(log) <= drift.writers(), log
        if drift.docker:
            assert becomes_true(lambda: told_of_docker(scene, daemon, said), PATIENCE), (
                f"{scene.status()}\n{daemon.log()}"
            )
        scene.run(*drift.undo)
        bring_docker_back(scene, drift)
        assert becomes_true(scene.office_gets_in, PATIENCE), daemon.log()
        assert becomes_true(scene.in_sync, PATIENCE), f"{scene.status()}\n{daemon.log()}"
        hammer.go_on(seconds=60)
        blows = hammer.stop()
        assert blows.total == before, f"{blows}\n{daemon.log()}"
        assert daemon.stop() == 0


# --- a tool that insists -------------------------------------------------------------------------

INSIST = """
while :; do
    for program in iptables ip6tables; do
        case $($program -S FORWARD 1) in
            "-A FORWARD -j ACCEPT") ;;
            *) $program -I FORWARD 1 -j ACCEPT ;;
        esac
    done
done
"""
"""It puts its rule on top whenever another one stands there."""
INSISTED = "iptables -S FORWARD | grep -c -e '-j ACCEPT'"
GIVES_UP = "what dockerfw writes is undone by"


@pytest.fixture
def insisted(stage: Scene) -> Iterator[Scene]:
    """Without what the other tool leaves."""
    yield stage
    stage.run("while iptables -D FORWARD -j ACCEPT 2>/dev/null; do :; done")


@pytest.mark.parametrize("stage", [row(setup) for setup in SETUPS], indirect=True)
def test_with_a_tool_that_insists_as_well_it_backs_off_says_so_and_comes_back(
    insisted: Scene,
) -> None:
    scene = insisted
    scene.put_in_force(5)
    with Daemon(scene.host) as daemon, scene.hammer() as hammer:
        tool = scene.host.start(["sh", "-c", INSIST])
        daemon.until_said(GIVES_UP, patience=60)
        assert any(GIVES_UP in note for note in scene.status()["notes"])
        hammer.go_on(seconds=60)
        count = hammer.count()
        assert count.total == 0, f"the seal holds: {count}\n{daemon.log()}"
        process.end(tool)

        assert becomes_true(scene.in_sync, PATIENCE), f"{scene.status()}\n{daemon.log()}"
        healthy = lambda: not any(GIVES_UP in note for note in scene.status()["notes"])  # noqa: E731
        assert becomes_true(healthy, PATIENCE), scene.status()
        assert scene.office_gets_in()
        scene.run("iptables -I FORWARD 1 -j ACCEPT")
        assert becomes_true(scene.in_sync, PATIENCE), "it goes on as before"
        hammer.go_on(seconds=60)
        assert hammer.stop().total == 0
        assert daemon.alive
