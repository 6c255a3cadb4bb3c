"""Real shells at a terminal: what becomes of a line at TAB."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dockerfw.cli.app import cli
from dockerfw.cli.completion import script

_SECONDS = 30.0
_READY, _END = b"-ready-> ", b"-at its end-"
# dockerfw itself shows what it was called with. What is looked for does not stand in its echo.
_PROGRAM = "PS1='-rea''dy-> '; dockerfw() { printf '<%s>' \"$@\"; echo '-at its'' end-'; }"
_SHELLS: Mapping[str, tuple[list[str], str]] = {
    "bash": (
        ["bash", "--norc", "--noprofile", "-i"],
        "bind 'set bell-style none'; bind 'set show-all-if-ambiguous on'; . {script}; {program}",
    ),
    "zsh": (
        ["zsh", "-f", "-i"],
        "autoload -Uz compinit; compinit -u -D; unsetopt list_ambiguous; . {script}; {program}",
    ),
}


@dataclass(frozen=True, slots=True)
class Tab:
    """What the shell has printed at TAB, and the words of the line after it."""

    shown: str
    typed: list[str]

    @property
    def offered(self) -> set[str]:
        return set(self.shown.split())


class Shells:
    """Shells with the completion script, on a host of its own below ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.names = folder / "run" / "completion"
        self.history = folder / "history"
        self.config = folder / "etc" / "config.toml"
        for path in (self.names, self.config):
            path.parent.mkdir(parents=True)
        self.history.mkdir()

    def script(self, shell: str) -> Path:
        text = script(shell, cli)
        for there, here in {
            "/run/dockerfw/completion": self.names,
            "/var/lib/dockerfw/history": self.history,
            "/etc/dockerfw/config.toml": self.config,
        }.items():
            assert there in text
            text = text.replace(there, str(here))
        path = self.folder / f"script.{shell}"
        path.write_text(text)
        return path

    def tabs(self, shell: str, *lines: str) -> list[Tab]:
        """Type each line and TAB, one after the other; fish is asked for what it would offer."""
        if shell == "fish":
            return [self._fish(line) for line in lines]
        argv, first = _SHELLS[shell]
        first = first.format(script=self.script(shell), program=_PROGRAM)
        master, slave = pty.openpty()
        running = subprocess.Popen(
            argv, stdin=slave, stdout=slave, stderr=slave, env=self._env(), cwd=self.folder,
            start_new_session=True,
        )  # fmt: skip
        os.close(slave)
        try:
            terminal = _Terminal(master)
            terminal.write(first + "\n")
            found = []
            for line in lines:
                terminal.read(_READY)
                terminal.write(line + "\t\n")
                found.append(_tab(terminal.read(_END)))
            return found
        finally:
            running.kill()
            running.wait()
            os.close(master)

    def _fish(self, line: str) -> Tab:
        argv = [
            "fish",
            "--no-config",
            "--command",
            f"source {self.script('fish')}; complete -C $argv",
        ]
        done = subprocess.run(
            [*argv, line], capture_output=True, text=True, check=False, env=self._env(),
            cwd=self.folder, timeout=_SECONDS, errors="replace",
        )  # fmt: skip
        offered = [row.split("\t")[0] for row in done.stdout.splitlines()]
        _, *typed = line.split()
        if len(offered) == 1:
            typed[-1:] = offered
        return Tab("\n".join([done.stderr, *offered]), typed)

    def _env(self) -> dict[str, str]:
        home = {"HOME": str(self.folder), "XDG_CONFIG_HOME": str(self.folder)}
        return {"PATH": os.environ["PATH"], "TERM": "dumb", "INPUTRC": "/dev/null", **home}


def _tab(said: str) -> Tab:
    shown, called, words = said.rpartition("\n<")
    assert called, said
    return Tab(shown, re.findall(r"<([^<>]*)>", f"<{words}"))


class _Terminal:
    """The other end of a terminal."""

    def __init__(self, master: int) -> None:
        self._master = master
        self._unread = b""

    def write(self, text: str) -> None:
        os.write(self._master, text.encode())

    def read(self, until: bytes) -> str:
        """Return what comes until these bytes, which must come."""
        deadline = time.monotonic() + _SECONDS
        while until not in self._unread:
            assert time.monotonic() < deadline, self._unread
            if select.select([self._master], [], [], 1.0)[0]:
                self._unread += os.read(self._master, 1 << 16)
        found, _, self._unread = self._unread.partition(until)
        return found.decode(errors="replace")
