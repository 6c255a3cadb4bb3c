"""``dockerfw explain``: would a source reach a target, path by path."""

from __future__ import annotations

from pathlib import Path

import click

from dockerfw.cli.options import (
    docker_host_option,
    inventory_option,
    json_option,
    read_inventory,
)
from dockerfw.cli.output import print_json, print_lines
from dockerfw.cli.screen import width


@click.command(
    "explain",
    epilog="""\b
SOURCE  203.0.113.7, 10.8.0.2@wg0, a container, a list of [sources], host
TARGET  web:80, web:53/udp, web:icmp, web (all its ports), :8080 (a port of
        this host), 172.18.0.2:80, [2001:db8::1]:443
dockerfw explain 203.0.113.7 web:80    may a stranger, and by which line
Status  0 allowed on all paths, 3 denied on all, 4 on some""",
)
@click.argument("source")
@click.argument("target")
@click.option("-c", "--config", type=click.Path(path_type=Path), help="Go by this policy instead.")
@docker_host_option
@inventory_option
@json_option
def command(
    source: str,
    target: str,
    config: Path | None,
    docker_host: str | None,
    inventory_path: Path | None,
    as_json: bool,
) -> int:
    """Would SOURCE[@IFACE] reach TARGET, and by which line."""
    from dockerfw.cli.session import open_session
    from dockerfw.operations.explain import explain

    inventory = None if inventory_path is None else read_inventory(inventory_path)
    found = explain(open_session(docker_host), source, target, config, inventory)
    if as_json:
        print_json(found.to_json())
    else:
        print_lines(found.lines(width()))
    return found.exit_status
