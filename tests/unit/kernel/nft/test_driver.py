"""How the seal is read and written; no kernel is touched here."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dockerfw.errors import Failed
from dockerfw.kernel.nft import driver as nft
from dockerfw.kernel.nft.render import document, expected, render
from dockerfw.kernel.runner import Completed
from dockerfw.model.host import Cgroup
from dockerfw.plan.seal import SealUpdate, update_seal
from dockerfw.plan.steps import RemoveSeal, ReplaceSeal, ReplaceSealRules, WriteSeal
from dockerfw.rules.ruleset import Frames
from tests.unit.kernel.fake_runner import FakeRunner, broken
from tests.unit.kernel.nft.listing import LIST_FRAMES, LIST_SEAL, SEAL, listed, tables

CGROUP = Cgroup("dockerd.slice", 1, 4711)


def test_a_seal_that_stands_is_in_sync() -> None:
    live = nft.read(FakeRunner({LIST_SEAL: listed(document(SEAL))}), frames=False)
    assert live == expected(SEAL)
    assert update_seal(live, expected(SEAL), SEAL) == SealUpdate()


FRAMED = replace(SEAL, frames=Frames(frozenset({"veth0a1b2c3d"})))


def test_both_halves_are_read_and_one_that_is_gone_is_seen() -> None:
    packets, frames = tables(document(FRAMED))
    gone = broken("Error: No such file or directory\nlist table\n")
    both = nft.read(FakeRunner({LIST_SEAL: packets, LIST_FRAMES: frames}), frames=True)
    assert both == expected(FRAMED)
    half = nft.read(FakeRunner({LIST_SEAL: packets, LIST_FRAMES: gone}), frames=True)
    assert half == expected(SEAL)
    rest = update_seal(half, expected(FRAMED), FRAMED).rest
    assert rest == WriteSeal("the seal", ReplaceSeal(FRAMED))
    other = nft.read(FakeRunner({LIST_SEAL: gone, LIST_FRAMES: frames}), frames=True)
    assert other is not None
    assert other.tables == {"bridge"}
    assert nft.read(FakeRunner({LIST_SEAL: gone, LIST_FRAMES: gone}), frames=True) is None


def test_a_table_that_is_not_there_is_none() -> None:
    gone = broken("Error: No such file or directory\nlist table inet dockerfw\n")
    assert nft.read(FakeRunner({LIST_SEAL: gone}), frames=False) is None


def test_a_table_that_cannot_be_listed_is_an_error() -> None:
    with pytest.raises(Failed, match="nft failed"):
        nft.read(FakeRunner({LIST_SEAL: broken("Error: syntax error")}), frames=False)


def test_a_crash_is_reported_by_its_signal() -> None:
    with pytest.raises(Failed, match=r"nft crashed \(SIGSEGV\)"):
        nft.read(FakeRunner({LIST_SEAL: broken("", -11)}), frames=False)


def test_a_step_is_one_document() -> None:
    runner = FakeRunner({"nft -f -": ""})
    nft.commit(runner, WriteSeal("the seal", ReplaceSeal(SEAL)))
    nft.commit(runner, WriteSeal("remove the seal", RemoveSeal()))
    assert runner.ran == [
        ("nft -f -", document(SEAL)),
        ("nft -f -", "add table inet dockerfw\ndelete table inet dockerfw\n"),
    ]


@pytest.mark.parametrize(
    "answer, known",
    [
        ("", "closed"),
        (broken("Error: syntax error"), "unsupported"),
    ],
)
def test_whether_cgroups_can_be_matched_is_tried_without_writing(
    answer: str | Completed, known: str
) -> None:
    runner = FakeRunner({"nft --check -f -": answer})
    assert nft.knows_cgroups(runner, CGROUP) == known
    ((_, text),) = runner.ran
    assert text is not None
    assert text.splitlines()[0] == "add table inet dockerfw_try"
    assert text.splitlines()[-1] == (
        "add rule inet dockerfw_try input meta l4proto { tcp, udp } "
        'socket cgroupv2 level 1 "dockerd.slice" counter drop'
    )


UNIT = Cgroup("system.slice/docker.service", 2, 4712, unit=True)


@pytest.mark.parametrize("observe", [True, False])
def test_after_a_crash_what_stands_is_kept_and_nothing_else_is_taken_for_known(
    *, observe: bool
) -> None:
    seal = replace(SEAL, observe=observe, proxies=UNIT)
    crashes: dict[str, str | Completed] = {
        "nft --check -f -": broken("", -11),
        LIST_SEAL: listed(document(seal)),
    }
    runner = FakeRunner(crashes)
    assert nft.knows_labels(runner)
    assert nft.knows_frames(FakeRunner({**crashes, LIST_FRAMES: "table bridge dockerfw {\n}\n"}))
    assert nft.knows_cgroups(runner, UNIT) == "closed"
    assert nft.knows_cgroups(runner, replace(UNIT, inode=4713)) == "crashed", "made anew"
    for bare in ("", listed(document(replace(SEAL, labels=False)))):
        gone = broken("No such file or directory")
        runner = FakeRunner({**crashes, LIST_SEAL: bare or gone, LIST_FRAMES: gone})
        assert not nft.knows_labels(runner)
        assert not nft.knows_frames(runner)
        assert nft.knows_cgroups(runner, UNIT) == "crashed"


def test_a_cgroup_that_has_gone_is_left_out_and_every_other_error_is_one() -> None:
    seal = replace(SEAL, proxies=UNIT)
    for write in (ReplaceSeal(seal), ReplaceSealRules(seal)):
        runner = FakeRunner({"nft -f -": broken("Error: cgroupv2 path fails")})
        with pytest.raises(Failed):
            nft.commit(runner, WriteSeal("the seal", write))
        bare = WriteSeal("the seal", replace(write, seal=SEAL))
        assert runner.ran[-1] == ("nft -f -", render(bare))
    runner = FakeRunner({"nft -f -": broken("Error: syntax error")})
    with pytest.raises(Failed):
        nft.commit(runner, WriteSeal("the seal", ReplaceSeal(SEAL)))
    assert len(runner.ran) == 1, "there is nothing to leave out"


@pytest.mark.parametrize("path", ['a"b', "a b", "a\nb", "a\\x2db", "a;b", "", "x" * 201])
def test_a_cgroup_that_nft_cannot_write_is_not_tried(path: str) -> None:
    runner = FakeRunner()
    assert nft.knows_cgroups(runner, Cgroup(path, 1, 4711)) == "unsupported"
    assert runner.ran == []
