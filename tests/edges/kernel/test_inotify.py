"""Which files are reported as changed: written, replaced, moved, behind links, made later.

Events are in the queue before the call that caused them returns, so nothing is waited for.
"""

from __future__ import annotations

import shutil
import socket
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import pytest

from dockerfw.kernel import inotify as module
from dockerfw.kernel.inotify import FileNotices


@pytest.fixture
def files() -> Iterator[FileNotices]:
    files = FileNotices()
    yield files
    files.close()


def replace(path: Path, text: str = "new") -> None:
    """As editors, package managers and dockerfw itself do."""
    fresh = path.with_name(f"{path.name}.tmp")
    fresh.write_text(text)
    fresh.replace(path)


def remove(path: Path) -> None:
    path.unlink()


def move_away(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))


@pytest.mark.parametrize(
    "change", [Path.write_text, replace, remove, move_away], ids=lambda change: change.__name__
)
def test_a_file_that_was_written_replaced_or_taken_away_is_told(
    files: FileNotices, tmp_path: Path, change: Callable[..., object]
) -> None:
    path = tmp_path / "list"
    path.write_text("old")
    assert files.watch([path]) == frozenset()
    assert files.read() == frozenset()

    change(path, "new") if change is Path.write_text else change(path)

    assert files.read() == {path}
    assert files.read() == frozenset()


def test_a_socket_is_told_when_it_is_made(files: FileNotices, tmp_path: Path) -> None:
    """Nobody closes it after writing; nor is its folder there before Docker's first start."""
    path = tmp_path / "run" / "docker.sock"
    files.watch([path])
    path.parent.mkdir()
    assert files.read() == frozenset()
    for _ in range(2):
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(path))
            assert files.read() == {path}
        path.unlink()
        assert files.read() == {path}


def test_a_file_is_told_when_it_is_closed_and_not_before(
    files: FileNotices, tmp_path: Path
) -> None:
    path = tmp_path / "list"
    files.watch([path])
    with path.open("w") as half:
        half.write("half")
        half.flush()
        assert files.read() == frozenset()
    assert files.read() == {path}


def test_a_file_that_is_replaced_again_and_again_is_told_each_time(
    files: FileNotices, tmp_path: Path
) -> None:
    path = tmp_path / "list"
    path.write_text("old")
    files.watch([path])
    for _ in range(3):
        replace(path)
        assert files.read() == {path}
    path.write_text("in place")
    assert files.read() == {path}


def test_other_files_of_the_folder_and_readers_are_not_told(
    files: FileNotices, tmp_path: Path
) -> None:
    path = tmp_path / "list"
    path.write_text("old")
    files.watch([path])
    (tmp_path / "other").write_text("x")
    replace(tmp_path / "another")
    path.read_text()

    assert files.read() == frozenset()
    replace(path)
    assert files.read() == {path}


