"""Everything on the way to a file decides which file it is: each folder, and each link."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dockerfw.errors import PolicyError
from dockerfw.policy.files import PolicyText, collect
from dockerfw.policy.path_walk import Met, open_file

STRANGER = 65534
LIST = '[[allow]]\npublished = 80\nfrom = ["file:l.netset"]\n'
OURS, THEIRS = "192.0.2.1\n", "198.51.100.1\n"

needs_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can give files away")


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that nobody else can write to, with a policy that names a list."""
    folder = tmp_path_factory.mktemp("p")
    folder.chmod(0o755)
    write(folder / "config.toml", LIST)
    write(folder / "real" / "ours.netset", OURS)
    return folder


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(mode=0o755, exist_ok=True)
    path.write_text(text)
    path.chmod(0o644)
    return path


def give_away(path: Path) -> None:
    os.chown(path, STRANGER, 0, follow_symlinks=False)


def read(folder: Path, name: str = "config.toml") -> PolicyText:
    return collect(folder / name, for_kernel=True)


def refusal(folder: Path, name: str = "config.toml") -> str:
    with pytest.raises(PolicyError) as caught:
        read(folder, name)
    [finding] = caught.value.findings
    return finding


# --- each builds a way to a trusted list that a stranger can turn to another one, and returns who


def _link_to_a_link(folder: Path) -> Path:
    theirs = folder / "theirs"
    theirs.mkdir()
    (theirs / "second").symlink_to(folder / "real" / "ours.netset")
    (folder / "l.netset").symlink_to("theirs/second")
    give_away(theirs)
    return theirs


def _link_of_a_stranger(folder: Path) -> Path:
    link = folder / "l.netset"
    link.symlink_to("real/ours.netset")
    give_away(link)
    return link


def _link_of_a_stranger_in_a_sticky_folder(folder: Path) -> Path:
    shared = folder / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    (shared / "second").symlink_to(folder / "real" / "ours.netset")
    (folder / "l.netset").symlink_to("shared/second")
    give_away(shared / "second")
    return shared / "second"


def _linked_folder_in_the_middle(folder: Path) -> Path:
    theirs = folder / "theirs"
    theirs.mkdir()
    (theirs / "lists").symlink_to(folder / "real")
    write(folder / "config.toml", LIST.replace("l.netset", "theirs/lists/ours.netset"))
    give_away(theirs)
    return theirs


def _back_from_a_folder_behind_a_link(folder: Path) -> Path:
    theirs = folder / "theirs"
    (theirs / "inner").mkdir(parents=True)
    write(theirs / "l.netset", OURS)
    (folder / "in").symlink_to(theirs / "inner")
    (folder / "l.netset").symlink_to("in/../l.netset")
    give_away(theirs)
    return theirs


def _there_and_back(folder: Path) -> Path:
    theirs = folder / "theirs"
    theirs.mkdir()
    (folder / "l.netset").symlink_to("theirs/../real/ours.netset")
    give_away(theirs)
    return theirs


WAYS = [
    _link_to_a_link,
    _link_of_a_stranger,
    _link_of_a_stranger_in_a_sticky_folder,
    _linked_folder_in_the_middle,
    _back_from_a_folder_behind_a_link,
    _there_and_back,
]


@needs_root
@pytest.mark.parametrize("build", WAYS, ids=lambda build: build.__name__.strip("_"))
def test_what_a_stranger_can_turn_to_another_list_is_refused_and_named(
    folder: Path, build: Callable[[Path], Path]
) -> None:
    culprit = build(folder)
    found = refusal(folder)
    assert f"{culprit} belongs to user {STRANGER}" in found
    assert f"chown {'-h ' if culprit.is_symlink() else ''}root {culprit}" in found
    [warning] = collect(folder / "config.toml", for_kernel=False).warnings
    assert warning == found


