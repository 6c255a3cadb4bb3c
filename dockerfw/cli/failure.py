"""What becomes of an error: sentences on stderr, a document for programs, and the exit status."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import click

from dockerfw.cli import mistakes
from dockerfw.cli.output import print_json, print_remark
from dockerfw.errors import DockerfwError, PolicyError
from dockerfw.exit_status import ExitStatus
from dockerfw.report.remarks import remarks


class Failure(NamedTuple):
    """``place`` stands before each sentence on stderr, but not in the document."""

    sentences: Sequence[str]
    exit_status: int
    place: str = "dockerfw: "
    as_json: bool = False


def failure(error: Exception, typed: Sequence[str]) -> Failure:
    """Return what is to be said of an error. ``typed`` is the command line."""
    as_json = "--json" in typed
    if isinstance(error, PolicyError):
        # FILE:LINE: at the start, as editors read it
        return Failure(error.findings, error.exit_status, "", as_json)
    if isinstance(error, DockerfwError):
        text, status = str(error), error.exit_status
    elif isinstance(error, click.exceptions.Abort):
        text, status = "stopped", ExitStatus.INTERRUPTED
    elif isinstance(error, click.UsageError):
        text, status = mistakes.sentence(error, typed), ExitStatus.REFUSED
    elif isinstance(error, click.ClickException):
        text, status = error.format_message(), ExitStatus(error.exit_code)
    else:
        status = ExitStatus.FAILED
        text = (
            f"internal error: {type(error).__name__}: {error}; "
            "please report it, with the output under DOCKERFW_DEBUG=1"
        )
    return Failure(text.splitlines() or [""], status, as_json=as_json)


def print_failure(failed: Failure) -> int:
    """Say it, and return the exit status."""
    for sentence in failed.sentences:
        print_remark(f"{failed.place}{sentence}")
    if failed.as_json:
        print_json({"errors": remarks(failed.sentences), "exit_status": int(failed.exit_status)})
    return failed.exit_status
