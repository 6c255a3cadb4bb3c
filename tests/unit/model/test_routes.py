from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from hypothesis import given, strategies as st

from dockerfw.model.routes import Route, Routes
from tests.situations import way_out

_FEW_BITS = st.tuples(st.integers(0, 15), st.integers(0, 4), st.sampled_from([4, 6]))


@given(st.lists(_FEW_BITS, max_size=12), st.integers(0, 15))
def test_the_narrowest_route_leads_and_of_two_the_first(
    written: list[tuple[int, int, int]], where: int
) -> None:
    routes = []
    for number, (bits, length, version) in enumerate(written):
        width = 32 if version == 4 else 128
        prefix = bits >> (4 - length) << (width - length)
        network = ip_network((IPv4Address if version == 4 else IPv6Address)(prefix))
        routes.append(Route(network.supernet(new_prefix=length), f"eth{number}"))
    for address in (IPv4Address(where << 28), IPv6Address(where << 124)):
        assert Routes(routes).way_out(address) == way_out(routes, address)


def test_no_route_leads_nowhere() -> None:
    assert Routes([]).way_out(ip_address("192.0.2.1")) is None
