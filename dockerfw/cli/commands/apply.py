"""``dockerfw apply``: puts the policy in force; may ask at the terminal whether to keep it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dockerfw.cli.applying import CONFIRM_SECONDS, Applying
from dockerfw.cli.options import (
    DEFAULT_CONFIG,
    config_option,
    docker_host_option,
    json_option,
    naming,
    quiet_option,
    reason_option,
)
from dockerfw.cli.output import print_lines, print_remark
from dockerfw.cli.screen import width
from dockerfw.cli.terminal import comes_from_afar
from dockerfw.exit_status import ExitStatus
from dockerfw.text import paragraph, printable

if TYPE_CHECKING:
    from dockerfw.operations.session import Session
    from dockerfw.report.probe import Probed


@click.command(
    "apply",
    epilog="""\b
dockerfw apply                  at a terminal: plan, question, write
dockerfw apply --yes            for scripts: asks nothing
dockerfw apply --confirm 60     goes back unless confirmed within 60 seconds
dockerfw apply --probe          then see by packets whether it holds
Status: 0 done, 1 failed or gone back, 2 policy refused or expectation broken,
        3 applied, and --probe found what is not as the policy says""",
)
@config_option
@docker_host_option
@click.option(
    "--confirm",
    "confirm_seconds",
    type=click.IntRange(1, 3600),
    metavar="SECONDS",
    help="Roll back unless confirmed within so many seconds.",
)
@click.option("--yes", is_flag=True, help="Ask nothing.")
@reason_option
@click.option("--strict", is_flag=True, help="Take warnings as errors.")
@click.option("--allow-unenforced", is_flag=True, help="Apply what cannot hold on every path.")
@click.option("--probe", "probes", is_flag=True, help="Then send packets, as dockerfw probe.")
@json_option
@quiet_option
def command(
    config: Path,
    docker_host: str | None,
    confirm_seconds: int | None,
    yes: bool,
    reason: str,
    strict: bool,
    allow_unenforced: bool,
    probes: bool,
    as_json: bool,
    quiet: bool,
) -> int:
    """Put the policy in force and make the kernel match it."""
    from dockerfw.cli import rollback
    from dockerfw.cli.session import open_session
    from dockerfw.operations.apply import Act, Terms, apply
    from dockerfw.policy.trust import user_name

    session = open_session(docker_host, quiet=quiet or as_json)
    applying = Applying(session, yes=yes, as_json=as_json, quiet=quiet)
    afar = applying.asks and comes_from_afar()
    terms = Terms(
        strict=strict,
        allow_unenforced=allow_unenforced,
        confirm_seconds=confirm_seconds,
        first_confirm_seconds=CONFIRM_SECONDS if applying.asks else None,
        afar_confirm_seconds=CONFIRM_SECONDS if afar else None,
    )
    start_rollback = partial(rollback.start, docker_host=docker_host)
    act = Act(user_name(), reason=reason)
    with applying.stoppable():
        done = apply(session, config, terms, start_rollback, agree=applying.agree, act=act)
    agrees = applying.end(done, _probe(session) if probes else None)
    if not applying.silent and done.steps:
        alive, observing = session.store.daemon.alive(), done.planned.observing
        print_lines(next_step(observing=observing, daemon_alive=alive, width=width()))
        _remark_on_reload(config)
    return ExitStatus.OK if agrees else ExitStatus.NO


def _probe(session: Session) -> Callable[[], Probed]:
    """Return what probes what stands when it is called."""
    from dockerfw.cli.session import open_outside
    from dockerfw.operations.probe import probe

    return partial(probe, session, open_outside())


def _remark_on_reload(config: Path) -> None:
    """Two files are in use where the unit applies another one than was applied here."""
    if naming(config):
        print_remark(
            f"note: `systemctl reload dockerfw` puts {DEFAULT_CONFIG} in force, and not "
            f"{printable(str(config))}: keep one of the two"
        )


def next_step(*, observing: bool, daemon_alive: bool, width: int) -> list[str]:
    """Return what to do next, as lines."""
    steps = []
    if observing:
        steps.append('dockerfw denied shows who would be turned away; then set mode = "enforce"')
    if not daemon_alive:
        steps.append(
            "enable the units (docs/operations.md): until then it does not stand after a reboot, "
            "and a container that comes needs another apply"
        )
    if not steps:
        steps.append("dockerfw status shows every port, what passes and what is denied")
    return [line for s in steps for line in paragraph(f"Next: {s}", width=width, rest="  ")]
