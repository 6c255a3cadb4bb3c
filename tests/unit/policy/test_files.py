"""Which files a policy is taken from, and who may have written them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from dockerfw.errors import PolicyError, UsageError
from dockerfw.policy.document import Document
from dockerfw.policy.files import PolicyText, collect, with_document
from tests.paths import EXAMPLE

ALLOW = '[[allow]]\npublished = 80\nfrom = ["any"]\n'
WITH_LIST = '[[allow]]\npublished = 80\nfrom = ["file:l.netset"]\n'

needs_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can give files away")


@pytest.fixture
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A policy in a folder that nobody else can write to; messages shorten long names."""
    folder = tmp_path_factory.mktemp("p")
    folder.chmod(0o755)
    return write(folder / "config.toml", ALLOW)


def write(path: Path, text: str | bytes, mode: int = 0o644) -> Path:
    path.parent.mkdir(mode=0o755, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    path.chmod(mode)
    return path


def findings(path: Path, *, for_kernel: bool = False) -> str:
    with pytest.raises(PolicyError) as caught:
        collect(path, for_kernel=for_kernel)
    return str(caught.value)


def test_drop_ins_are_read_in_the_order_of_their_names(policy: Path) -> None:
    drop_ins = policy.parent / "conf.d"
    for name in ("b.toml", "a.toml", "c.toml~", ".d.toml", "README"):
        write(drop_ins / name, ALLOW if name.endswith(".toml") else "not = a policy")
    text = collect(policy, for_kernel=True)
    assert [document.name for document in text.documents] == [
        str(policy),
        str(drop_ins / "a.toml"),
        str(drop_ins / "b.toml"),
    ]
    assert [allow.origin.file for allow in text.parse().allows] == [
        document.name for document in text.documents
    ]


def test_a_policy_with_another_file_is_the_one_that_is_read_once_it_is_written(
    policy: Path,
) -> None:
    drop_ins = policy.parent / "conf.d"
    for name in ("a.toml", "z.toml"):
        write(drop_ins / name, ALLOW)
    for body in (ALLOW, f"# another\n{ALLOW}"):
        new = Document(str(drop_ins / "m.toml"), body.encode())
        found = with_document(collect(policy, for_kernel=True), new)
        write(drop_ins / "m.toml", body)
        read = collect(policy, for_kernel=True)
        assert (found, found.parse()) == (read, read.parse())
    with pytest.raises(PolicyError, match=r"m\.toml:1: "):
        with_document(read, Document(str(drop_ins / "m.toml"), b"x"))


def test_a_list_is_looked_for_beside_the_file_that_names_it(policy: Path) -> None:
    policy.write_text(WITH_LIST)
    write(policy.parent / "l.netset", "192.0.2.1\n")
    write(policy.parent / "conf.d" / "a.toml", WITH_LIST)
    inner = write(policy.parent / "conf.d" / "l.netset", "192.0.2.2\n")
    text = collect(policy, for_kernel=True)
    sources = [str(allow.sources[0].networks[0]) for allow in text.parse().allows]  # type: ignore[union-attr]
    assert sources == ["192.0.2.1/32", "192.0.2.2/32"]
    assert text.files[str(inner)] == b"192.0.2.2\n"


def test_the_policy_may_be_named_from_where_one_stands(
    policy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(policy.parent)
    write(Path("conf.d/a.toml"), "x = 1\n")
    assert findings(Path("config.toml")) == "conf.d/a.toml:1: unknown key `x`"


def test_no_policy_at_all_is_told_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"`dockerfw init -o .*` writes a first one"):
        collect(tmp_path / "config.toml", for_kernel=False)


def _folder(path: Path) -> None:
    path.mkdir()


def _device(path: Path) -> None:
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize("make", [os.mkfifo, _folder, _device], ids=["FIFO", "folder", "device"])
@pytest.mark.parametrize("name", ["config.toml", "conf.d/a.toml", "l.netset"])
def test_only_regular_files_are_read_and_none_is_waited_for(
    policy: Path, name: str, make: Callable[[Path], None]
) -> None:
    policy.write_text(WITH_LIST)
    target = policy.parent / name
    target.parent.mkdir(exist_ok=True)
    target.unlink(missing_ok=True)
    make(target)
    assert "it is no regular file" in findings(policy)


def test_a_link_to_nothing_in_conf_d_is_not_passed_over(policy: Path) -> None:
    (policy.parent / "conf.d").mkdir()
    (policy.parent / "conf.d" / "a.toml").symlink_to("gone")
    assert "a.toml:1: cannot read it: No such file or directory" in findings(policy)


def test_a_conf_d_that_is_a_file_is_not_passed_over(policy: Path) -> None:
    write(policy.parent / "conf.d", "")
    assert "conf.d:1: cannot read it: Not a directory" in findings(policy)


def test_a_missing_list_is_a_finding_at_the_line_that_names_it(policy: Path) -> None:
    policy.write_text(WITH_LIST)
    assert findings(policy) == (
        f"{policy}:3: cannot read `{policy.parent}/l.netset`: No such file or directory"
    )


def test_a_file_that_is_too_large_is_not_read_to_its_end(policy: Path) -> None:
    with policy.open("wb") as file:
        file.truncate(1 << 40)
    assert findings(policy) == f"{policy}:1: the file is larger than 16 MiB: split it"


def test_a_file_name_that_is_no_text_is_shown_all_the_same(policy: Path) -> None:
    folder = os.fsencode(policy.parent / "conf.d")
    Path(os.fsdecode(folder)).mkdir()
    write(Path(os.fsdecode(folder + b"/\xff.toml")), "x = 1\n")
    assert "\\xff.toml:1: unknown key `x`" in findings(policy)


# --- who could have written it -------------------------------------------------------------------


@pytest.mark.parametrize("name", ["config.toml", "conf.d/a.toml", "conf.d/l.netset"])
def test_a_file_that_its_group_can_write_is_a_warning_and_refused_for_the_kernel(
    policy: Path, name: str
) -> None:
    write(policy.parent / "conf.d" / "l.netset", "192.0.2.1\n")
    write(policy.parent / "conf.d" / "a.toml", WITH_LIST)
    (policy.parent / name).chmod(0o664)
    expected = f"{policy.parent}/{name}:1: this file can be written by its group: chmod g-w "
    [warning] = collect(policy, for_kernel=False).warnings
    assert warning.startswith(expected)
    assert findings(policy, for_kernel=True).startswith(expected)


@pytest.mark.parametrize("for_kernel", [True, False])
@pytest.mark.parametrize("name", ["config.toml", "conf.d/a.toml", "conf.d/l.netset"])
def test_a_file_that_everyone_can_write_is_always_refused(
    policy: Path, name: str, for_kernel: bool
) -> None:
    write(policy.parent / "conf.d" / "l.netset", "192.0.2.1\n")
    write(policy.parent / "conf.d" / "a.toml", WITH_LIST)
    (policy.parent / name).chmod(0o666)
    assert findings(policy, for_kernel=for_kernel) == (
        f"{policy.parent}/{name}:1: this file can be written by everyone: "
        f"chmod o-w {policy.parent}/{name}"
    )


@needs_root
@pytest.mark.parametrize("name", ["config.toml", "conf.d/a.toml", "conf.d/l.netset"])
def test_a_file_of_someone_else_is_a_warning_and_refused_for_the_kernel(
    policy: Path, name: str
) -> None:
    write(policy.parent / "conf.d" / "l.netset", "192.0.2.1\n")
    write(policy.parent / "conf.d" / "a.toml", WITH_LIST)
    os.chown(policy.parent / name, 65534, 0)
    expected = f"{policy.parent}/{name}:1: this file belongs to user 65534, who could change it"
    assert collect(policy, for_kernel=False).warnings[0].startswith(expected)
    assert expected in findings(policy, for_kernel=True)


@needs_root
def test_a_file_of_the_user_who_called_sudo_is_taken(
    policy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.chown(policy, 1234, 0)
    monkeypatch.setenv("SUDO_UID", "1234")
    assert collect(policy, for_kernel=True).warnings == ()
    monkeypatch.setenv("SUDO_UID", "1234 ")
    assert "belongs to user 1234" in findings(policy, for_kernel=True)


def test_a_folder_that_everyone_can_write_to_is_refused_unless_it_is_sticky(policy: Path) -> None:
    policy.parent.chmod(0o777)
    assert findings(policy) == (
        f"{policy}:1: its folder {policy.parent} can be written by everyone: "
        f"chmod o-w {policy.parent}"
    )
    policy.parent.chmod(0o1777)
    assert collect(policy, for_kernel=True).warnings == ()


def test_a_folder_that_its_group_can_write_to_is_judged_like_the_file(policy: Path) -> None:
    policy.parent.chmod(0o775)
    [warning] = collect(policy, for_kernel=False).warnings
    assert f"its folder {policy.parent} can be written by its group" in warning
    assert findings(policy, for_kernel=True) == warning


def test_the_folders_behind_a_link_are_judged_too(policy: Path, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    target = write(shared / "real.toml", ALLOW)
    shared.chmod(0o777)
    policy.unlink()
    policy.symlink_to(target)
    assert f"its folder {shared} can be written by everyone" in findings(policy)


def test_findings_about_owners_and_about_text_come_together(policy: Path) -> None:
    policy.write_text("x = 1\n")
    policy.chmod(0o666)
    lines = findings(policy).split("\n")
    assert len(lines) == 2
    assert "unknown key `x`" in lines[1]


def test_the_example_policy_can_be_put_in_force() -> None:
    example = EXAMPLE
    text = PolicyText((Document("config.toml", example.read_bytes()),))
    parsed = text.parse()
    assert (parsed.mode, len(parsed.allows), parsed.warnings) == ("enforce", 4, ())
    assert len(parsed.expects) > 4


@pytest.mark.parametrize("name, told", [("a\nb", "a\\nb"), ("a\x1b[2Jb", "a\\x1b[2Jb")])
def test_a_file_name_stays_on_the_line_of_its_finding(policy: Path, name: str, told: str) -> None:
    drop_ins = policy.parent / "conf.d"
    write(drop_ins / f"{name}.toml", "x = 1\n")
    assert findings(policy) == f"{drop_ins}/{told}.toml:1: unknown key `x`"
