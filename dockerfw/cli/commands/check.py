"""``dockerfw check``: is this policy valid; needs no Docker, no root and no network."""

from __future__ import annotations

from pathlib import Path

import click

from dockerfw.cli.options import (
    config_option,
    inventory_option,
    json_option,
    quiet_option,
    read_inventory,
)
from dockerfw.cli.output import print_json, print_warnings
from dockerfw.exit_status import ExitStatus


@click.command("check")
@config_option
@inventory_option
@json_option
@quiet_option
def command(config: Path, inventory_path: Path | None, as_json: bool, quiet: bool) -> int:
    """Validate the policy; with --inventory its expectations as well."""
    from dockerfw.clock import SystemClock
    from dockerfw.operations.check import RECORDED, check
    from dockerfw.policy.files import collect
    from dockerfw.report import warnings as advice

    now = SystemClock().time()
    text = collect(config, for_kernel=False)
    policy = text.parse()
    warnings = (*text.warnings, *policy.warnings, *text.without_contents(advice.ended(policy, now)))
    if inventory_path is not None:
        warnings = check(text, read_inventory(inventory_path), RECORDED, now).warnings
    if as_json:
        print_json({"valid": True, "warnings": list(warnings)})
    elif not quiet:
        print_warnings(warnings)
        rules = f"{_count(policy.allows, 'allow')}, {_count(policy.denies, 'deny', 'denies')}"
        click.echo(f"{config}: valid ({rules}, {_count(policy.expects, 'expectation')})")
    return ExitStatus.OK


def _count(things: tuple[object, ...], one: str, many: str | None = None) -> str:
    return f"{len(things)} {one if len(things) == 1 else many or one + 's'}"
