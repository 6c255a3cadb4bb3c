"""dockerfw-list@.service: a list by URL takes its place, and what is none changes nothing."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.boot.list_server import LIST
from tests.boot.scene import WEB, furnish, protect, put_in_force
from tests.documents import blocks, commands
from tests.engine.scene import OFFICE, STRANGER, allow
from tests.lab.boot import Machine
from tests.lab.host import HOST_V4, HOST_V6
from tests.lab.wait import until
from tests.paths import DOCS, REPOSITORY

pytestmark = pytest.mark.engine

SERVER, NAME = "203.0.113.2", "lists.example.org"
ON_THE_INTERNET = "www.cloudflare.com"
"""Whose lists the page fetches; here the server stands in for it."""
FOLDER = "/etc/dockerfw/lists"
FILE = f"{FOLDER}/office.netset"
UNIT = "dockerfw-list@office.service"
CERTIFICATE = f"{FOLDER}/ca.pem"
OLD = f"{STRANGER[0]}\n"
KEPT = f"failed: {FILE} stays as it was"


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """Debian 12, both units at work, and a server outside whose certificate it may trust."""
    with Machine("bookworm") as machine:
        furnish(machine)
        machine.run(["mkdir", "-p", FOLDER])
        machine.write(FILE, OLD)
        machine.write("/etc/hosts", f"127.0.0.1 localhost\n{SERVER} {NAME} {ON_THE_INTERNET}\n")
        made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-noenc", "-days", "9"]
        about = [
            "-subj",
            f"/CN={NAME}",
            "-addext",
            f"subjectAltName=DNS:{NAME},DNS:{ON_THE_INTERNET}",
        ]
        machine.run([*made, *about, "-keyout", "/root/key.pem", "-out", CERTIFICATE])
        put_in = tmp_path_factory.mktemp("server")
        for name, path in (("cert", CERTIFICATE), ("key", "/root/key.pem")):
            (put_in / name).write_text(machine.read(path), encoding="ascii")
        serve(machine, put_in)
        machine.install_dockerfw()
        protect(machine, "dockerfw-boot.service", "dockerfw.service")
        machine.systemctl("start", "dockerfw-boot.service", "dockerfw.service")
        yield machine


def serve(machine: Machine, files: Path) -> None:
    program = REPOSITORY / "tests" / "boot" / "list_server.py"
    server = machine.outside.start(
        [sys.executable, str(program), SERVER, str(files / "cert"), str(files / "key")],
        stdout=subprocess.PIPE,
    )
    assert server.stdout is not None
    assert server.stdout.readline() == "ready\n"


def fetch(machine: Machine, path: str, *, host: str = NAME, scheme: str = "https") -> str:
    """What the unit says that fetches this; its result is `outcome`."""
    machine.write(
        f"{FOLDER}/office.conf", f"URL={scheme}://{host}{path}\nCURL_CA_BUNDLE={CERTIFICATE}\n"
    )
    before = machine.journal(UNIT)
    machine.systemctl("reset-failed", UNIT, check=False)
    machine.systemctl("start", UNIT, check=False)
    return machine.journal(UNIT).removeprefix(before)


def follow(machine: Machine, block: str) -> str:
    """What these commands print."""
    return machine.run(["bash", "-c", f"set -e\n{block}"], timeout=120).stdout


def outcome(machine: Machine) -> str:
    return machine.show(UNIT, "Result")


def test_a_list_takes_its_place_and_the_daemon_goes_by_it(machine: Machine) -> None:
    machine.write(FILE, OLD)
    put_in_force(machine, allow('to = "web"\nports = [80]', "file:lists/office.netset"))
    machine.systemctl("start", "dockerfw-list@office.timer")
    assert not machine.outside.tcp(HOST_V4, WEB, source=OFFICE[0]).reached

    assert "failed" not in fetch(machine, "/list")
    assert machine.read(FILE) == LIST.decode()
    until(
        lambda: machine.outside.tcp(HOST_V4, WEB, source=OFFICE[0]).reached,
        "the list to count",
        30,
    )
    assert not machine.outside.tcp(HOST_V4, WEB, source=STRANGER[0]).reached
    assert machine.run(["stat", "-c", "%U %a", FILE]).stdout == "root 644\n"
    # The same list once more: nothing for the daemon to do.
    inode = machine.path(FILE).stat().st_ino
    fetch(machine, "/list")
    assert machine.path(FILE).stat().st_ino == inode


def test_a_last_line_without_an_end_is_whole_if_the_length_was_announced(machine: Machine) -> None:
    machine.write(FILE, OLD)
    fetch(machine, "/last-line-open")
    assert machine.read(FILE) == LIST.decode()


@pytest.mark.parametrize(
    "path, why",
    [
        ("/empty", "is empty"),
        ("/comments", "is empty"),
        ("/page", ".office.new:1: `<!DOCTYPE html>`: write one IP address or CIDR a line"),
        ("/bytes", "not UTF-8"),
        ("/large", "Maximum file size exceeded"),
        ("/large-unannounced", ""),
        ("/cut", "transfer closed with 30 bytes remaining to read"),
        (
            "/last-line-open-unannounced",
            "the last line has no line end, so the list may be cut off",
        ),
        ("/moved", "Maximum (0) redirects followed"),
        ("/missing", "The requested URL returned error: 404"),
    ],
)
def test_what_is_no_list_changes_nothing(machine: Machine, path: str, why: str) -> None:
    machine.write(FILE, OLD)
    said = fetch(machine, path)
    assert why in said
    assert KEPT in said
    assert outcome(machine) != "success"
    assert machine.read(FILE) == OLD
    assert sorted(machine.run(["ls", "-A", FOLDER]).stdout.split()) == [
        *("ca.pem", "office.conf", "office.netset"),
    ]


@pytest.mark.parametrize(
    "host, scheme, why",
    [
        (SERVER, "https", "SSL"),
        ("lists.example.net", "https", "Could not resolve host"),
        (NAME, "http", 'Protocol "http" not supported or disabled'),
    ],
)
def test_who_is_not_known_for_certain_is_not_asked(
    machine: Machine, host: str, scheme: str, why: str
) -> None:
    machine.write(FILE, OLD)
    said = fetch(machine, "/list", host=host, scheme=scheme)
    assert why in said
    assert KEPT in said
    assert machine.read(FILE) == OLD


def test_an_answer_that_never_comes_is_not_waited_for(machine: Machine) -> None:
    machine.write(FILE, OLD)
    machine.write(f"/etc/systemd/system/{UNIT}.d/short.conf", "[Service]\nTimeoutStartSec=2\n")
    machine.systemctl("daemon-reload")
    assert KEPT in fetch(machine, "/never")
    assert outcome(machine) == "timeout"
    assert machine.read(FILE) == OLD


def test_without_a_url_it_says_which_file_is_missing(machine: Machine) -> None:
    machine.systemctl("start", "dockerfw-list@other.service", check=False)
    assert outcome(machine) != "none"
    said = machine.journal("dockerfw-list@other.service")
    assert "Failed to load environment files: No such file or directory" in said


def test_its_sandbox_is_tight_and_the_units_are_sound(machine: Machine) -> None:
    machine.run(["systemd-analyze", "security", "--threshold=15", UNIT])
    done = machine.run(
        ["systemd-analyze", "verify", "--man=no", UNIT, "dockerfw-list@office.timer"]
    )
    assert "ockerfw" not in done.stderr


def test_the_page_leads_from_a_url_to_a_list_that_counts_and_is_fetched_anew(
    machine: Machine,
) -> None:
    name, fetch_them, another_hour = (
        block.text for block in commands("docs/lists.md", "tests/boot/test_list.py")
    )
    (policy,) = (block.text for block in blocks(DOCS / "lists.md") if block.language == "toml")
    machine.container("proxy", "-p", "443:443", env={"PORT": "443"})
    for family in ("4", "6"):
        unit = f"dockerfw-list@cloudflare-v{family}.service"
        trust = f"[Service]\nEnvironment=CURL_CA_BUNDLE={CERTIFICATE}\n"
        machine.write(f"/etc/systemd/system/{unit}.d/trust.conf", trust)
    machine.systemctl("daemon-reload")

    follow(machine, name)
    assert follow(machine, fetch_them) == "198.51.100.0/24\n"
    put_in_force(machine, policy)
    for number, at in enumerate((HOST_V4, HOST_V6)):
        assert machine.outside.tcp(at, 443, source=OFFICE[number]).reached
        assert not machine.outside.tcp(at, 443, source=STRANGER[number]).reached

    timer = "dockerfw-list@cloudflare-v4.timer"
    assert "OnCalendar=*-*-* 00:00:00" in machine.show(timer, "TimersCalendar")
    follow(machine, another_hour)
    assert machine.show(timer, "TimersCalendar").count("OnCalendar=") == 1
    assert "OnCalendar=*-*-* *:00:00" in machine.show(timer, "TimersCalendar")
