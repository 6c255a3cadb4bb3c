"""The command line: parse, call, print. Everything else happens elsewhere."""

from __future__ import annotations

import json
import os
import select
import sys
import time
from pathlib import Path
from typing import Any, Literal, NoReturn

import click

from dockerfw import __version__
from dockerfw.docker.client import Docker
from dockerfw.errors import DockerfwError, Failed, PolicyError, UsageError
from dockerfw.kernel.runner import SystemRunner, detach
from dockerfw.model.inventory import Inventory
from dockerfw.model.policy import Needs
from dockerfw.operations import use_cases as operations
from dockerfw.operations.use_cases import RECORDED, Judged, Session
from dockerfw.plan.planner import Plan
from dockerfw.policy import json_schema as schema
from dockerfw.policy.files import PolicyText, collect
from dockerfw.report import diff, warnings as advice
from dockerfw.state import inventory_file as inventoryfile
from dockerfw.state.confirm import Pending
from dockerfw.state.store import Store
from dockerfw.text import paragraph

DEFAULT_CONFIG = "/etc/dockerfw/config.toml"
FIRST_APPLY_SECONDS = 60

_config = click.option(
    "-c",
    "--config",
    type=click.Path(path_type=Path),
    default=DEFAULT_CONFIG,
    envvar="DOCKERFW_CONFIG",
    show_default=True,
    help="The policy.",
)
_docker_host = click.option(
    "-H", "--docker-host", metavar="URL", help="Docker's socket (else DOCKER_HOST)."
)
_json = click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
_quiet = click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors.")
_verbose = click.option("-v", "--verbose", is_flag=True, help="Show the kernel text as well.")
_inventory_file = click.option(
    "--inventory",
    "inventory_path",
    type=click.Path(path_type=Path),
    help="Go by a file that `dockerfw inventory` wrote; needs no Docker and no root.",
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="dockerfw")
def cli() -> None:
    """Who may reach which container port: one TOML file, enforced behind Docker's back."""


def main() -> NoReturn:
    """The entry point: every error is a sentence on stderr and an exit status."""
    try:
        code = cli.main(prog_name="dockerfw", standalone_mode=False)
    except PolicyError as error:
        for finding in error.findings:  # FILE:LINE: at the start, as editors read it
            _to_stderr(finding)
        sys.exit(error.exit_status)
    except DockerfwError as error:
        _complain(str(error))
        sys.exit(error.exit_status)
    except click.exceptions.Abort:
        _complain("stopped")
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(141)
    except Exception as error:
        if os.environ.get("DOCKERFW_DEBUG"):
            raise
        _complain(
            f"internal error: {type(error).__name__}: {error}; "
            "please report it, with the output under DOCKERFW_DEBUG=1"
        )
        sys.exit(1)
    sys.exit(code if isinstance(code, int) else 0)


def _complain(text: str) -> None:
    for sentence in text.splitlines() or [""]:
        _to_stderr(f"dockerfw: {sentence}")


def _to_stderr(sentence: str) -> None:
    """Wrapped for people; one line for programs."""
    lines = paragraph(sentence, rest="  ") if sys.stderr.isatty() else [sentence]
    for line in lines:
        click.echo(line, err=True)


def _warn(warnings: tuple[str, ...], *, quiet: bool = False) -> None:
    if not quiet:
        for warning in warnings:
            _to_stderr(f"warning: {warning}")


def _print_json(document: dict[str, Any]) -> None:
    click.echo(json.dumps({"schema": 1, **document}, indent=1))


def _session(docker_host: str | None = None) -> Session:
    return Session(SystemRunner(), Store(), docker_host, lambda text: click.echo(text, err=True))


