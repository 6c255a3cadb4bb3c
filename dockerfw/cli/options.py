"""Options that several commands share, and what stands behind them."""

from __future__ import annotations

import os
import re
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

import click

from dockerfw.errors import UsageError

if TYPE_CHECKING:
    from dockerfw.model.inventory import Inventory

_DURATION = re.compile(r"([1-9][0-9]{0,3})([mhd])", re.ASCII)
_SECONDS = {"m": 60, "h": 3600, "d": 86400}
DEFAULT_CONFIG = "/etc/dockerfw/config.toml"

config_option = click.option(
    "-c",
    "--config",
    type=click.Path(path_type=Path),
    default=DEFAULT_CONFIG,
    envvar="DOCKERFW_CONFIG",
    show_default=True,
    help="The policy.",
)


def naming(config: Path) -> str:
    """Return the option that names a policy, with a space before it; none for the usual one."""
    usual = Path(os.environ.get("DOCKERFW_CONFIG") or DEFAULT_CONFIG)
    return "" if config.absolute() == usual.absolute() else f" -c {quote(str(config))}"


docker_host_option = click.option(
    "-H", "--docker-host", metavar="URL", help="Docker's socket (else DOCKER_HOST)."
)
json_option = click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
quiet_option = click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors.")
verbose_option = click.option(
    "-v", "--verbose", is_flag=True, help="Show all that is known: of a plan, the kernel text."
)
_LONGEST_REASON = 200


def _one_line(_context: click.Context, _option: click.Parameter, text: str) -> str:
    if not text.isprintable() or len(text) > _LONGEST_REASON:
        raise UsageError(
            f"--reason: write one line of plain text, {_LONGEST_REASON} letters at most"
        )
    return text.strip()


reason_option = click.option(
    "--reason",
    metavar="TEXT",
    default="",
    callback=_one_line,
    help="Why; `dockerfw history` shows it.",
)
inventory_option = click.option(
    "--inventory",
    "inventory_path",
    type=click.Path(path_type=Path),
    help="Go by a file that `dockerfw inventory` wrote; needs no Docker and no root.",
)


def seconds_of(option: str, duration: str) -> int:
    """Return the seconds of ``30m``, ``2h`` or ``7d``. Raises `UsageError`."""
    match = _DURATION.fullmatch(duration)
    if match is None:
        raise UsageError(f'{option} "{duration}": write a number with m, h or d: 30m, 2h or 7d')
    return int(match[1]) * _SECONDS[match[2]]


def read_inventory(path: Path) -> Inventory:
    """Read the file of ``--inventory``. Raises `UsageError` when that is none."""
    from dockerfw.policy.files import read_for_caller
    from dockerfw.state import inventory_file

    try:
        return inventory_file.load(read_for_caller(path).decode())
    except OSError as error:
        raise UsageError(
            f"cannot read the inventory {path}: {error.strerror}; "
            "`dockerfw inventory > FILE` writes one"
        ) from error
    except UnicodeDecodeError as error:
        raise UsageError(f"the inventory {path} is not text: {error}") from error


def record_inventory(docker_host: str | None, *, remote_ok: bool = False) -> Inventory:
    """Return what runs, with all that a selector may ask for. Raises `Failed`."""
    from dockerfw.cli.output import print_warnings
    from dockerfw.docker.client import Docker
    from dockerfw.model.policy import Needs

    docker = Docker.connect(docker_host, remote_ok=remote_ok)
    try:
        found = docker.read_inventory({}, Needs(images=True, labels=True))
        print_warnings(docker.warnings)
    finally:
        docker.close()
    return found
