"""Networks: which notations are taken."""

from __future__ import annotations

from ipaddress import ip_network

from hypothesis import given, strategies as st

from dockerfw.policy.addresses import looks_like_address, network_or_none
from tests.strategies import profile


@given(
    st.one_of(
        st.ip_addresses().map(str),
        st.ip_addresses(network="::ffff:0:0/96").map(str),
        st.tuples(st.ip_addresses(), st.integers(0, 130)).map(lambda p: f"{p[0]}/{p[1]}"),
        st.from_regex(r"[0-9]{1,3}(\.[0-9]{1,3}){2,4}(/[0-9]{1,3})?", fullmatch=True),
        st.from_regex(r"[0-9a-f:]{2,12}(/[0-9]{1,3})?", fullmatch=True),
        st.text("0123456789abcdefABCDEF.:/%-٣", max_size=20),
    )
)
@profile(4)
def test_a_network_is_what_ipaddress_takes_for_one_less_other_notations(word: str) -> None:
    try:
        network = ip_network(word)
    except ValueError:
        assert network_or_none(word) is None
        return
    found = network_or_none(word)
    assert looks_like_address(word)
    if found is None:
        prefix = word.partition("/")[2]
        mapped = network.version == 6 and int(network.network_address) >> 32 == 0xFFFF
        assert mapped or "%" in word or "." in prefix or prefix[:1] == "0"
    else:
        assert found == network
