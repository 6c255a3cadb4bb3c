"""The file of names for completion: root's alone, and never a reason to fail."""

from __future__ import annotations

from pathlib import Path

from dockerfw.state.store import Store


def test_it_is_for_its_owner_alone(tmp_path: Path) -> None:
    store = Store(tmp_path / "lib", tmp_path / "run")
    store.completion.remember("container db\n")

    path = tmp_path / "run" / "completion"
    assert path.read_text() == "container db\n"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_a_link_in_its_place_is_replaced_and_not_followed(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("as it was")
    path = tmp_path / "completion"
    path.symlink_to(elsewhere)
    Store(tmp_path / "lib", tmp_path).completion.remember("container db\n")

    assert elsewhere.read_text() == "as it was"
    assert not path.is_symlink()


def test_where_it_cannot_be_written_nothing_happens(tmp_path: Path) -> None:
    in_the_way = tmp_path / "run"
    in_the_way.write_text("no folder")
    store = Store(tmp_path / "lib", in_the_way)
    store.completion.remember("container db\n")
    store.completion.forget()

    folder = tmp_path / "completion"
    folder.mkdir()
    other = Store(tmp_path / "lib", tmp_path)
    other.completion.remember("container db\n")
    other.completion.forget()

    assert in_the_way.read_text() == "no folder"
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_it_goes_with_all_that_is_forgotten(tmp_path: Path) -> None:
    store = Store(tmp_path / "lib", tmp_path / "run")
    store.completion.remember("container db\n")
    store.forget()

    assert list((tmp_path / "run").iterdir()) == []