def _read_inventory(path: Path) -> Inventory:
    try:
        return inventoryfile.load(path.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read the inventory {path}: {error}") from error


# --- check ---------------------------------------------------------------------------------------


@cli.command()
@_config
@_inventory_file
@_json
@_quiet
def check(config: Path, inventory_path: Path | None, as_json: bool, quiet: bool) -> int:
    """Validate the policy; with --inventory its expectations as well."""
    text = collect(config, for_kernel=False)
    policy = text.parse()
    warnings = (*text.warnings, *policy.warnings, *advice.ended(policy, time.time()))
    if inventory_path is not None:
        judged = operations.judge(text, _read_inventory(inventory_path), RECORDED)
        warnings = judged.warnings
    if as_json:
        _print_json({"valid": True, "warnings": list(warnings)})
        return 0
    _warn(warnings, quiet=quiet)
    if not quiet:
        rules = f"{_count(policy.allows, 'allow')}, {_count(policy.denies, 'deny', 'denies')}"
        click.echo(f"{config}: valid ({rules}, {_count(policy.expects, 'expectation')})")
    return 0


def _count(things: tuple[object, ...], one: str, many: str | None = None) -> str:
    return f"{len(things)} {one if len(things) == 1 else many or one + 's'}"


# --- daemon --------------------------------------------------------------------------------------


@cli.command()
@_docker_host
@click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="One line a change, for people or for programs.",
)
def daemon(docker_host: str | None, log_format: Literal["text", "json"]) -> int:
    """Keep the policy in force true as containers come and go."""
    from dockerfw.daemon import loop as running  # noqa: PLC0415 - no other command needs its parts

    return running.run(docker_host, log_format)


# --- plan and apply ------------------------------------------------------------------------------


@cli.command()
@_config
@_docker_host
@_inventory_file
@_json
@_verbose
def plan(
    config: Path,
    docker_host: str | None,
    inventory_path: Path | None,
    as_json: bool,
    verbose: bool,
) -> int:
    """Show which port an apply would open or close, to whom."""
    text = collect(config, for_kernel=False)
    if inventory_path is not None:
        judged = _judged_from_file(text, _read_inventory(inventory_path))
    else:
        judged = operations.look(_session(docker_host), text)
    changes = _changes(judged)
    if as_json:
        _print_json(_plan_document(judged, changes))
    else:
        _print_plan(judged, changes, verbose=verbose)
    return 0 if _plan_of(judged).in_sync else 3


def _judged_from_file(text: PolicyText, inventory: Inventory) -> Judged:
    """A plan against an empty kernel."""
    text = operations.with_names(Store(), text)
    judged = operations.judge(text, inventory, RECORDED)
    return operations.against_nothing(judged)


def _plan_of(judged: Judged) -> Plan:
    if judged.observation is None:
        raise AssertionError("looked at without an observation")
    return judged.observation.plan


def _changes(judged: Judged) -> diff.Diff:
    seen = judged.observation
    if seen is None:
        raise AssertionError("looked at without an observation")
    return diff.diff(
        seen.live.sets,
        seen.ruleset,
        judged.inventory,
        before_installed=operations.stands(seen.live),
        live_tables=seen.live.tables,
        host_names=judged.text.names,
    )


def _plan_document(judged: Judged, changes: diff.Diff) -> dict[str, Any]:
    plan_ = _plan_of(judged)
    return {
        "in_sync": plan_.in_sync,
        "observing": judged.policy.mode == "observe",
        "changes": changes.to_json(),
        "notes": list(plan_.notes),
        "warnings": [*judged.warnings, *judged.unenforced],
        "hints": list(judged.hints),
        "steps": [{"tool": s.tool, "family": s.family, "why": s.why} for s in plan_.steps],
    }


def _print_plan(judged: Judged, changes: diff.Diff, *, verbose: bool) -> None:
    plan_ = _plan_of(judged)
    if judged.policy.mode == "observe":
        click.echo("OBSERVING: judged and counted, nothing is dropped")
    _warn((*judged.warnings, *judged.unenforced))
    _hint(judged)
    _print_notes(plan_)
    if plan_.in_sync:
        click.echo("In sync: nothing to change.")
        return
    for line in changes.lines(plan=plan_):
        click.echo(line)
    if verbose:
        for step in plan_.steps:
            family = f" (IPv{step.family})" if step.family else ""
            click.echo(f"\n# {step.tool}{family}: {step.why}")
            click.echo(step.text.rstrip("\n"))


