"""``dockerfw rollback``: back to the policy before, once what changes was shown and agreed to."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from dockerfw.cli.applying import CONFIRM_SECONDS, Applying
from dockerfw.cli.options import docker_host_option, json_option, quiet_option
from dockerfw.cli.output import print_remark
from dockerfw.cli.terminal import comes_from_afar
from dockerfw.exit_status import ExitStatus


@click.command(
    "rollback",
    epilog="""\b
dockerfw history                which policies there were
dockerfw rollback               at a terminal: plan, question, write
dockerfw rollback --yes         for scripts: asks nothing
Status: 0 done, 1 failed, gone back or nothing to go back to""",
)
@docker_host_option
@click.option("--yes", is_flag=True, help="Ask nothing.")
@json_option
@quiet_option
def command(docker_host: str | None, yes: bool, as_json: bool, quiet: bool) -> int:
    """Put the policy before in force again; files stay."""
    from dockerfw.cli import rollback
    from dockerfw.cli.session import open_session
    from dockerfw.operations.apply import Terms
    from dockerfw.operations.go_back import go_back, the_one_before
    from dockerfw.policy.trust import user_name
    from dockerfw.report.history import what_it_was

    session = open_session(docker_host)
    applying = Applying(session, yes=yes, as_json=as_json, quiet=quiet)
    to = the_one_before(session)
    if not applying.silent:
        ends = ", and the lockdown ends" if session.store.policy.locked_down() else ""
        print_remark(f"Back to {what_it_was(to)}{ends}")
    afar = applying.agree is not None and comes_from_afar()
    # It was in force once; the plan warns of what cannot be enforced now.
    terms = Terms(allow_unenforced=True, afar_confirm_seconds=CONFIRM_SECONDS if afar else None)
    start_rollback = partial(rollback.start, docker_host=docker_host)
    with applying.stoppable():
        done = go_back(session, to, terms, start_rollback, user_name(), applying.agree)
    applying.end(done)
    if not applying.silent:
        _tell_of_the_files(Path(to.config))
    return ExitStatus.OK


def _tell_of_the_files(config: Path) -> None:
    print_remark(
        f"note: {config} is left as it is, and differs from what is in force now: mend it, for the "
        "next `dockerfw apply`, or reload of the unit, puts it in force again"
    )