@needs_root
def test_the_policy_itself_and_its_folder_of_more_are_walked_alike(folder: Path) -> None:
    theirs = folder / "theirs"
    theirs.mkdir()
    write(folder / "config.toml", "")
    (theirs / "policy").symlink_to(folder / "config.toml")
    (folder / "linked.toml").symlink_to("theirs/policy")
    give_away(theirs)
    assert f"{theirs} belongs to user {STRANGER}" in refusal(folder, "linked.toml")
    # An empty folder takes away every deny that another one would hold.
    (folder / "empty").mkdir()
    (theirs / "more").symlink_to(folder / "empty")
    (folder / "conf.d").symlink_to("theirs/more")
    assert f"{theirs} belongs to user {STRANGER}" in refusal(folder)
    (theirs / "more").unlink()
    assert f"{theirs} belongs to user {STRANGER}" in refusal(folder)


def test_links_of_trusted_users_lead_where_the_kernel_would_go(folder: Path) -> None:
    (folder / "lists").symlink_to("real/../real/.")
    (folder / "other").symlink_to(folder / "lists")
    (folder / "l.netset").symlink_to("./other//ours.netset")
    assert read(folder).files == {f"{folder}/l.netset": OURS.encode()}


def test_a_circle_of_links_ends(folder: Path) -> None:
    (folder / "l.netset").symlink_to("m.netset")
    (folder / "m.netset").symlink_to("l.netset")
    assert "Too many levels of symbolic links" in refusal(folder)


def test_open_files_are_found_by_their_paths_alone(folder: Path) -> None:
    with (folder / "real" / "ours.netset").open() as file:
        number = file.fileno()
        (folder / "l.netset").symlink_to(f"/proc/self/fd/{number}")
        assert list(read(folder).files.values()) == [OURS.encode()]
        (folder / "real" / "ours.netset").unlink()
        assert "No such file or directory" in refusal(folder)
    read_end, write_end = os.pipe()
    write(folder / "config.toml", "")
    try:
        (folder / "piped.toml").symlink_to(f"/proc/self/fd/{read_end}")
        assert "it is no regular file" in refusal(folder, "piped.toml")
    finally:
        os.close(read_end)
        os.close(write_end)


def test_the_walk_leaves_no_descriptor_open(folder: Path) -> None:
    def refuse(met: Met) -> None:
        if met.kind == "file":
            raise RuntimeError

    (folder / "l.netset").symlink_to("real/ours.netset")
    before = len(list(Path("/proc/self/fd").iterdir()))
    read(folder)
    with pytest.raises(RuntimeError):
        open_file(folder / "l.netset", refuse)
    with pytest.raises(NotADirectoryError):
        open_file(folder / "config.toml" / "x", lambda _: None)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@needs_root
@pytest.mark.parametrize("swapped", ["link", "folder"])
def test_who_swaps_names_during_the_walk_is_never_read(folder: Path, swapped: str) -> None:
    """Two names are exchanged all the time: one way is the stranger's, from its middle on."""
    for name, text in (("ours", OURS), ("theirs", THEIRS)):
        write(folder / name / "l.netset", text)
    give_away(folder / "theirs")
    write(folder / "config.toml", LIST.replace("l.netset", "way/l.netset"))
    if swapped == "link":
        ends = [Path("ours"), Path("theirs")]
    else:
        ends = [folder / "ours", folder / "theirs"]
    with _exchanging(folder, ends, links=swapped == "link"):
        outcomes = {_outcome(folder) for _ in range(200)}
    assert outcomes == {OURS, "refused"}


def _outcome(folder: Path) -> str:
    try:
        [found] = read(folder).files.values()
    except PolicyError:
        return "refused"
    return found.decode()


@contextmanager
def _exchanging(folder: Path, ends: list[Path], *, links: bool) -> Iterator[None]:
    """While this holds, ``way`` is one of the two ends, then the other one, and so on."""
    stop, way = threading.Event(), folder / "way"

    def with_links() -> None:
        while not stop.is_set():
            for end in ends:
                (folder / "new").symlink_to(end)
                (folder / "new").rename(way)

    def with_folders() -> None:
        while not stop.is_set():
            for end in ends:
                end.rename(way)
                way.rename(end)

    if links:
        way.symlink_to(ends[0])
    thread = threading.Thread(target=with_links if links else with_folders)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