def test_a_file_is_told_whose_folders_are_made_later(files: FileNotices, tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "list"
    assert files.watch([path]) == frozenset()
    path.parent.mkdir(parents=True)
    assert files.read() == frozenset(), "there is no file yet"
    path.write_text("new")
    assert files.read() == {path}


def test_a_file_is_told_that_was_there_before_its_new_folder_could_be_watched(
    files: FileNotices, tmp_path: Path
) -> None:
    path = tmp_path / "a" / "b" / "list"
    files.watch([path])
    path.parent.mkdir(parents=True)
    path.write_text("new")

    assert files.read() == {path}


def test_a_folder_that_appears_while_the_watches_are_set_is_not_missed(
    files: FileNotices, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a" / "list"
    walks = module._walks

    def made_behind_our_back(paths: Collection[Path]) -> dict[Path, dict[str, set[Path]]]:
        walked = walks(paths)
        path.parent.mkdir(exist_ok=True)
        return walked

    monkeypatch.setattr(module, "_walks", made_behind_our_back)
    files.watch([path])
    path.write_text("new")

    assert files.read() == {path}


def test_a_folder_that_is_moved_into_place_or_away_tells_of_its_files(
    files: FileNotices, tmp_path: Path
) -> None:
    path = tmp_path / "policy" / "list"
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    (fresh / "list").write_text("new")
    files.watch([path])

    fresh.rename(path.parent)
    assert files.read() == {path}
    path.parent.rename(tmp_path / "old")
    assert files.read() == {path}
    (tmp_path / "old" / "list").write_text("not ours any more")
    assert files.read() == frozenset()
    path.parent.mkdir()
    path.write_text("ours")
    assert files.read() == {path}
    shutil.rmtree(path.parent)
    assert files.read() == {path}


def test_of_a_symbolic_link_both_the_link_and_its_target_are_followed(
    files: FileNotices, tmp_path: Path
) -> None:
    first, second = tmp_path / "data" / "first", tmp_path / "data" / "second"
    first.parent.mkdir()
    first.write_text("1")
    second.write_text("2")
    path = tmp_path / "etc" / "list"
    path.parent.mkdir()
    path.symlink_to(first)
    files.watch([path])

    first.write_text("rewritten")
    assert files.read() == {path}
    replace(first)
    assert files.read() == {path}
    second.write_text("nobody's")
    assert files.read() == frozenset()
    path.with_name("fresh").symlink_to(second)
    path.with_name("fresh").replace(path)
    assert files.read() == {path}
    second.write_text("ours now")
    assert files.read() == {path}
    first.write_text("nobody's now")
    assert files.read() == frozenset()


def test_a_folder_that_is_a_link_may_be_pointed_elsewhere(
    files: FileNotices, tmp_path: Path
) -> None:
    """As mounted configurations are swapped: all files at once, by one link."""
    for version in ("1", "2"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "list").write_text(version)
    current, path = tmp_path / "current", tmp_path / "list"
    current.symlink_to("1")
    path.symlink_to("current/list")
    files.watch([path])

    (tmp_path / "fresh").symlink_to("2")
    (tmp_path / "fresh").replace(current)

    assert files.read() == {path}
    (tmp_path / "2" / "list").write_text("rewritten")
    assert files.read() == {path}


def test_a_link_into_nowhere_is_told_once_its_target_is_there(
    files: FileNotices, tmp_path: Path
) -> None:
    path = tmp_path / "list"
    files.watch([path])
    path.symlink_to("later/target")
    assert files.read() == frozenset()
    (tmp_path / "later").mkdir()
    (tmp_path / "later" / "target").write_text("new")
    assert files.read() == {path}


def test_links_in_a_circle_and_a_file_in_the_place_of_a_folder_do_no_harm(
    files: FileNotices, tmp_path: Path
) -> None:
    loop, below = tmp_path / "loop", tmp_path / "file" / "list"
    loop.symlink_to("loop")
    (tmp_path / "file").write_text("no folder")
    files.watch([loop, below])
    assert files.read() == frozenset()

    loop.unlink()
    loop.write_text("a file")
    (tmp_path / "file").unlink()
    below.parent.mkdir()
    below.write_text("a file")
    assert files.read() == {loop, below}


def test_watching_others_forgets_those_of_before_and_loses_nothing_of_those_that_stay(
    files: FileNotices, tmp_path: Path
) -> None:
    gone, stays, new = (tmp_path / name for name in ("gone", "stays", "new"))
    files.watch([gone, stays])
    for path in (gone, stays, new):
        path.write_text("x")
    files.watch([stays, new])

    assert files.read() >= {stays}
    gone.write_text("y")
    assert files.read() == frozenset()
    new.write_text("y")
    assert files.read() == {new}
    files.watch([])
    new.write_text("z")
    assert files.read() == frozenset()


def test_more_events_than_the_kernel_keeps_mean_that_everything_may_have_changed(
    files: FileNotices, tmp_path: Path
) -> None:
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    path, noise = tmp_path / "list", tmp_path / "noise"
    path.write_text("old")
    files.watch([path])
    noise.touch()
    other = tmp_path / "other"
    for _ in range(limit // 2 + 1):
        noise.rename(other)
        other.rename(noise)

    assert files.read() == {path}
    path.write_text("new")
    assert files.read() == {path}
