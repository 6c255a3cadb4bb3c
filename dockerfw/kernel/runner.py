"""The one place that starts processes.

Takes an argument list and text for standard input; gives what the program printed and its exit
status. Never uses a shell, looks at no environment (but for `detach`), and turns what the tools of
netfilter print when they fail into one sentence with the next step.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, Protocol

from dockerfw.errors import Failed

SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_PACKAGES = {
    "ipset": "ipset",
    "nft": "nftables",
    "ip": "iproute2",
    "iptables": "iptables",
    "ip6tables": "iptables",
}


@dataclass(frozen=True, slots=True)
class Completed:
    r"""What a program left: its output as text and its exit status (negative: killed by a signal).

    Bytes that are not UTF-8 are shown as ``\xNN``.
    """

    stdout: str
    stderr: str
    status: int


class NotInstalled(Failed):
    """The program is not on this host."""


class TooSlow(Failed):
    """The program did not end in time, and was stopped."""


class Runner(Protocol):
    """The seam between dockerfw and the world; tests bring their own."""

    def run(self, argv: Sequence[str], stdin: str | None = None, timeout: float = 60) -> Completed:
        """Run a program to its end (``timeout`` in seconds).

        Raises `NotInstalled` when there is no such program and `TooSlow` when it does not end.
        """
        ...

    def read_file(self, path: str) -> str | None:
        """The text of a file below ``/proc``; None when there is none."""
        ...


class SystemRunner:
    """Runs programs of this host, in the caller's own network namespace."""

    def run(self, argv: Sequence[str], stdin: str | None = None, timeout: float = 60) -> Completed:
        program = shutil.which(argv[0], path=SEARCH_PATH)
        if program is None:
            raise not_installed(argv[0])
        try:
            done = subprocess.run(
                [program, *argv[1:]],
                input=stdin or "",
                capture_output=True,
                encoding="utf-8",
                errors="backslashreplace",
                env={"LC_ALL": "C", "PATH": SEARCH_PATH},
                cwd="/",
                timeout=timeout,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise TooSlow(
                f"{argv[0]} did not end within {timeout:g} seconds and was stopped: "
                "see whether another tool holds the firewall's lock, then try again"
            ) from None
        except OSError as error:
            raise Failed(f"{argv[0]} cannot be started: {error.strerror}") from None
        return Completed(done.stdout, done.stderr, done.returncode)

    def read_file(self, path: str) -> str | None:
        try:
            return Path(path).read_text(encoding="ascii", errors="backslashreplace")
        except (FileNotFoundError, NotADirectoryError):
            return None
        except PermissionError:
            raise Failed(f"{path} cannot be read: run dockerfw as root") from None
        except OSError as error:
            raise Failed(f"{path} cannot be read: {error.strerror}") from None


class ImpatientRunner:
    """Runs programs by another runner, for who cannot wait: each for so many seconds at the most.

    One that did not end is not tried again, nor is another one of the same tool.
    """

    def __init__(self, runner: Runner, seconds: float) -> None:
        self._runner = runner
        self._seconds = seconds
        self._given_up: dict[str, TooSlow] = {}

    def run(self, argv: Sequence[str], stdin: str | None = None, timeout: float = 60) -> Completed:
        tool = argv[0].split("-", maxsplit=1)[0]
        if tool in self._given_up:
            raise self._given_up[tool]
        try:
            return self._runner.run(argv, stdin, min(timeout, self._seconds))
        except TooSlow as error:
            self._given_up[tool] = error
            raise

    def read_file(self, path: str) -> str | None:
        return self._runner.read_file(path)


def detach(argv: Sequence[str], environment: Mapping[str, str]) -> None:
    """Start a program that outlives this one and its terminal; nobody waits for it.

    It gets a session of its own, no standard streams, and the caller's environment with
    ``environment`` on top.
    """
    subprocess.Popen(
        list(argv),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env={**os.environ, **environment},
        cwd="/",
    )


def not_installed(program: str) -> NotInstalled:
    """The error for a program that is not there, with the Debian package that brings it."""
    family = program.split("-", maxsplit=1)[0]
    package = _PACKAGES.get(family)
    advice = f"apt install {package}" if package else "install it"
    return NotInstalled(f"{program} is not installed: {advice}")


_ADVICE: tuple[tuple[str, str], ...] = (
    (
        r"you must be root|Operation not permitted|Permission denied",
        "the kernel does not let this user do that, run dockerfw as root with CAP_NET_ADMIN",
    ),
    (
        r"Cannot open session to kernel|kernel.*protocol version",
        "this kernel has no ip_set, load the module (modprobe ip_set) or use a kernel with it",
    ),
    (
        r"set type not supported",
        "this kernel lacks an ipset type, load its ip_set_hash_* modules or use a kernel with them",
    ),
    (r"Hash is full", "an ipset is full, see how many entries it holds (ipset list -t)"),
    (
        r"Extension set revision|load match [`']set'|load target [`']SET'",
        "this kernel or iptables has no set match, load the module (modprobe xt_set)",
    ),
    (
        r"can't initialize ip6?tables table|Table does not exist|fetch rule set generation id",
        "this kernel lacks a table of iptables, load its module (modprobe nf_tables, or ip_tables)",
    ),
    (
        r"holding the xtables lock",
        "another tool holds the lock of iptables, wait until it is done and try again",
    ),
)

# iptables-restore: "line 4 failed", "at line: 4"; ipset: "in line 3"; nft: "/dev/stdin:4:1-5"
_BAD_LINE = re.compile(r"\bline:? (\d+)|/dev/stdin:(\d+):")


def fail(argv: Sequence[str], done: Completed, document: str | None = None) -> NoReturn:
    """Raise `Failed` for a program that ended badly.

    ``document`` is what it was given on standard input: the line that it complains about is
    shown, with its neighbours.
    """
    raise Failed(_sentence(argv[0], done) + _excerpt(done.stderr, document))


def require(
    runner: Runner, argv: Sequence[str], stdin: str | None = None, timeout: float = 60
) -> str:
    """Run a program that has to succeed and give its output; `Failed` says why it did not."""
    done = runner.run(argv, stdin, timeout)
    if done.status != 0:
        fail(argv, done, stdin)
    return done.stdout


def _sentence(program: str, done: Completed) -> str:
    if done.status < 0:
        return f"{program} crashed ({_signal_name(-done.status)}): update it, then try again"
    reason = _reason(done.stderr)
    advice = next((text for pattern, text in _ADVICE if re.search(pattern, done.stderr)), None)
    if advice is None:
        return f"{program} failed (exit status {done.status}): {reason}"
    return f"{program} failed: {advice} ({reason})"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _reason(stderr: str) -> str:
    """The line that says what is wrong: not the hints around it, not the tool's version."""
    for line in stderr.splitlines():
        text = re.sub(r"^\S+ v[\d.]+( \(\w+\))?: ", "", line.strip())
        if text and not text.startswith(("#", "Error occurred at", "Try `", "Warning:")):
            return text.rstrip(".")
    return "it printed no reason"


def _excerpt(stderr: str, document: str | None) -> str:
    found = _BAD_LINE.search(stderr)
    if document is None or found is None:
        return ""
    number = int(found.group(1) or found.group(2))
    lines = document.splitlines()
    if not 1 <= number <= len(lines):
        return ""
    shown = range(max(1, number - 1), min(len(lines), number + 1) + 1)
    return "".join(
        f"\n  {'>' if at == number else ' '} {at}: {lines[at - 1][:200]}" for at in shown
    )
