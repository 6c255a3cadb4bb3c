"""Holds what commands print with --json against docs/json.schema.json."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator

from tests.paths import REPOSITORY

SCHEMA = REPOSITORY / "docs/json.schema.json"


def holds(kind: str, document: Mapping[str, object]) -> None:
    """Fail where a document is not of this kind: the name of a command, or ``errors``."""
    found = [
        f"{'/'.join(map(str, error.path))}: {error.message}"
        for error in _validator(kind).iter_errors(document)
    ]
    assert not found, "\n".join([f"{kind} --json is not as docs/json.schema.json has it", *found])


def kinds() -> list[str]:
    """All that the schema has documents of."""
    return [name for name in _definitions() if not name.startswith("_")]


def kind_of(arguments: tuple[str, ...], document: Mapping[str, object]) -> str:
    """What such a command line prints; `allow` without arguments lists what is open for a while."""
    if "errors" in document:
        return "errors"
    if "since" in document and arguments[0] == "plan":
        return "since"
    return "temporary" if "temporary" in document else arguments[0]


@cache
def _definitions() -> dict[str, object]:
    found: dict[str, object] = json.loads(SCHEMA.read_text(encoding="utf-8"))["$defs"]
    return found


@cache
def _validator(kind: str) -> Draft202012Validator:
    return Draft202012Validator({"$ref": f"#/$defs/{kind}", "$defs": _definitions()})


def ports_text(row: Mapping[str, Any]) -> str:
    """Return the ports of a way in that packets are sent to, as people read them."""
    ranges = [
        f"{one['first']}{'' if one['first'] == one['last'] else '-' + str(one['last'])}"
        f"/{one['protocol']}"
        for one in row["host_ports"]
    ]
    return ", ".join(ranges) or str(row["port"])
