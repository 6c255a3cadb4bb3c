"""Who sits at the terminal: is anybody there to be asked, and from afar; and the asking itself.

Questions go to the terminal, never to stdout, which may be piped.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import click

_MOST_ANCESTORS = 64


def somebody_is_there() -> bool:
    """Return True if a question could be answered."""
    return sys.stdin.isatty()


def say(text: str, *, newline: bool = True) -> None:
    """Write to the terminal: by stderr, or past it where that goes elsewhere."""
    if not sys.stderr.isatty():
        with suppress(OSError, ValueError):
            with Path(os.ttyname(sys.stdin.fileno())).open("w") as terminal:
                click.echo(text, terminal, nl=newline)
            return
    click.echo(text, nl=newline, err=True)


def comes_from_afar(
    environment: Mapping[str, str] = os.environ, proc: Path = Path("/proc"), pid: int | None = None
) -> bool:
    """Return True in a session of ssh: whoever locks it out cannot mend that.

    sudo takes ``SSH_CONNECTION`` out of the environment, so the processes above are asked, too.
    """
    if environment.get("SSH_CONNECTION"):
        return True
    above = os.getppid() if pid is None else pid
    for _ in range(_MOST_ANCESTORS):
        try:
            name, _, rest = (
                (proc / str(above) / "stat").read_text().partition("(")[2].rpartition(")")
            )
            above = int(rest.split()[1])
        except (OSError, ValueError, IndexError):
            return False
        if name.startswith("sshd"):
            return True
        if above <= 1:
            return False
    return False


def agree(question: str) -> bool:
    """Ask at the terminal; anything but yes is no."""
    say(f"{question} [y/N] ", newline=False)
    answer = sys.stdin.readline()
    if not answer.endswith("\n"):
        say("")
    return is_yes(answer)


def is_yes(answer: str) -> bool:
    return answer.strip().lower() in ("y", "yes")
