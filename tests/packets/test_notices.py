"""What the kernel tells us when somebody changes rules, links or files, and what it does not.

Notices are in the buffer before the call that caused them returns, so nothing is waited for.
Silence counts only with a later notice that was heard: all silent cases end with one.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import socket
import sys
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dockerfw.kernel import notices as module
from dockerfw.kernel.notices import FileNotices, KernelNotices, Noticed
from tests.lab.guard import elsewhere
from tests.lab.host import Host
from tests.lab.place import Place

CLONE_NEWNET = 0x40000000
NOTHING = Noticed()

BEFORE = """
table inet foreign {
    set some { type ipv4_addr; elements = { 192.0.2.1 } }
    chain input { type filter hook input priority 5; policy accept; }
}
"""


def listening(place: Place) -> KernelNotices:
    """Made in the network of ``place``, by a thread that ends there."""

    def make() -> KernelNotices:
        with Path(elsewhere(place.namespaces.network)).open("rb") as namespace:
            libc = ctypes.CDLL(None, use_errno=True)
            assert libc.setns(namespace.fileno(), CLONE_NEWNET) == 0, os.strerror(
                ctypes.get_errno()
            )
        return KernelNotices()

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(make).result()


@pytest.fixture(scope="module")
def busy() -> Iterator[Host]:
    """A host where iptables, nft, ipset and bridges are in use already."""
    with Host() as host:
        host.bridge("br0", "172.18.0.1/16")
        host.ip("link add port type veth peer name peer", "link set port master br0")
        host.run(["ipset", "create", "list", "hash:ip"])
        yield host


@pytest.fixture
def notices(busy: Host) -> Iterator[KernelNotices]:
    for program in ("iptables", "ip6tables", "iptables-legacy"):
        busy.run([program, "-A", "INPUT", "-p", "tcp", "-j", "ACCEPT"])
    busy.run(["nft", "-f", "-"], stdin=BEFORE)
    heard = listening(busy)
    assert heard.read() == NOTHING
    yield heard
    heard.close()
    busy.run(["nft", "flush", "ruleset"])
    busy.run(["iptables-legacy", "-F"])
    busy.run(["ipset", "flush"])


def still_heard(notices: KernelNotices, host: Host) -> None:
    """The end of every silence: a change that is announced."""
    host.run(["nft", "add", "table", "inet", "marker"])
    assert notices.read() == Noticed(rules=True, writers=frozenset({"nft"}))


# --- rules ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command, writer",
    [
        ("iptables -A FORWARD -j DROP", "iptables"),
        ("iptables -t nat -N NEW", "iptables"),
        ("iptables -Z", "iptables"),
        ("iptables -P FORWARD DROP", "iptables"),
        ("iptables -F", "iptables"),
        ("ip6tables -D INPUT -p tcp -j ACCEPT", "ip6tables"),
        ("nft add rule inet foreign input drop", "nft"),
        ("nft add element inet foreign some { 192.0.2.2 }", "nft"),
        ("nft delete table inet foreign", "nft"),
        ("nft flush ruleset", "nft"),
    ],
)
def test_a_change_of_nf_tables_is_told_with_the_name_of_who_made_it(
    busy: Host, notices: KernelNotices, command: str, writer: str
) -> None:
    busy.run(command.split())

    assert notices.read() == Noticed(rules=True, writers=frozenset({writer}))
    assert notices.read() == NOTHING, "each change is told once"


def test_a_restored_table_is_told_by_a_name_of_fifteen_characters(
    busy: Host, notices: KernelNotices
) -> None:
    busy.run(["iptables-restore", "--noflush"], stdin="*filter\n-A INPUT -j DROP\nCOMMIT\n")

    assert notices.read().writers == {"iptables-restor"}


def test_a_program_may_call_itself_anything_and_still_fits_a_log_line(
    busy: Host, notices: KernelNotices
) -> None:
    nft = shutil.which("nft")
    strange = "a\nb\x1b[31m \N{SNOWMAN}"
    script = 'cp "$1" "/run/$2"; exec "/run/$2" add table inet strange'
    busy.run(["sh", "-c", script, "sh", str(nft), strange])

    assert notices.read().writers == {"a_b__31m _"}


@pytest.mark.parametrize(
    "command",
    [
        "iptables -S",
        "iptables -C INPUT -p tcp -j ACCEPT",
        "iptables-save -c",
        "ip6tables-save",
        "nft list ruleset",
        "nft list table inet foreign",
        "ipset add list 192.0.2.1",
        "ipset flush",
        "iptables-legacy -A INPUT -j DROP",
        "iptables-legacy -F",
        "iptables-legacy-save",
    ],
)
def test_reading_is_not_told_and_neither_is_ipset_or_iptables_legacy(
    busy: Host, notices: KernelNotices, command: str
) -> None:
    busy.run(command.split())

    assert notices.read() == NOTHING
    still_heard(notices, busy)


def test_what_happens_in_another_namespace_is_not_told(busy: Host, notices: KernelNotices) -> None:
    busy.outside.run(["nft", "add", "table", "inet", "theirs"])
    busy.outside.ip("link add br9 type bridge", "link del br9")

    assert notices.read() == NOTHING
    still_heard(notices, busy)


# --- links ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change, undo",
    [
        ("link add br1 type bridge", "link del br1"),
        ("link add veth1 type veth peer name veth2", "link del veth1"),
        ("link set peer master br0", "link set peer nomaster"),
        ("link set port nomaster", "link set port master br0"),
        ("link set br0 name br7", "link set br7 name br0"),
    ],
)
def test_links_that_come_go_or_change_their_bridge_are_told(
    busy: Host, notices: KernelNotices, change: str, undo: str
) -> None:
    busy.ip(change)
    assert notices.read() == Noticed(links=True), change
    busy.ip(undo)
    assert notices.read() == Noticed(links=True), undo


def test_a_bridge_that_came_and_went_between_two_reads_is_told(
    busy: Host, notices: KernelNotices
) -> None:
    busy.ip("link add br1 type bridge", "link del br1")

    assert notices.read() == Noticed(links=True)


@pytest.mark.parametrize(
    "change, undo",
    [
        ("link set peer up", "link set peer down"),
        ("link set port up", "link set port down"),
        ("addr add 172.18.9.9/16 dev br0", "addr del 172.18.9.9/16 dev br0"),
        ("link set br0 mtu 1400", "link set br0 mtu 1500"),
    ],
)
def test_a_link_that_stays_in_its_bridge_is_not_told(
    busy: Host, notices: KernelNotices, change: str, undo: str
) -> None:
    busy.ip(change, undo)

    assert notices.read() == NOTHING
    still_heard(notices, busy)


# --- more than a buffer holds --------------------------------------------------------------------


def shrink(notices: KernelNotices, size: int = 1) -> None:
    """The smallest buffers that the kernel grants (two or three notices about rules), or such."""
    for descriptor in notices.filenos():
        with socket.socket(fileno=os.dup(descriptor)) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)


@pytest.mark.parametrize("smallest", [False, True], ids=["usual buffer", "smallest buffer"])
def test_a_commit_of_5000_rules_is_told_once_and_nothing_is_lost(
    busy: Host, notices: KernelNotices, smallest: bool
) -> None:
    if smallest:
        shrink(notices)
    rules = "".join(f"-A FORWARD -p tcp --dport {port} -j DROP\n" for port in range(1, 5001))
    busy.run(["iptables-restore", "--noflush"], stdin=f"*filter\n{rules}COMMIT\n")

    assert notices.read() == Noticed(rules=True, writers=frozenset({"iptables-restor"}))
    assert notices.read() == NOTHING
    still_heard(notices, busy)


def test_more_commits_than_the_buffer_holds_are_a_change_and_the_next_is_heard(
    busy: Host, notices: KernelNotices
) -> None:
    shrink(notices)
    busy.run(["sh", "-c", "for n in $(seq 20); do nft add table inet many$n; done"])

    assert notices.read().rules
    assert notices.read() == NOTHING
    still_heard(notices, busy)


def test_more_links_than_the_buffer_holds_are_a_change_and_are_known_afterwards(
    busy: Host, notices: KernelNotices
) -> None:
    shrink(notices, 8192)
    names = [f"br{number}" for number in range(100, 140)]
    busy.ip(*(f"link add {name} type bridge" for name in names))

    assert notices.read() == Noticed(links=True)
    busy.ip(f"link set {names[-1]} mtu 1400")
    assert notices.read() == NOTHING, "a bridge whose notice was lost is known all the same"
    busy.ip(*(f"link del {name}" for name in names))
    assert notices.read() == Noticed(links=True)


def test_a_link_whose_notice_was_lost_behind_others_that_say_nothing_is_told(
    busy: Host, notices: KernelNotices
) -> None:
    shrink(notices)
    flips = [f"link set br0 mtu {size}" for size in (1400, 1500) * 10]
    busy.ip(*flips, "link add br1 type bridge")

    assert notices.read() == Noticed(links=True)
    busy.ip("link del br1")
    assert notices.read() == Noticed(links=True)


# --- rights --------------------------------------------------------------------------------------

HARDENED = """
import mmap, os, subprocess, sys
from pathlib import Path
from dockerfw.kernel.notices import FileNotices, KernelNotices
try:
    mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
