"""``dockerfw schema``: the JSON Schema of the policy."""

from __future__ import annotations

import json

import click

from dockerfw.exit_status import ExitStatus


@click.command(
    "schema",
    epilog="""\b
dockerfw schema > policy.schema.json
Status: 0""",
)
def command() -> int:
    """The JSON Schema of the policy, for editors."""
    from dockerfw.policy.json_schema import json_schema

    click.echo(json.dumps(json_schema(), indent=1))
    return ExitStatus.OK
