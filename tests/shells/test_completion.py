"""TAB in real shells: commands, options, and the names that dockerfw wrote down last."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.shells.shell import Shells

SHELLS = ("bash", "zsh", "fish")
NAMES = """\
container db
container web
container x.y_z-1
source lists.of-office_1
source office
source vpn
target :53/udp
target :8080
target db:5432
target web:53/udp
target web:80
"""
RULES = '[[allow]]  # root\nto = "web"\n\n[[allow]]  # root: ticket 42\nto = "db"\n'
WRONG = re.compile(r"bash:|zsh:|fish:|error|warning|No such|not found|Traceback", re.IGNORECASE)


@pytest.fixture
def shells(tmp_path: Path) -> Shells:
    found = Shells(tmp_path)
    found.names.write_text(NAMES)
    for number in (3, 12):
        (found.history / str(number)).mkdir()
    (found.config.parent / "conf.d").mkdir()
    (found.config.parent / "conf.d" / "temporary.toml").write_text(RULES)
    (tmp_path / "policy.toml").touch()
    return found


COMPLETED = {
    "expl": "explain",
    "plan --si": "plan --since",
    "denied --sort=noi": "denied --sort=noisiest",
    "denied --sort noi": "denied --sort noisiest",
    "completion z": "completion zsh",
    "explain off": "explain office",
    "explain x": "explain x.y_z-1",
    "probe --from lis": "probe --from lists.of-office_1",
    "explain office db:54": "explain office db:5432",
    "explain office db:": "explain office db:5432",
    "explain office web:5": "explain office web:53/udp",
    "explain office :80": "explain office :8080",
    "allow --for 2h --yes office d": "allow --for 2h --yes office db:5432",
    "plan --since 1": "plan --since 12",
    "check -c pol": "check -c policy.toml",
    "check --config=pol": "check --config=policy.toml",
}
OFFERED = {
    "": {"apply", "status", "completion"},
    "allow --": {"--for", "--end", "--help"},
    "allow ": {"any", "office", "vpn", "web"},
    "explain ": {"host", "office", "web"},
    "explain office w": {"web", "web:80", "web:53/udp"},
    "allow --end ": {"1", "2"},
    "plan --since ": {"3", "12"},
}


@pytest.mark.parametrize("shell", SHELLS)
def test_what_is_the_only_one_stands_there_at_tab(shells: Shells, shell: str) -> None:
    tabs = shells.tabs(shell, *(f"dockerfw {typed}" for typed in COMPLETED))

    assert [" ".join(tab.typed) for tab in tabs] == list(COMPLETED.values())


@pytest.mark.parametrize("shell", SHELLS)
def test_all_that_may_stand_there_are_shown_at_tab(shells: Shells, shell: str) -> None:
    tabs = shells.tabs(shell, *(f"dockerfw {typed}" for typed in OFFERED))

    missing = [words - tab.offered for tab, words in zip(tabs, OFFERED.values(), strict=True)]
    assert missing == [set()] * len(OFFERED)


def _absent(names: Path) -> None:
    names.unlink()


def _link(names: Path) -> None:
    names.rename(names.with_name("elsewhere"))
    names.symlink_to("elsewhere")


def _folder(names: Path) -> None:
    names.unlink()
    names.mkdir()


def _pipe(names: Path) -> None:
    names.unlink()
    os.mkfifo(names)


def _garbage(names: Path) -> None:
    names.write_bytes(b"\0\xff\x1b[2Jsource\n[]{}*\n" + bytes(range(256)) * 20)


def _hostile(names: Path) -> None:
    names.write_text(
        "container $(touch${IFS}harmed)\ncontainer `touch harmed`\ncontainer db;touch harmed\n"
        "container -rf\ncontainer \x1b[2J\ncontainer *\n"
    )


@pytest.mark.parametrize("shell", SHELLS)
def test_without_usable_names_nothing_is_said_and_none_is_offered(
    shells: Shells, shell: str
) -> None:
    for broken in (_absent, _link, _folder, _pipe, _garbage, _hostile):
        shells.names.parent.joinpath("elsewhere").unlink(missing_ok=True)
        if shells.names.is_dir():
            shells.names.rmdir()
        shells.names.unlink(missing_ok=True)
        shells.names.write_text(NAMES)
        broken(shells.names)

        typed = "dockerfw explain office d", "dockerfw explain "
        first, second = shells.tabs(shell, *typed)

        assert first.typed == ["explain", "office", "d"], broken
        assert not WRONG.search(first.shown + second.shown), broken
        assert "-rf" not in second.shown, broken
        assert not (shells.folder / "harmed").exists()


@pytest.mark.parametrize("shell", SHELLS)
def test_no_history_and_no_rules_are_no_error_either(shells: Shells, shell: str) -> None:
    shells.history.joinpath("3").rmdir()
    shells.history.joinpath("12").rmdir()
    (shells.config.parent / "conf.d" / "temporary.toml").unlink()

    typed = "dockerfw plan --since ", "dockerfw allow --end "
    for line, tab in zip(typed, shells.tabs(shell, *typed), strict=True):
        assert not WRONG.search(tab.shown)
        # A `*` would become the names of files, as arguments of root's.
        assert tab.typed[:3] == line.split()[1:]


def test_a_word_with_a_space_or_a_quote_is_one_word(shells: Shells) -> None:
    typed = """dockerfw allow --reason "ticket 42" --for 2h of"""
    for shell in ("bash", "zsh"):
        (tab,) = shells.tabs(shell, typed)
        assert tab.typed == ["allow", "--reason", "ticket 42", "--for", "2h", "office"]