except PermissionError:
    print("no memory is writable and executable")
kernel, files = KernelNotices(), FileNotices()
path = Path("/run/watched")
files.watch([path])
subprocess.run(["nft", "add", "table", "inet", "mine"], check=True)
path.write_text("x")
print(*kernel.read().writers, *(str(path) for path in files.read()))
"""
WITHOUT_WRITE_AND_EXECUTE = f"""
import ctypes, os, sys
PR_SET_MDWE, REFUSE_EXEC_GAIN = 65, 1
assert ctypes.CDLL(None).prctl(PR_SET_MDWE, REFUSE_EXEC_GAIN, 0, 0, 0) == 0
os.execv(sys.executable, [sys.executable, "-c", {HARDENED!r}])
"""


def test_it_works_with_cap_net_admin_alone_and_no_memory_that_is_writable_and_executable(
    host: Host,
) -> None:
    bounded = ["setpriv", "--bounding-set=-all,+net_admin"]
    done = host.run([*bounded, sys.executable, "-c", WITHOUT_WRITE_AND_EXECUTE])

    assert done.stdout == "no memory is writable and executable\nnft /run/watched\n"


def test_without_cap_net_admin_it_says_what_is_missing(host: Host) -> None:
    script = """
from dockerfw.errors import Failed
from dockerfw.kernel.notices import KernelNotices
try:
    KernelNotices()
