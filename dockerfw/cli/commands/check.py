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
from dockerfw.cli.output import print_answer, print_json, print_warnings
from dockerfw.exit_status import ExitStatus
from dockerfw.text import counted


@click.command(
    "check",
    epilog="""\b
dockerfw check                  /etc/dockerfw/config.toml and its conf.d
dockerfw check -c new.toml      another file
dockerfw check -c new.toml --inventory host.json    its expectations, too
Status: 0 valid, 2 not""",
)
@config_option
@inventory_option
@json_option
@quiet_option
def command(config: Path, inventory_path: Path | None, as_json: bool, quiet: bool) -> int:
    """Validate the policy; with --inventory expectations, too."""
    from dockerfw.clock import SystemClock
    from dockerfw.policy.files import collect
    from dockerfw.policy.trust import shown_path
    from dockerfw.report.endings import ended
    from dockerfw.report.remarks import remarks

    now = SystemClock().time()
    text = collect(config, for_kernel=False)
    policy = text.parse()
    warnings = (*text.warnings, *policy.warnings, *text.without_contents(ended(policy, now)))
    if inventory_path is not None:
        # With the whole compiler, which takes longer to load than to parse most policies.
        from dockerfw.operations.check import RECORDED, check

        warnings = check(text, read_inventory(inventory_path), RECORDED, now).warnings
    if as_json:
        print_json({"valid": True, "warnings": remarks(warnings)})
    elif not quiet:
        print_warnings(warnings)
        allows, denies = len(policy.allows), len(policy.denies)
        rules = f"{counted(allows, 'allow')}, {counted(denies, 'deny', 'denies')}"
        expects = _expectations(len(policy.expects), tried=inventory_path is not None)
        print_answer(f"{shown_path(str(config))}: valid ({rules}, {expects})")
    return ExitStatus.OK


def _expectations(count: int, *, tried: bool) -> str:
    words = counted(count, "expectation")
    if not count:
        return words
    return f"{words} tried" if tried else f"{words}, not tried without --inventory"
