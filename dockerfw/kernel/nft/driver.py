"""Reads and writes the seal: nft table ``inet dockerfw``, which drops what reaches a container
without our bit, and ``bridge dockerfw``, which drops frames that no rule gets to see.

Touches no other table, and lists no other one: an old ``nft`` crashes on tables that a newer one
wrote. To print a rule with a cgroup nft looks for the inode in the whole tree of cgroups: a tenth
of a millisecond each, when the table is read.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from dockerfw.errors import Failed
from dockerfw.kernel.nft import bindings
from dockerfw.kernel.nft.frames import TRY as TRY_FRAMES
from dockerfw.kernel.nft.parse import parse, parse_table
from dockerfw.kernel.nft.render import TRY_LABELS, closes, labels, render, try_cgroup
from dockerfw.kernel.runner import Runner, fail, require
from dockerfw.model.host import Cgroup
from dockerfw.plan.state import SealState
from dockerfw.plan.steps import ReplaceSeal, ReplaceSealRules, WriteSeal
from dockerfw.rules.bindings import Bindings
from dockerfw.rules.names import BINDINGS_TABLE, FRAMES_TABLE, SEAL_TABLE


def read(runner: Runner, *, frames: bool) -> SealState | None:
    """Return the live seal; None when nothing of it stands. Raises `Failed`.

    ``frames``: this kernel has the bridge family.
    """
    tables = (SEAL_TABLE, FRAMES_TABLE) if frames else (SEAL_TABLE,)
    listings = [text for table in tables if (text := _listing(runner, table)) is not None]
    return parse(listings) if listings else None


def _listing(runner: Runner, table: tuple[str, str]) -> str | None:
    argv = ["nft", "--stateless", "--numeric", "list", "table", *table]
    done = runner.run(argv)
    if done.status > 0 and "No such file or directory" in done.stderr:
        return None
    if done.status != 0:
        fail(argv, done)
    return done.stdout


def bindings_stand(runner: Runner, wanted: Bindings | None) -> bool:
    """Return True if the table of bindings is as it should be; None: there should be none.

    Raises `Failed`.
    """
    listing = _listing(runner, BINDINGS_TABLE)
    if wanted is None or listing is None:
        return wanted is None and listing is None
    frame, elements = parse_table(listing)
    return (frame, frozenset(elements)) == bindings.expected(wanted)


def write_bindings(runner: Runner, wanted: Bindings | None) -> None:
    """Replace the table of bindings, or take it out, in one transaction. Raises `Failed`.

    Not element by element: for that ``nft`` reads every set of the host first (1 to 1.5 s beside
    100,000 intervals of somebody's; the whole table takes 20 to 40 ms, 1,000 containers in it).
    """
    require(runner, ["nft", "-f", "-"], bindings.document(wanted))


def commit(runner: Runner, step: WriteSeal) -> None:
    """Write a step in one transaction. Raises `Failed`.

    A cgroup may have gone since it was seen, and nft refuses a rule on one that is not there: then
    all but that is written. What reads the seal next sees that it is not as it should be.
    """
    argv = ["nft", "-f", "-"]
    try:
        require(runner, argv, render(step))
    except Failed:
        bare = _without_cgroup(step)
        if bare is None:
            raise
        require(runner, argv, render(bare))


def _without_cgroup(step: WriteSeal) -> WriteSeal | None:
    """None: it is without one."""
    write = step.write
    if not isinstance(write, ReplaceSeal | ReplaceSealRules) or write.seal.proxies is None:
        return None
    return replace(step, write=replace(write, seal=replace(write.seal, proxies=None)))


def knows_labels(runner: Runner) -> bool:
    """Return True if this kernel and this nft can label connections. Writes nothing.

    Where nft crashes when it is asked, they can if they have done it.
    """
    status = runner.run(["nft", "--check", "-f", "-"], TRY_LABELS).status
    return status == 0 or (status < 0 and labels(read(runner, frames=False)))


def knows_frames(runner: Runner) -> bool:
    """Return True if this kernel and this nft can filter frames between ports of bridges.

    Where nft crashes when it is asked, they can if they do.
    """
    status = runner.run(["nft", "--check", "-f", "-"], TRY_FRAMES).status
    return status == 0 or (status < 0 and _listing(runner, FRAMES_TABLE) is not None)


def knows_cgroups(runner: Runner, cgroup: Cgroup) -> Literal["closed", "unsupported", "crashed"]:
    """Return "closed" if this kernel and this nft can match sockets by that cgroup, else why not.

    Writes nothing. Where nft crashes when it is asked, a rule on that cgroup that stands is kept.
    """
    document = try_cgroup(cgroup)
    if document is None:
        return "unsupported"
    status = runner.run(["nft", "--check", "-f", "-"], document).status
    if status < 0:
        return "closed" if closes(read(runner, frames=False), cgroup) else "crashed"
    return "closed" if status == 0 else "unsupported"
