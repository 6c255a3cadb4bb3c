"""``dockerfw install-units``: units for systemd, where no package brings them."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dockerfw.cli.output import print_lines
from dockerfw.errors import Failed
from dockerfw.exit_status import ExitStatus

if TYPE_CHECKING:
    from dockerfw.operations.unit_files import Installation


@click.command(
    "install-units",
    epilog="""\b
dockerfw install-units            lay them; the last lines say what to do next
dockerfw install-units --remove   take them out again
Status: 0""",
)
@click.option("--remove", is_flag=True, help="Take them out again.")
def command(remove: bool) -> int:
    """Lay the units of systemd, where no package brings them."""
    from dockerfw.operations.unit_files import Folders, lay, refuse_packaged, services, take_out

    if os.geteuid() != 0:
        raise Failed("units are root's: run it as root, in sudo for instance")
    folders = Folders()
    refuse_packaged(folders)
    installation = _installation()
    laid = (take_out if remove else lay)(folders, installation)
    print_lines(f"{file.done:9} {file.path}" for file in laid)
    changed = {file.done for file in laid} - {"unchanged"}
    following = ["systemctl daemon-reload"] if changed else []
    if not remove:
        following += [f"systemctl enable --now {' '.join(services(laid))}"]
    if "replaced" in changed:
        following += ["systemctl try-restart dockerfw.service"]
    if not following:
        click.echo("There are none of it.")
        return ExitStatus.OK
    print_lines(["", "Next:", *(f"  {line}" for line in following)])
    if not remove:
        print_lines(
            [
                "",
                "Drop-ins for Docker's unit and nftables', and a policy to begin with, are in",
                f"{installation.shipped}.",
            ]
        )
    return ExitStatus.OK


def _installation() -> Installation:
    """Return the one that this process is of. Raises `Failed` for a copy of the repository."""
    from dockerfw.operations.unit_files import Installation

    shipped = Path(__file__).resolve().parents[2] / "shipped"
    beside, typed = Path(sys.executable).with_name("dockerfw"), shutil.which(sys.argv[0])
    program = beside if beside.exists() or typed is None else Path(typed)
    if not shipped.is_dir() or program.name != beside.name:
        raise Failed("this is no installation, so it has no units to lay: install the wheel first")
    python = Path(sys.executable).resolve()
    return Installation(program, python, shipped, Path(sys.prefix) / "share")
