"""``dockerfw allow``: opens something for a while, lists what is open so, and ends it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from dockerfw.cli.applying import Applying
from dockerfw.cli.options import (
    config_option,
    docker_host_option,
    json_option,
    quiet_option,
    reason_option,
    seconds_of,
)
from dockerfw.cli.output import print_json, print_lines
from dockerfw.cli.screen import width
from dockerfw.errors import UsageError
from dockerfw.exit_status import ExitStatus

if TYPE_CHECKING:
    from dockerfw.operations.allow import Wish
    from dockerfw.operations.session import Session


@click.command(
    "allow",
    epilog="""\b
dockerfw allow                                  what is open for a while
dockerfw allow 203.0.113.7 web:80 --for 2h      open that, too
dockerfw allow office :8080 --for 7d --reason "ticket 42"
dockerfw allow --end 1                          end the first one
SOURCE and TARGET as for explain; SOURCE may be a network or any, too
Status: 0 done, 1 failed, 2 policy refused or nothing of that name""",
)
@click.argument("source", required=False)
@click.argument("target", required=False)
@click.option("--for", "duration", metavar="TIME", help="How long: 30m, 2h or 7d.")
@reason_option
@click.option("--end", "number", type=int, metavar="N", help="End the rule with this number.")
@click.option("--yes", is_flag=True, help="Ask nothing.")
@config_option
@docker_host_option
@json_option
@quiet_option
def command(
    source: str | None,
    target: str | None,
    duration: str | None,
    reason: str,
    number: int | None,
    yes: bool,
    config: Path,
    docker_host: str | None,
    as_json: bool,
    quiet: bool,
) -> int:
    """Let SOURCE reach TARGET for a while; or list what is open."""
    from dockerfw.cli.session import open_session
    from dockerfw.operations.allow import Hands, allow, end
    from dockerfw.policy.trust import user_name

    wish = _wish(source, target, duration, reason, number)
    session = open_session(docker_host)
    if wish is None and number is None:
        _list(session, config, as_json=as_json)
        return ExitStatus.OK
    applying = Applying(session, yes=yes, as_json=as_json, quiet=quiet)
    hands = Hands(user_name(), applying.agree)
    with applying.stoppable():
        if wish is not None:
            done = allow(session, config, wish, hands)
        else:
            done = end(session, config, number or 0, hands)
    applying.end(done)
    if not applying.silent:
        _list(session, config, as_json=False)
    return ExitStatus.OK


def _list(session: Session, config: Path, *, as_json: bool) -> None:
    from dockerfw.operations.allow import open_for_a_while
    from dockerfw.report import temporary

    found = open_for_a_while(session, config)
    if as_json:
        print_json({"temporary": temporary.to_json(found)})
    else:
        print_lines(temporary.lines(found, width()))


def _wish(
    source: str | None,
    target: str | None,
    duration: str | None,
    reason: str,
    number: int | None,
) -> Wish | None:
    """Return what is to be opened; None where nothing is. Raises `UsageError`."""
    from dockerfw.operations.allow import Wish

    if number is not None:
        if source or duration or reason:
            raise UsageError(f"--end takes a number alone: `dockerfw allow --end {number}`")
        return None
    if source is None:
        if duration or reason:
            raise UsageError(_how("SOURCE", "TARGET"))
        return None
    if target is None or duration is None:
        raise UsageError(_how(source, target or "TARGET"))
    return Wish(source, target, seconds_of("--for", duration), reason)


def _how(source: str, target: str) -> str:
    return f"allow takes who, what and how long: `dockerfw allow {source} {target} --for 2h`"
