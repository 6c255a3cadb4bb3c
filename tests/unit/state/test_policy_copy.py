"""The copy of the policy in force: whole or not there, and what is broken is found."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path

import pytest

from dockerfw.errors import Failed
from dockerfw.model.policy import HostAddresses
from dockerfw.policy.document import Document
from dockerfw.policy.files import PolicyText, collect
from dockerfw.state.policy_copy import load, save

NAMES: HostAddresses = {"vpn.example.org": (ip_address("203.0.113.7"), ip_address("2001:db8::7"))}


def text_of(number: int) -> PolicyText:
    body = f'[[allow]]\npublished = {number}\nfrom = "file:l.netset"\n'.encode()
    drop_in = Document("/etc/dockerfw/conf.d/a.toml", b"# nothing\n")
    return PolicyText(
        (Document("/etc/dockerfw/config.toml", body), drop_in),
        {"/etc/dockerfw/l.netset": f"192.0.2.{number}\n".encode()},
    )


def test_a_copy_says_what_the_files_said_when_they_are_gone(tmp_path: Path) -> None:
    policy = tmp_path / "config.toml"
    policy.write_text('[[allow]]\npublished = 80\nfrom = ["file:l.netset"]\n')
    (tmp_path / "l.netset").write_text("192.0.2.1\n")
    text = collect(policy, for_kernel=False)
    save(text, tmp_path / "copy")
    (tmp_path / "l.netset").unlink()
    policy.unlink()
    copy = load(tmp_path / "copy")
    assert copy == text
    assert copy.parse() == text.parse()


def test_the_copy_is_for_root_alone(tmp_path: Path) -> None:
    save(text_of(1), tmp_path / "copy")
    modes = {path.stat().st_mode & 0o777 for path in (tmp_path / "copy").iterdir()}
    assert modes == {0o600}
    assert (tmp_path / "copy").stat().st_mode & 0o777 == 0o700


def test_a_new_copy_replaces_the_old_one_and_old_files_go(tmp_path: Path) -> None:
    for number in range(1, 6):
        save(text_of(number), tmp_path / "copy")
        assert load(tmp_path / "copy") == text_of(number)
    assert len(list((tmp_path / "copy").iterdir())) <= 6


@pytest.mark.parametrize("first", [True, False], ids=["the first copy", "a later copy"])
def test_a_crash_at_any_moment_leaves_the_old_copy_or_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: bool
) -> None:
    """Every call that puts something on the disk is, in its turn, the last one."""

    class Crash(BaseException):
        pass

    calls = 0
    last = 0
    real = os.fsync

    def fsync(handle: int) -> None:
        nonlocal calls
        calls += 1
        if calls == last:
            raise Crash
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    outcomes = []
    while True:
        folder = tmp_path / f"copy-{last}"
        if not first:
            calls, old_last, last = 0, last, 0
            save(text_of(1), folder)
            last = old_last
        calls, last = 0, last + 1
        try:
            save(text_of(2), folder)
        except Crash:
            outcomes.append(load(folder) if folder.exists() else None)
            continue
        break
    assert len(outcomes) > 4
    old = None if first else text_of(1)
    assert all(outcome in (old, text_of(2)) for outcome in outcomes)
    assert outcomes[0] == old


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-3])


@pytest.mark.parametrize("damage", [_flip, _cut, Path.unlink], ids=["flipped", "cut", "gone"])
def test_a_broken_copy_is_found_whichever_of_its_files_it_is(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    save(text_of(1), tmp_path / "copy")
    for name in sorted(path.name for path in (tmp_path / "copy").iterdir()):
        folder = tmp_path / f"copy-{name}"
        save(text_of(1), folder)
        damage(folder / name)
        with pytest.raises(Failed, match=r"is broken .*: run dockerfw apply to replace it"):
            load(folder)


@pytest.mark.parametrize("manifest", ["", "[]", "1", '"x"', "{}", '{"checksum": 1}', "null"])
def test_a_manifest_of_nonsense_is_a_broken_copy(tmp_path: Path, manifest: str) -> None:
    save(text_of(1), tmp_path / "copy")
    (tmp_path / "copy" / "manifest.json").write_text(manifest)
    with pytest.raises(Failed, match="is broken"):
        load(tmp_path / "copy")


def test_a_changed_name_in_the_manifest_is_a_broken_copy(tmp_path: Path) -> None:
    save(text_of(1), tmp_path / "copy")
    path = tmp_path / "copy" / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["files"][0]["name"] = "/etc/dockerfw/other.netset"
    path.write_text(json.dumps(manifest))
    with pytest.raises(Failed, match=r"manifest\.json does not match its checksum"):
        load(tmp_path / "copy")


def test_a_broken_copy_can_be_replaced(tmp_path: Path) -> None:
    save(text_of(1), tmp_path / "copy")
    (tmp_path / "copy" / "manifest.json").write_text("{")
    save(text_of(2), tmp_path / "copy")
    assert load(tmp_path / "copy") == text_of(2)


def test_a_copy_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Failed, match=r"cannot write the policy in force to .*: Not a directory"):
        save(text_of(1), tmp_path / "file" / "copy")


def named(names: HostAddresses) -> PolicyText:
    body = b'[[allow]]\nto = "db"\nports = 5432\nfrom = "host:vpn.example.org"\n'
    return PolicyText((Document("/etc/dockerfw/config.toml", body),), names=names)


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"x": 1}', '{"x": ["y"]}', "\x00"])
def test_names_that_cannot_be_read_are_no_reason_to_refuse_a_policy(
    tmp_path: Path, damage: str
) -> None:
    save(named(NAMES), tmp_path / "copy")
    (tmp_path / "copy" / "names.json").write_text(damage)
    assert load(tmp_path / "copy").names == {}
    (tmp_path / "copy" / "names.json").unlink()
    assert load(tmp_path / "copy") == named({})


def test_a_policy_without_names_keeps_none(tmp_path: Path) -> None:
    save(named(NAMES), tmp_path / "copy")
    save(named({}), tmp_path / "copy")
    assert not (tmp_path / "copy" / "names.json").exists()
