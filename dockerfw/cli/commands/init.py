"""``dockerfw init``: prints a first policy for what runs; writes it where there is none yet."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dockerfw.cli.options import (
    docker_host_option,
    inventory_option,
    naming,
    read_inventory,
    record_inventory,
)
from dockerfw.cli.output import print_remark
from dockerfw.errors import Failed, UsageError
from dockerfw.exit_status import ExitStatus

if TYPE_CHECKING:
    from dockerfw.model.denial import Denial


@click.command(
    "init",
    epilog="""\b
dockerfw init                   shows it
dockerfw init -o /etc/dockerfw/config.toml
dockerfw init --keep-open       nothing closes with it
Status: 0 written, 1 failed, 2 the file is there already""",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write it there, for root alone to read; never over a file that is there.",
)
@click.option("--observe", is_flag=True, help="Drop nothing at first, though no port is open now.")
@click.option("--keep-open", is_flag=True, help="Leave open to anyone what is published now.")
@docker_host_option
@inventory_option
def command(
    output: Path | None,
    observe: bool,
    keep_open: bool,
    docker_host: str | None,
    inventory_path: Path | None,
) -> int:
    """Print a first policy for what runs: closed until you open."""
    from dockerfw.cli.session import open_session
    from dockerfw.operations.denied import seen_lately
    from dockerfw.report.starter import beginning, starter

    seen: tuple[Denial, ...] = ()
    if inventory_path is None:
        inventory = record_inventory(docker_host)
        seen = seen_lately(open_session(docker_host))
    else:
        inventory = read_inventory(inventory_path)
    mode = "observe" if observe else beginning(inventory)
    text = starter(inventory, mode, keep_open=keep_open, seen=seen)
    if output is None:
        click.echo(text, nl=False)
        return ExitStatus.OK
    _write(output, text)
    check, plan = (f"`dockerfw {word}{naming(output)}`" for word in ("check", "plan"))
    print_remark(f"Wrote {output}. Next: read it, then {check} and {plan}")
    return ExitStatus.OK


def _write(path: Path, text: str) -> None:
    """Raise `UsageError` if there is something at that path already."""
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except FileExistsError as error:
        raise UsageError(
            f"{path} exists, and is left as it is: name another file, or move that one away"
        ) from error
    except OSError as error:
        raise Failed(f"cannot write {path}: {error.strerror}") from error
    with os.fdopen(file, "w", encoding="utf-8") as opened:
        opened.write(text)
