"""What the kernel announces when somebody changes rules or links, and what it does not.

Notices are in the buffer before the call that caused them returns, so nothing is waited for.
Silence counts only with a later notice that was heard: all silent cases end with one.
"""

from __future__ import annotations

import os
import shutil
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dockerfw.kernel import netlink as module
from dockerfw.kernel.inotify import FileNotices
from dockerfw.kernel.netlink import KernelNotices, Noticed
from tests.lab.host import Host
from tests.lab.place import Place
from tests.packets.runner import in_network

NOTHING = Noticed()

BEFORE = """
table inet foreign {
    set some { type ipv4_addr; elements = { 192.0.2.1 } }
    chain input { type filter hook input priority 5; policy accept; }
}
"""


def listening(place: Place) -> KernelNotices:
    """Made in the network of ``place``."""
    return in_network(place, KernelNotices)


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
from dockerfw.kernel.inotify import FileNotices
from dockerfw.kernel.netlink import KernelNotices
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
from dockerfw.kernel.netlink import KernelNotices
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
