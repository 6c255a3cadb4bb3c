"""The commands as click has them -> completion scripts for shells.

Takes the group of commands, gives the text of a script. The script itself starts nothing: Python
and click alone take a tenth of a second, for each TAB. It knows commands and options by what is
written here, and names by reading a file of `dockerfw.state.completion_names`.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from dockerfw.cli.options import DEFAULT_CONFIG
from dockerfw.policy.files import DROP_INS
from dockerfw.policy.temporary import FILE
from dockerfw.state import completion_names, store

_LONG = 200
"""No summary of a command is cut."""
_DURATIONS = ("30m", "2h", "7d")
TAKEN: Mapping[tuple[str, str], tuple[str, ...]] = {
    # command and parameter, where click does not know what stands there; () is free text
    ("allow", "source"): ("any", "@source", "@container"),
    ("allow", "target"): ("@target",),
    ("allow", "duration"): _DURATIONS,
    ("allow", "number"): ("@temporary",),
    ("denied", "since"): ("10m", "1h", "1d"),
    ("explain", "source"): ("host", "@source", "@container"),
    ("explain", "target"): ("@container", "@target"),
    ("plan", "since"): ("@history",),
    ("probe", "target"): ("@container", "@target"),
    ("probe", "sources"): ("any", "@source"),
    ("apply", "confirm_seconds"): ("60", "300"),
    ("allow", "reason"): (),
    ("apply", "reason"): (),
    **{
        (command, "docker_host"): ()
        for command in (
            *("allow", "apply", "audit", "daemon", "denied", "explain", "init", "inventory"),
            *("lockdown", "plan", "probe", "remove", "rollback", "status"),
        )
    },
}
"""Words to offer. Those with @ stand for kinds of names that the script reads."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Behind an option, or a number: that argument of the command; "" is the program itself."""

    command: str
    words: tuple[str, ...]
    takes: tuple[str, ...]


def script(shell: str, group: click.Group) -> str:
    """Return the script for bash, zsh or fish."""
    template = Path(__file__).parent / "shells" / f"dockerfw.{shell}"
    text = template.read_text(encoding="utf-8")
    for word, value in {
        "@PLACES@": "\n".join(_place(shell, place) for place in _places(group)),
        "@OPTIONS@": "\n".join(_options(shell, group)),
        "@CACHE@": f"{store.RUN}/{completion_names.FILE}",
        "@HISTORY@": f"{store.KEPT}/{store.HISTORY}",
        "@CONFIG@": DEFAULT_CONFIG,
        "@DROP_INS@": f"{DROP_INS}/{FILE}",
    }.items():
        text = text.replace(word, value)
    return text


def taken(command: str, parameter: click.Parameter) -> tuple[str, ...]:
    """Return the words to offer for an option or an argument."""
    if isinstance(parameter.type, click.Choice):
        return tuple(map(str, parameter.type.choices))
    if isinstance(parameter.type, click.Path):
        return ("@file",)
    return TAKEN[command, parameter.name or ""]


def _places(group: click.Group) -> Iterator[_Place]:
    yield _Place("", ("1",), tuple(sorted(group.commands)))
    for name, command in sorted(group.commands.items()):
        number = 0
        for parameter in command.params:
            if isinstance(parameter, click.Argument):
                number += 1
                yield _Place(name, (str(number),), taken(name, parameter))
            elif isinstance(parameter, click.Option) and not parameter.is_flag:
                yield _Place(name, tuple(parameter.opts), taken(name, parameter))


def _place(shell: str, place: _Place) -> str:
    patterns = [f"{place.command}:{word}" for word in place.words]
    if shell == "fish":
        words = " ".join(("printf '%s\\n'", *place.takes)) if place.takes else "true"
        return f"        case {' '.join(patterns)}\n            {words}"
    return f"        {'|'.join(patterns)}) takes='{' '.join(place.takes)}' ;;"


def _options(shell: str, group: click.Group) -> Iterator[str]:
    """Yield the options of each command; and for those who show more than words, the commands."""
    yield _case(shell, "''", _described_options(group))
    for name, command in sorted(group.commands.items()):
        yield _case(shell, name, _described_options(command))
    if shell != "bash":
        commands = sorted(group.commands.items())
        yield _case(shell, "commands", [(n, c.get_short_help_str(_LONG)) for n, c in commands])


def _described_options(command: click.Command) -> list[tuple[str, str]]:
    context = click.Context(command, info_name=command.name)
    return [
        (word, (parameter.help or "").partition(".")[0])
        for parameter in command.get_params(context)
        if isinstance(parameter, click.Option)
        for word in parameter.opts
    ]


def _case(shell: str, name: str, described: Sequence[tuple[str, str]]) -> str:
    if shell == "bash":
        return f"        {name}) takes='{' '.join(word for word, _ in described)}' ;;"
    if shell == "zsh":
        rows = [f"            {shlex.quote(f'{word}:{said}')}" for word, said in described]
        return "\n".join([f"        {name}) options=(", *rows, "        ) ;;"])
    rows = [f"            echo {word}\\t{_fish_quoted(said)}" for word, said in described]
    return "\n".join([f"        case {name}", *rows])


def _fish_quoted(text: str) -> str:
    quoted = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{quoted}'"
