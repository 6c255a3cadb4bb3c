"""What makes two answers of Docker different ones."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from dockerfw.docker.sameness import digest

PORTS = [
    {"IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"},
    {"IP": "0.0.0.0", "PrivatePort": 81, "PublicPort": 8081, "Type": "tcp"},
]
WEB = {"Id": "1", "Names": ["/web"], "Status": "Up 3 minutes", "Ports": PORTS}
DB = {"Id": "2", "Names": ["/db"], "Status": "Up 3 minutes", "Ports": []}
FRONT, BACK = {"Id": "a", "Name": "front"}, {"Id": "b", "Name": "back"}
BEFORE = digest([WEB, DB], [FRONT, BACK])


def test_order_and_time_say_nothing() -> None:
    later = WEB | {"Status": "Up 4 minutes", "Ports": PORTS[::-1]}
    assert digest([DB, later], [BACK, FRONT]) == BEFORE


@pytest.mark.parametrize(
    ("containers", "networks"),
    [
        ([WEB], [FRONT, BACK]),
        ([WEB, DB], [FRONT]),
        ([WEB, DB, FRONT], [BACK]),
        ([WEB | {"Ports": PORTS[:1]}, DB | {"Ports": PORTS[1:]}], [FRONT, BACK]),
        ([WEB | {"Names": ["/db"]}, DB | {"Names": ["/web"]}], [FRONT, BACK]),
        ([WEB, DB | {"Ports": None}], [FRONT, BACK]),
        ([WEB, None], [FRONT, BACK]),
    ],
)
def test_all_else_does(containers: list[Any], networks: list[Any]) -> None:
    assert digest(containers, networks) != BEFORE


def test_nothing_of_an_answer_is_changed() -> None:
    containers = [deepcopy(WEB) | {"Names": ["\ud800"]}, None, "garbage"]
    before = deepcopy(containers)
    digest(containers, [None])
    assert containers == before
