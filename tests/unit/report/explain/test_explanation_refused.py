"""What dockerfw lets pass and rules of others drop for certain is said on that path, and first."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dockerfw.kernel.iptables.foreign import foreign_tables
from dockerfw.kernel.iptables.parse import parse
from dockerfw.model.foreign import ForeignTable
from dockerfw.model.inventory import Inventory
from dockerfw.plan.state import TablesState
from dockerfw.report.explain import Explanation, PortList, answer, open_to_all
from tests.build import allow, policy
from tests.unit.report.explain.scene import BRIDGED, SHOP

ENGINE_28 = replace(SHOP, engine="28.5.2")
INTERNAL = replace(
    SHOP, networks=tuple(replace(n, internal=n.name == "back") for n in SHOP.networks)
)
BACK = next(n.bridge for n in SHOP.networks if n.name == "back")
FRONT = next(n.bridge for n in SHOP.networks if n.name == "front")
OPEN = policy(allow("any", "bridge", to="*", ports=(80, 5432)))


def docker(raw: str = "", isolation: str = "") -> tuple[ForeignTable, ...]:
    text = f"""*raw
:PREROUTING ACCEPT [0:0]
{raw}
COMMIT
*filter
:FORWARD ACCEPT [0:0]
:DOCKER - [0:0]
:DOCKER-ISOLATION-STAGE-1 - [0:0]
:DOCKER-ISOLATION-STAGE-2 - [0:0]
-A FORWARD -j DOCKER-ISOLATION-STAGE-1
{isolation}
COMMIT
"""
    state = TablesState(4, parse(text, ("raw", "filter")))
    return tuple(foreign_tables(state, "nft"))


DIRECT = docker(raw=f"-A PREROUTING -d 172.18.0.2/32 ! -i {FRONT} -j DROP")
APART = docker(
    isolation=f"-A DOCKER-ISOLATION-STAGE-1 -i {BACK} ! -o {BACK} -j DOCKER-ISOLATION-STAGE-2\n"
    f"-A DOCKER-ISOLATION-STAGE-2 -o {FRONT} -j DROP"
)
ALONE = docker(isolation=f"-A DOCKER-ISOLATION-STAGE-1 ! -s 172.19.0.0/24 -o {BACK} -j DROP")


def asked(
    tables: tuple[ForeignTable, ...], source: str, target: str, running: Inventory = SHOP
) -> Explanation:
    found = answer(OPEN, running, BRIDGED, source, target, tables)
    assert isinstance(found, Explanation)
    return found


def refused(found: Explanation) -> dict[str, str]:
    return {row.path: row.refused for row in found.rows if row.refused}


def test_dockers_drop_of_direct_access_is_told_on_that_path_alone() -> None:
    found = asked(DIRECT, "203.0.113.7", "web:80", ENGINE_28)
    rule = f"`-d 172.18.0.2/32 ! -i {FRONT} -j DROP` in raw PREROUTING of iptables-nft"
    assert refused(found) == {
        "directly to 172.18.0.2": f"{rule}: Docker drops direct access from engine 28 on"
    }
    assert found.words == "allowed on all paths, but refused by other rules on 1 of 2"
    assert found.exit_status == 0, "the policy allows it"
    assert f"refused all the same by {rule}" in " ".join(" ".join(found.lines()).split())
    assert "may not" not in "".join(found.lines())


@pytest.mark.parametrize(
    ("tables", "source", "target", "running", "path", "known"),
    [
        (APART, "shop-db-1", "web:80", SHOP, "other bridge, directly to 172.18.0.2",
         "Docker keeps its networks apart"),
        (ALONE, "203.0.113.7", "172.19.0.2:5432", INTERNAL, "directly to 172.19.0.2",
         "the network back is internal"),
        (DIRECT, "203.0.113.7", "172.18.0.2:80", SHOP, "directly to 172.18.0.2", ""),
    ],
)  # fmt: skip
def test_what_is_known_of_the_rule_is_told(
    tables: tuple[ForeignTable, ...],
    source: str,
    target: str,
    running: Inventory,
    path: str,
    known: str,
) -> None:
    found = refused(asked(tables, source, target, running))
    assert path in found
    assert found[path].endswith(f": {known}" if known else "iptables-nft")


def test_what_is_denied_anyway_is_refused_by_nobody() -> None:
    found = answer(policy(), SHOP, BRIDGED, "203.0.113.7", "web:80", DIRECT)
    assert isinstance(found, Explanation)
    assert refused(found) == {}
    assert found.words == "denied on all paths"


def test_without_a_policy_what_others_refuse_is_not_called_open() -> None:
    found = open_to_all(SHOP, BRIDGED, "203.0.113.7", "172.18.0.2:80", DIRECT)
    assert isinstance(found, Explanation)
    assert found.words == "not filtered by dockerfw, but refused by other rules on all paths"
    listed = open_to_all(SHOP, BRIDGED, "203.0.113.7", "172.18.0.2", DIRECT)
    assert isinstance(listed, PortList)
    assert "refused by other rules" in "\n".join(listed.lines(120))


def test_while_observing_every_verdict_is_what_would_be() -> None:
    observing = replace(OPEN, mode="observe")
    for port, would in ((80, "allowed"), (22, "denied")):
        found = answer(observing, SHOP, BRIDGED, "203.0.113.7", f"web:{port}")
        assert isinstance(found, Explanation)
        text = "\n".join(found.lines()[1:])
        assert f": would be {would} on all paths" in text
        assert text.replace(f"would be {would}", "").count(would) == 0
    listed = answer(observing, SHOP, BRIDGED, "203.0.113.7", "web")
    assert isinstance(listed, PortList)
    assert "ports would be allowed" in "\n".join(listed.lines(120))
