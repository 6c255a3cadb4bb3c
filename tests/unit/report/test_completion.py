"""The names that a shell offers at TAB."""

from __future__ import annotations

from dockerfw.model.inventory import Inventory
from dockerfw.model.policy import Policy
from dockerfw.report.completion import names
from tests import build
from tests.policy_text import read

SHOP = build.inventory(
    build.network("front", "172.18.0.0/16"),
    build.container("web", "front 172.18.0.2", published="8080:80"),
    build.container("shop-db-1", "front 172.18.0.3"),
)


def test_containers_their_ports_and_those_of_this_host_are_named() -> None:
    assert names(Policy(), SHOP).splitlines() == [
        "container shop-db-1",
        "container web",
        "target :8080",
        "target web:80",
    ]


def test_lists_and_the_ports_that_rules_open_are_named() -> None:
    policy = read(
        '[sources]\noffice = "198.51.100.0/24"\n'
        '[[allow]]\nto = "shop-*"\nports = [5432, "8000-8010/udp", "icmp"]\nfrom = "office"\n'
    )
    found = names(policy, SHOP).splitlines()

    assert "source office" in found
    assert [line for line in found if "db" in line] == [
        "container shop-db-1",
        "target shop-db-1:5432",
        "target shop-db-1:8000/udp",
    ]
    assert found == sorted(found), "the script in bash searches it"


def test_a_name_that_a_shell_could_take_for_more_than_a_name_is_left_out() -> None:
    hostile = ("$(reboot)", "`reboot`", "a;reboot", "-rf", "a b", "a\nsource b", "\x1b[2J", "ü")
    running = build.inventory(
        build.network("front", "172.18.0.0/16"),
        *(
            build.container(name, f"front 172.18.0.{number}", published=f"{number}:80")
            for number, name in enumerate(hostile, 2)
        ),
    )
    found = names(Policy(), running)

    assert {line.split(" ")[0] for line in found.splitlines()} == {"target"}
    assert all(line.startswith("target :") for line in found.splitlines())


def test_of_nothing_there_is_nothing() -> None:
    assert names(Policy(), Inventory()) == ""
