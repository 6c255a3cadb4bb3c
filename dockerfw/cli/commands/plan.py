"""``dockerfw plan``: what an apply would change; writes nothing."""

from __future__ import annotations

from pathlib import Path

import click

from dockerfw.cli.options import (
    config_option,
    docker_host_option,
    inventory_option,
    json_option,
    read_inventory,
    verbose_option,
)
from dockerfw.cli.output import print_json
from dockerfw.exit_status import ExitStatus


@click.command(
    "plan",
    epilog="""\b
dockerfw plan                   for /etc/dockerfw/config.toml on this host
dockerfw plan -c new.toml       for another file
dockerfw plan -c new.toml --inventory host.json    without Docker and root
Status: 0 in sync, 3 changes pending, 2 policy refused""",
)
@config_option
@docker_host_option
@inventory_option
@json_option
@verbose_option
def command(
    config: Path,
    docker_host: str | None,
    inventory_path: Path | None,
    as_json: bool,
    verbose: bool,
) -> int:
    """Show which port an apply would open or close, to whom."""
    from dockerfw.cli.plan_output import plan_document, print_kernel_text, print_plan
    from dockerfw.cli.session import open_session
    from dockerfw.operations.plan import plan, plan_from_nothing
    from dockerfw.policy.files import collect

    session = open_session(docker_host, quiet=as_json)
    with session.phase("reading the policy"):
        text = collect(config, for_kernel=False)
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
