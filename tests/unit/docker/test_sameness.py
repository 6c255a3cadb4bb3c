"""What makes two answers of Docker different ones."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

import pytest

from dockerfw.docker.sameness import of_containers, of_networks, of_text

PORTS = [
    {"IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"},
    {"IP": "0.0.0.0", "PrivatePort": 81, "PublicPort": 8081, "Type": "tcp"},
]
WEB = {"Id": "1", "Names": ["/web"], "Status": "Up 3 minutes (healthy)", "Ports": PORTS}
DB = {"Id": "2", "Names": ["/db"], "Status": "Up 3 minutes", "Ports": []}
LATER = WEB | {"Status": "Up 4 minutes"}
FRONT, BACK = {"Id": "a", "Name": "front"}, {"Id": "b", "Name": "back"}


def text(*containers: Any) -> bytes:
    return json.dumps(containers).encode()


def test_time_says_nothing() -> None:
    assert of_text(text(LATER, DB)) == of_text(text(WEB, DB))
    assert of_containers([LATER, DB]) == of_containers([WEB, DB])


def test_order_says_nothing() -> None:
    turned = WEB | {"Ports": PORTS[::-1]}
    assert of_text(text(turned, DB)) != of_text(text(WEB, DB)), "then entries are compared"
    assert of_containers([DB, turned]) == of_containers([WEB, DB])
    assert of_networks([FRONT, BACK]) == of_networks([BACK, FRONT])


@pytest.mark.parametrize(
    "other",
    [
        [WEB],
        [WEB, DB, DB],
        [WEB | {"Ports": PORTS[:1]}, DB | {"Ports": PORTS[1:]}],
        [WEB | {"Names": ["/db"]}, DB | {"Names": ["/web"]}],
        [WEB, DB | {"Ports": None}],
        [WEB, None],
    ],
)
def test_all_else_does(other: list[Any]) -> None:
    assert of_containers(other) != of_containers([WEB, DB])
    assert of_text(text(*other)) != of_text(text(WEB, DB))


def test_a_label_that_looks_like_a_status_counts() -> None:
    one, other = (WEB | {"Labels": {"a": f'"Status":"{n}"'}} for n in "12")
    assert of_text(text(one)) != of_text(text(other))
    assert of_containers([one]) != of_containers([other])


def test_other_networks_are_others() -> None:
    assert len({of_networks(some) for some in ([], [FRONT], [BACK], [FRONT, BACK])}) == 4


def test_nothing_of_an_answer_is_changed() -> None:
    containers = [deepcopy(WEB) | {"Names": ["\ud800"]}, None, "garbage"]
    before = deepcopy(containers)
    of_containers(containers)
    assert containers == before
