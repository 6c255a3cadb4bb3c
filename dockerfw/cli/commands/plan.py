"""``dockerfw plan``: what an apply would change; writes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from dockerfw.cli.options import (
    config_option,
    docker_host_option,
    inventory_option,
    json_option,
    read_inventory,
    verbose_option,
)
from dockerfw.cli.output import print_json, print_lines, print_warnings
from dockerfw.cli.screen import width
from dockerfw.errors import UsageError
from dockerfw.exit_status import ExitStatus
from dockerfw.text import paragraph

if TYPE_CHECKING:
    from dockerfw.operations.session import Session
    from dockerfw.policy.files import PolicyText


@click.command(
    "plan",
    epilog="""\b
dockerfw plan                   for /etc/dockerfw/config.toml on this host
dockerfw plan -c new.toml       for another file
dockerfw plan -c new.toml --inventory host.json    without Docker and root
dockerfw plan --since 3         beside policy 3 of `dockerfw history`
Status: 0 in sync, 3 changes pending, 2 policy refused""",
)
@config_option
@docker_host_option
@inventory_option
@click.option("--since", type=int, metavar="N", help="Beside policy N of the history.")
@json_option
@verbose_option
def command(
    config: Path,
    docker_host: str | None,
    inventory_path: Path | None,
    since: int | None,
    as_json: bool,
    verbose: bool,
) -> int:
    """Show which port an apply would open or close, to whom."""
    from dockerfw.cli.plan_output import plan_document, print_kernel_text, print_plan
    from dockerfw.cli.session import open_session
    from dockerfw.operations.plan import plan, plan_from_nothing
    from dockerfw.policy.files import collect

    if since is not None and inventory_path is not None:
        raise UsageError("--since is about this host: leave --inventory out")
    session = open_session(docker_host, quiet=as_json)
    with session.phase("reading the policy"):
        text = collect(config, for_kernel=False)
    if since is not None:
        return _since(session, text, since, as_json=as_json)
    if inventory_path is not None:
        planned = plan_from_nothing(session, text, read_inventory(inventory_path))
    else:
        planned = plan(session, text)
    if as_json:
        print_json(plan_document(planned))
    else:
        print_plan(planned, in_sync=planned.plan.in_sync)
        if verbose:
            print_kernel_text(planned.plan, session.kernel)
    return ExitStatus.OK if planned.plan.in_sync else ExitStatus.NO


def _since(session: Session, text: PolicyText, number: int, *, as_json: bool) -> int:
    from dockerfw.cli.plan_output import since_document
    from dockerfw.operations.plan_since import plan_since
    from dockerfw.report.history import what_it_was

    entry, planned = plan_since(session, text, number)
    changes = planned.changes
    if as_json:
        print_json(since_document(number, planned))
    else:
        print_warnings(planned.all_warnings)
        past = what_it_was(entry) if entry else f"policy {number}"
        print_lines(paragraph(f"Since {past}:", width=width(), rest="  "))
        print_lines(changes.lines(width()) if changes.changes else ["nothing opens or closes"])
    return ExitStatus.NO if changes.changes else ExitStatus.OK