def _hint(judged: Judged) -> None:
    for hint in judged.hints:
        _to_stderr(f"hint: {hint}")


def _print_notes(plan_: Plan) -> None:
    for note in plan_.notes:
        for line in paragraph(f"! {note}", rest="  "):
            click.echo(line)


@cli.command()
@_config
@_docker_host
@click.option(
    "--confirm",
    "confirm_seconds",
    type=click.IntRange(1, 3600),
    metavar="SECONDS",
    help="Roll back unless confirmed within so many seconds.",
)
@click.option("--yes", is_flag=True, help="Do not ask, not even the first time.")
@click.option("--strict", is_flag=True, help="Take warnings as errors.")
@click.option("--allow-unenforced", is_flag=True, help="Apply what cannot hold on every path.")
@_json
@_quiet
def apply(
    config: Path,
    docker_host: str | None,
    confirm_seconds: int | None,
    yes: bool,
    strict: bool,
    allow_unenforced: bool,
    as_json: bool,
    quiet: bool,
) -> int:
    """Put the policy in force and make the kernel match it."""
    session = _session(docker_host)
    session.require_root()
    config = config.absolute()
    text = collect(config, for_kernel=True)
    with session.store.lock(session.say):
        judged = operations.look(session, text)
        _refuse(judged, strict=strict, allow_unenforced=allow_unenforced)
        changes = _changes(judged)
        seconds = confirm_seconds or _first_time_seconds(session, yes=yes)
        pending = session.store.confirm.begin(time.time() + seconds) if seconds else None
        if pending:
            _start_rollback(pending, docker_host)
        else:
            session.store.confirm.keep()
        result = operations.apply(session, judged, config)
    if not as_json and not quiet:
        _print_applied(judged, changes, result.steps)
    kept = operations.await_confirm(session, pending, _ask) if pending else True
    if as_json:
        _print_json({**_plan_document(judged, changes), "applied": kept, "wrote": result.steps > 0})
    if not kept:
        raise Failed("not confirmed: rolled back to what stood before")
    return 0


def _start_rollback(pending: Pending, docker_host: str | None) -> None:
    """A process of its own: it rolls back though the terminal, or this process, dies."""
    host = {"DOCKER_HOST": docker_host} if docker_host else {}
    # From "/" a package that is not installed but run in place would not be found.
    place = {"PYTHONPATH": str(Path(__file__).parents[2])}
    detach([sys.executable, "-m", "dockerfw.cli.rollback", pending.token], {**host, **place})


def _first_time_seconds(session: Session, *, yes: bool) -> int | None:
    first = session.store.policy.applied() is None
    at_terminal = sys.stdin.isatty() and sys.stdout.isatty()
    return FIRST_APPLY_SECONDS if first and at_terminal and not yes else None


def _refuse(judged: Judged, *, strict: bool, allow_unenforced: bool) -> None:
    if judged.unenforced and not allow_unenforced:
        reasons = "; ".join(judged.unenforced)
        raise Failed(f"this policy cannot hold here: {reasons} (or apply --allow-unenforced)")
    if strict and judged.warnings:
        raise PolicyError([f"{warning} (--strict)" for warning in judged.warnings])


def _print_applied(judged: Judged, changes: diff.Diff, steps: int) -> None:
    observing = judged.policy.mode == "observe"
    if observing:
        click.echo("OBSERVING: judged and counted, nothing is dropped")
    _warn((*judged.warnings, *judged.unenforced))
    _hint(judged)
    _print_notes(_plan_of(judged))
    if not steps:
        click.echo("In sync: nothing to change.")
        return
    for line in changes.lines(plan=_plan_of(judged)):
        click.echo(line)
    click.echo("Applied.")


