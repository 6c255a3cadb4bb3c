"""Which families a host outside can be in."""

from __future__ import annotations

import json
from ipaddress import ip_address
from typing import Any

import pytest

from dockerfw.errors import Failed
from dockerfw.kernel.outside import Outside
from dockerfw.model.knock import Knock
from tests.clock import FakeClock
from tests.unit.kernel.fake_runner import FakeRunner

RULES = {
    f"ip -{family} rule show": "0:\tfrom all lookup local\n32766:\tfrom all lookup main\n"
    for family in (4, 6)
}
FILES = {
    "/proc/sys/net/ipv4/conf/default/forwarding": "1\n",
    "/proc/sys/net/ipv4/conf/all/forwarding": "1\n",
    "/proc/sys/net/ipv6/conf/default/disable_ipv6": "0\n",
}


@pytest.mark.parametrize(
    ("of_new_ones", "of_all", "without_ipv6", "families"),
    [
        ("1", "1", "0", (4, 6)),
        ("0", "0", "0", (4, 6)),
        ("0", "1", "0", (6,)),
        ("1", "1", "1", (4,)),
        ("1", "1", None, (4,)),
    ],
)
def test_a_new_interface_has_to_be_as_the_others(
    of_new_ones: str, of_all: str, without_ipv6: str | None, families: tuple[int, ...]
) -> None:
    files = {
        "/proc/sys/net/ipv4/conf/default/forwarding": f"{of_new_ones}\n",
        "/proc/sys/net/ipv4/conf/all/forwarding": f"{of_all}\n",
    }
    if without_ipv6 is not None:
        files["/proc/sys/net/ipv6/conf/default/disable_ipv6"] = f"{without_ipv6}\n"
    found = Outside(FakeRunner(RULES, files=files), FakeClock().monotonic).not_played()
    assert tuple(family for family in (4, 6) if family not in found) == families


def test_where_another_table_is_asked_before_local_nobody_is_played() -> None:
    """Answers would go to whoever has the address in truth, and a closed port seem to be so."""
    moved = {"ip -4 rule show": "50:\tfrom all lookup 77\n100:\tfrom all lookup local\n"}
    outside = Outside(FakeRunner(RULES | moved, files=FILES), FakeClock().monotonic)
    (reason,) = outside.not_played().values()
    assert "does not ask the table local first (ip rule)" in reason


@pytest.mark.parametrize(
    "link",
    [
        {"address": "02:42:ac:11:00:01", "linkinfo": {"info_kind": "bridge"}},
        {"address": "02:42:ac:11:00:01", "linkinfo": {"info_kind": "veth"}},
        {"address": "02:64:66:77:00:01", "linkinfo": {"info_kind": "bridge"}},
        {"address": "02:64:66:77:00:01"},
    ],
)
def test_an_interface_of_that_name_that_no_probe_made_is_left_alone(link: dict[str, Any]) -> None:
    """Docker makes bridges of any name, and deleting one cuts its containers off."""
    runner = FakeRunner(
        {"ip -json -details link show": json.dumps([{"ifname": "dockerfw-probe", **link}])}
    )
    knock = Knock(ip_address("198.18.0.77"), "tcp", ip_address("172.18.0.2"), 80, 1.0)
    with pytest.raises(Failed, match="dockerfw-probe is an interface that no probe made"):
        Outside(runner, FakeClock().monotonic).knock([knock])