except Failed as error:
    print(error)
"""
    done = host.run(["setpriv", "--bounding-set=-all", sys.executable, "-c", script])

    assert done.stdout.endswith("run dockerfw as root, or with CAP_NET_ADMIN\n")


def test_a_kernel_without_nf_tables_announces_no_rules_but_links(
    busy: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    nobody_speaks_this = 30
    monkeypatch.setattr(module, "_NETLINK_NETFILTER", nobody_speaks_this)
    heard = listening(busy)

    assert not heard.rules_announced
    assert len(heard.filenos()) == 1
    busy.ip("link add br1 type bridge", "link del br1")
    assert heard.read() == Noticed(links=True)
    heard.close()


def test_a_kernel_with_ipset_but_without_nf_tables_announces_no_rules(
    busy: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Netlink is spoken there, but nobody answers for nf_tables."""
    unknown_subsystem = 0x3F10
    monkeypatch.setattr(module, "_GETGEN", unknown_subsystem)
    heard = listening(busy)

    assert not heard.rules_announced
    heard.close()


def test_closing_leaves_no_descriptor(busy: Host) -> None:
    def opened() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    before = opened()
    heard, files = listening(busy), FileNotices()
    assert opened() == before + 4
    heard.close()
    files.close()
    assert opened() == before


# --- files ---------------------------------------------------------------------------------------


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
