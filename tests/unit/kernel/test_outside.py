"""Which families a host outside can be in."""

from __future__ import annotations

import pytest

from dockerfw.kernel.outside import Outside
from tests.clock import FakeClock
from tests.unit.kernel.fake_runner import FakeRunner


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
    assert Outside(FakeRunner(files=files), FakeClock().monotonic).families() == families