def _ask(remaining: float) -> bool | None:
    """Ask at the terminal once, then poll for an answer a little at a time."""
    if not sys.stdin.isatty():
        _wait(0.1)
        return None
    if not _asked:
        _asked.append(True)
        click.echo(
            f"Can you still get in from elsewhere? Keep these rules? [y/N] "
            f"(rolls back in {max(remaining, 0):.0f} s) ",
            nl=False,
        )
    ready, _, _ = select.select([sys.stdin], [], [], 0.2)
    if not ready:
        return None
    return sys.stdin.readline().strip().lower() in ("y", "yes")


_asked: list[bool] = []


def _wait(seconds: float) -> None:
    select.select([], [], [], seconds)


@cli.command()
@_quiet
def confirm(quiet: bool) -> int:
    """Keep what `apply --confirm` did."""
    session = _session()
    operations.confirm(session)
    if not quiet:
        click.echo("Kept.")
    return 0


# --- looking -------------------------------------------------------------------------------------


@cli.command(name="status")
@_docker_host
@_json
def show_status(docker_host: str | None, as_json: bool) -> int:
    """Is it enforced and in sync, what passed, what was denied."""
    found = operations.read_status(_session(docker_host))
    if as_json:
        click.echo(json.dumps(found.to_json(), indent=1))
    else:
        for line in found.lines():
            click.echo(line)
    return found.exit_status


@cli.command(name="explain")
@click.argument("source")
@click.argument("target")
@click.option("-c", "--config", type=click.Path(path_type=Path), help="Go by this policy instead.")
@_docker_host
@_inventory_file
@_json
def explain_(
    source: str,
    target: str,
    config: Path | None,
    docker_host: str | None,
    inventory_path: Path | None,
    as_json: bool,
) -> int:
    """Would SOURCE[@IFACE] reach TARGET, and by which line."""
    session = _session(docker_host)
    found = operations.explain_now(session, source, target, config, _maybe(inventory_path))
    if as_json:
        click.echo(json.dumps(found.to_json(), indent=1))
    else:
        for line in found.lines():
            click.echo(line)
    return found.exit_status


def _maybe(path: Path | None) -> Inventory | None:
    return _read_inventory(path) if path is not None else None


@cli.command()
@_docker_host
def inventory(docker_host: str | None) -> int:
    """Record what runs, for --inventory; may read a remote engine."""
    docker = Docker.connect(docker_host, remote_ok=True)
    found = docker.read_inventory({}, Needs(images=True, labels=True))
    docker.close()
    _warn(docker.warnings)
    click.echo(inventoryfile.dump(found), nl=False)
    return 0


@cli.command(name="schema")
def show_schema() -> int:
    """The JSON Schema of the policy, for editors."""
    click.echo(json.dumps(schema.json_schema(), indent=1))
    return 0


# --- boot, lockdown, remove ----------------------------------------------------------------------


@cli.command()
def boot() -> int:
    """Close everything before Docker starts (dockerfw-boot.service)."""
    click.echo(operations.boot(_session()))
    return 0


@cli.command()
@_docker_host
def lockdown(docker_host: str | None) -> int:
    """Close every container port at once, until the next apply."""
    operations.lock_down(_session(docker_host))
    click.echo("LOCKED DOWN: only this host reaches its containers, until the next apply.")
    return 0


@cli.command()
@_docker_host
@click.option("--yes", is_flag=True, help="Do not ask.")
def remove(docker_host: str | None, yes: bool) -> int:
    """Take out all of dockerfw and nothing else."""
    session = _session(docker_host)
    session.require_root()
    lines = _what_opens(session)
    if lines:
        click.echo("These ports open to whoever can reach this host:")
        for line in lines:
            click.echo(f"  {line}")
    if not yes:
        if not sys.stdin.isatty():
            raise UsageError("remove opens ports: at no terminal it needs --yes")
        click.confirm("Remove dockerfw?", abort=True)
    operations.remove(session)
    click.echo("Removed.")
    return 0


def _what_opens(session: Session) -> tuple[str, ...]:
    try:
        return operations.opens(session.inventory(operations.CLOSED))
    except DockerfwError:
        return operations.opens(session.store.last_seen.inventory())
