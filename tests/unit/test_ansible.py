"""What the collection of Ansible lays and takes back, and when it says that rules stand."""

from __future__ import annotations

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

from tests.paths import REPOSITORY

COLLECTION = REPOSITORY / "packaging" / "ansible"


def part(name: str) -> Any:
    """A module of the collection, which Ansible itself would put into a package of its own."""
    spec = spec_from_file_location(name, COLLECTION / "plugins" / "module_utils" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


tree, watched, words = part("tree"), part("watched"), part("words")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of a policy, with a part and a list."""
    made = tmp_path / "etc" / "dockerfw"
    (made / "conf.d").mkdir(parents=True)
    for name, text in (("config.toml", "old"), ("a.netset", "1\n"), ("conf.d/own.toml", "own")):
        (made / name).write_text(text)
        (made / name).chmod(0o640)
    return made


def files(folder: Path) -> dict[str, tuple[str, int]]:
    """Text and mode of each file in a folder."""
    return {
        str(path.relative_to(folder)): (path.read_text(), path.stat().st_mode & 0o777)
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_only_what_differs_is_laid_and_what_is_there_keeps_its_mode(folder: Path) -> None:
    laid = tree.Tree(folder, {"config.toml": "new", "a.netset": "1\n", "lists/b": "2\n"})

    laid.lay()

    assert laid.differs == ["config.toml", "lists/b"]
    assert files(folder) == {
        "config.toml": ("new", 0o640),
        "a.netset": ("1\n", 0o640),
        "conf.d/own.toml": ("own", 0o640),
        "lists/b": ("2\n", 0o600),
    }


def test_a_link_stays_one(folder: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept.toml"
    (folder / "config.toml").rename(kept)
    (folder / "config.toml").symlink_to(kept)

    tree.Tree(folder, {"config.toml": "new"}).lay()

    assert (folder / "config.toml").is_symlink()
    assert kept.read_text() == "new"


def test_what_was_laid_is_taken_back_with_its_folders(folder: Path) -> None:
    before = files(folder)
    laid = tree.Tree(folder, {"config.toml": "new", "a.netset": None, "lists/b": "2\n"})

    laid.lay()
    assert "a.netset" not in files(folder)
    laid.restore()

    assert files(folder) == before
    assert not (folder / "lists").exists()


def test_the_wanted_policy_is_tried_beside_all_that_stays(folder: Path, tmp_path: Path) -> None:
    staged = tmp_path / "staged"
    staged.mkdir()
    wanted = {"config.toml": "new", "conf.d/more.toml": "more", "a.netset": None}

    tree.Tree(folder, wanted).stage(staged)

    texts = {str(p.relative_to(staged)): p.read_text() for p in staged.rglob("*") if p.is_file()}
    assert texts == {"config.toml": "new", "conf.d/more.toml": "more", "conf.d/own.toml": "own"}


def test_a_policy_is_tried_where_there_is_none(tmp_path: Path) -> None:
    staged = tmp_path / "staged"
    staged.mkdir()

    tree.Tree(tmp_path / "missing", {"conf.d/a.toml": "a"}).stage(staged)

    assert (staged / "conf.d" / "a.toml").read_text() == "a"


@pytest.mark.parametrize("name", ["/etc/passwd", "../passwd", "conf.d/../../passwd", "", "."])
def test_a_path_that_leads_elsewhere_is_refused(folder: Path, name: str) -> None:
    with pytest.raises(tree.Wrong, match="no path below the folder of the policy"):
        tree.Tree(folder, {name: "text"})


def test_a_file_that_is_a_folder_is_refused(folder: Path) -> None:
    with pytest.raises(tree.Wrong, match=r"conf\.d cannot be read"):
        tree.Tree(folder, {"conf.d": "text"})


def test_an_apply_that_fails_takes_the_files_back_and_is_quoted(folder: Path) -> None:
    before = files(folder)
    laid = tree.Tree(folder, {"config.toml": "new"})

    why = watched.through(
        laid, ["sh", "-c", "grep -q new $0 && echo refused >&2; exit 2", folder / "config.toml"]
    )

    assert why == "refused"
    assert files(folder) == before


def test_an_apply_that_is_not_there_takes_the_files_back(folder: Path) -> None:
    before = files(folder)

    why = watched.through(tree.Tree(folder, {"config.toml": "new"}), [str(folder / "nothing")])

    assert "No such file" in why
    assert files(folder) == before


def test_rules_stand_once_an_apply_has_said_something(folder: Path, tmp_path: Path) -> None:
    """And it is not through before somebody has confirmed it."""
    confirmed = tmp_path / "confirmed"
    script = 'echo Applied.; until [ -e "$0" ]; do sleep 0.01; done'

    why = watched.through(
        tree.Tree(folder, {"config.toml": "new"}),
        ["timeout", "30", "sh", "-c", script, str(confirmed)],
        confirmed.touch,
    )

    assert why is None
    assert files(folder)["config.toml"][0] == "new"


def test_what_dockerfw_says_has_file_and_line_first() -> None:
    mistake = {"file": "/etc/dockerfw/config.toml", "line": 3, "text": "unknown key"}
    general = {"file": None, "line": None, "text": "Docker does not answer"}

    said = words.sentences([mistake, general])

    assert said == "/etc/dockerfw/config.toml:3: unknown key; Docker does not answer"


def test_a_long_list_is_not_shown_line_by_line() -> None:
    assert words.file_diff("list", "", "1\n")["after"] == "1\n"
    assert "after" not in words.file_diff("list", "", "1" * 200_000)
