"""What a policy holds is not shown to a user of sudo who may not read it."""

from __future__ import annotations

import os
import pwd
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from dockerfw.cli.options import read_inventory
from dockerfw.errors import PolicyError, UsageError
from dockerfw.policy.files import PolicyText, collect
from dockerfw.policy.path_walk import Met
from dockerfw.policy.trust import problem

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="only root reads what others may not")

USER = pwd.getpwnam("nobody")
TOLD = "hush-hush"
HIDDEN = "what is wrong here is not shown: you may not read this file without sudo"
GROUP_ACL = bytes.fromhex("02000000" "01000600ffffffff" "02000400" "fe2f0000" "04000400ffffffff"
                          "10000400ffffffff" "20000400ffffffff")  # fmt: skip
"""Mode 0644, and a named user (12286) who may read."""


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that everyone can read, and a process that this user has begun with sudo."""
    monkeypatch.setenv("SUDO_UID", str(USER.pw_uid))
    with tempfile.TemporaryDirectory() as folder:  # those of pytest are root's alone
        Path(folder).chmod(0o755)
        yield Path(folder)


def write(path: Path, text: str, mode: int = 0o644) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


def findings(path: Path) -> str:
    with pytest.raises(PolicyError) as caught:
        collect(path, for_kernel=False)
    return str(caught.value)


BROKEN = f'[[allow]]\npublished = 80\nfrom = [\n  "{TOLD}",\n]\n{TOLD} = 1\n'
"""Faults in lines 4 and 6."""


@pytest.mark.parametrize(
    "text",
    [f"root:{TOLD}:19000\n", f"x = {TOLD}\n", f'[{TOLD}]\n"{TOLD}" = 1\n', BROKEN],
)
def test_a_policy_that_the_user_may_not_read_is_not_quoted(folder: Path, text: str) -> None:
    path = write(folder / "config.toml", text, 0o600)
    found = findings(path)
    assert "hush" not in found
    assert HIDDEN in found


def test_lines_and_keys_of_the_grammar_are_shown_all_the_same(folder: Path) -> None:
    path = write(folder / "config.toml", BROKEN, 0o600)
    assert findings(path).split("\n") == [
        f"{path}:4: `from`: {HIDDEN}",
        f"{path}:6: `allow`: {HIDDEN}",
    ]


def test_a_list_that_the_user_may_not_read_is_not_quoted(folder: Path) -> None:
    shadow = write(folder / "shadow", f"192.0.2.1\nroot:{TOLD}\n", 0o600)
    path = write(folder / "mine.toml", '[[allow]]\npublished = 80\nfrom = "file:shadow"\n')
    assert findings(path) == f"{shadow}:2: {HIDDEN}"


def test_names_of_a_hidden_document_are_not_proposed_in_another_one(folder: Path) -> None:
    (folder / "conf.d").mkdir(mode=0o755)
    write(folder / "conf.d" / "a.toml", f'[sources]\n{TOLD} = "192.0.2.1"\n', 0o600)
    path = write(folder / "config.toml", '[[allow]]\npublished = 80\nfrom = "hush-hus"\n')
    assert findings(path) == f"{path}:3: `from`: {HIDDEN}"


def test_what_is_odd_in_a_valid_policy_is_not_quoted_either(folder: Path) -> None:
    path = write(folder / "config.toml", '[[allow]]\npublished = 80\nfrom = "0.0.0.0/0"\n', 0o600)
    text = collect(path, for_kernel=False)
    assert text.parse().warnings == (f"{path}:3: `from`: {HIDDEN}",)
    assert text.without_contents([f"{path}:1: {TOLD}", "other:1: x"]) == (
        f"{path}:1: {HIDDEN}",
        "other:1: x",
    )


def judged(path: Path) -> bool:
    """Return True if the contents of this policy are shown."""
    text: PolicyText = collect(path, for_kernel=False)
    return not text.hidden


@pytest.mark.parametrize(
    ("mode", "owner", "group", "shown"),
    [
        (0o644, 0, 0, True),
        (0o640, 0, 0, False),
        (0o640, 0, USER.pw_gid, True),
        (0o604, 0, USER.pw_gid, False),
        (0o600, USER.pw_uid, 0, True),
        (0o044, USER.pw_uid, USER.pw_gid, False),
    ],
)
def test_owner_group_and_others_are_judged_as_the_kernel_does(
    folder: Path, mode: int, owner: int, group: int, shown: bool
) -> None:
    path = write(folder / "config.toml", "", mode)
    os.chown(path, owner, group)
    path.chmod(mode)
    assert judged(path) == shown


def test_a_folder_that_the_user_may_not_go_through_hides_all_below(folder: Path) -> None:
    (folder / "inner").mkdir()
    path = write(folder / "inner" / "config.toml", "")
    (folder / "link.toml").symlink_to(path)
    assert judged(path)
    (folder / "inner").chmod(0o744)
    assert not judged(path)
    assert not judged(folder / "link.toml")


def test_an_access_control_list_hides(folder: Path) -> None:
    path = write(folder / "config.toml", "")
    try:
        os.setxattr(path, "system.posix_acl_access", GROUP_ACL)
    except OSError as error:
        pytest.skip(f"no access control lists here: {error.strerror}")
    assert not judged(path)


def test_a_user_without_a_name_may_be_in_any_group(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUDO_UID", "54321")
    path = write(folder / "config.toml", "", 0o604)
    assert not judged(path)
    path.chmod(0o644)
    assert judged(path)


def test_without_sudo_and_for_root_all_is_shown(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(folder / "config.toml", BROKEN, 0o600)
    monkeypatch.setenv("SUDO_UID", "0")
    assert TOLD in findings(path)
    monkeypatch.delenv("SUDO_UID")
    assert TOLD in findings(path)


def test_an_inventory_that_the_user_may_not_read_is_not_quoted(folder: Path) -> None:
    path = write(folder / "config.json", f'{{"{TOLD}": 1}}', 0o600)
    with pytest.raises(UsageError, match="you may not read it without sudo"):
        read_inventory(path)


def test_a_home_is_not_to_be_given_to_root() -> None:
    found = os.stat_result((0o40755, 0, 0, 0, 1000, 1000, 0, 0, 0, 0))
    told = problem(Met("folder", "/home/alice", found, -1), frozenset({0}), "config.toml")
    assert told is not None
    assert "chown" not in told.text
    assert "keep the policy where every folder is root's" in told.text
