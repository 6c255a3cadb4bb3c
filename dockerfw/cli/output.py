"""How a command prints: answers on stdout, all else on stderr, JSON in one document.

Sentences are wrapped for people at a terminal and stay on one line for programs.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from typing import IO

import click

from dockerfw.cli.colour import painted, wanted
from dockerfw.cli.screen import width
from dockerfw.text import paragraph


def print_lines(lines: Iterable[str]) -> None:
    in_colour = wanted()
    for line in lines:
        click.echo(painted(line) if in_colour else line)


def print_json(document: Mapping[str, object]) -> None:
    """One document, with the version of its schema first."""
    _echo(document, indent=1)


def print_json_line(document: Mapping[str, object]) -> None:
    """The same on a line of its own, of many."""
    _echo(document, indent=None)


def _echo(document: Mapping[str, object], *, indent: int | None) -> None:
    click.echo(json.dumps({"schema": 1, **document}, indent=indent))


def print_remark(sentence: str) -> None:
    """One sentence on stderr."""
    _print_sentence(sentence, sys.stderr)


def print_answer(sentence: str) -> None:
    """One sentence on stdout."""
    _print_sentence(sentence, sys.stdout)


def _print_sentence(sentence: str, stream: IO[str]) -> None:
    wrapped = stream.isatty()
    lines = paragraph(sentence, width=width(stream), rest="  ") if wrapped else [sentence]
    in_colour = wanted(stream)
    for line in lines:
        click.echo(painted(line) if in_colour else line, stream)


def print_warnings(warnings: Iterable[str]) -> None:
    for warning in warnings:
        print_remark(f"warning: {warning}")


def print_hints(hints: Iterable[str]) -> None:
    for hint in hints:
        print_remark(f"hint: {hint}")
