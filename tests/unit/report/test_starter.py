"""A first policy: valid, closed or as open as the host is now, and fit to be read."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

from hypothesis import given, strategies as st

from dockerfw.model.denial import Denial
from dockerfw.model.inventory import Inventory
from dockerfw.model.net import Port
from dockerfw.model.policy import Mode
from dockerfw.operations.check import RECORDED
from dockerfw.report import explain
from dockerfw.report.access import ANYONE, access_by_policy, access_without_policy
from dockerfw.report.starter import beginning, starter
from tests.build import container, inventory, network
from tests.policy_text import read
from tests.strategies import inventories, profile

FRONT = network("front", "172.18.0.0/16")
LAN = network("lan", "198.51.100.0/24", driver="macvlan")


def open_to_anyone(text: str, running: Inventory) -> set[str]:
    """Return the host ports that are open to anyone."""
    rows = access_by_policy(read(text), running, (), ())
    return {row.host_port for row in rows if row.open_to == "any"} - {"", "any port"}


@profile()
@given(inventories(), st.sampled_from(("observe", "enforce")), st.booleans())
def test_it_is_valid_and_its_expectations_hold(
    running: Inventory, mode: Mode, keep_open: bool
) -> None:
    text = starter(running, mode, keep_open=keep_open)
    policy = read(text)
    assert policy.mode == mode
    assert policy.warnings == ()
    assert keep_open or policy.allows == ()
    assert explain.broken_expectations(policy, running, RECORDED).errors == ()
    assert max(map(len, text.splitlines())) <= 80


@profile()
@given(inventories())
def test_what_is_kept_open_is_what_is_published_now(running: Inventory) -> None:
    shared = {c.id for c in running.containers if running.network_owner(c).id != c.id}
    filtered = {c.name for c in running.containers if running.endpoints(c) and c.id not in shared}
    today = {
        row.host_port
        for row in access_without_policy(running)
        if row.open_to == ANYONE and row.container in filtered
    }
    assert open_to_anyone(starter(running, "observe", keep_open=True), running) == today


def test_each_container_has_what_is_open_today_and_the_lines_that_would_open_it() -> None:
    db = container(
        "shop-db-1",
        "front 172.18.0.3",
        published=("5432:5432", "127.0.0.1:9090:80"),
        compose="shop/db",
        image="postgres:16",
    )
    text = starter(inventory(FRONT, db), "observe", keep_open=False)
    assert text.split("\n\n")[-1] == (
        "# --- shop-db-1 (postgres:16) ---\n"
        "# Port 80: 127.0.0.1:9090, for this host alone.\n"
        "# Port 5432: host port 5432, open to anyone.\n"
        "# [[allow]]\n"
        '# to = "compose:shop/db"\n'
        "# ports = [5432]\n"
        '# from = ["office"]\n'
        "# A test of this policy, as is each block like it: were a rule to let a stranger\n"
        "# in here, `dockerfw apply` would refuse the policy.\n"
        "[[expect]]\n"
        'from = "203.0.113.7"\n'
        'to = "shop-db-1:5432"\n'
        'is = "denied"\n'
    )


def test_at_one_address_of_the_host_it_is_kept_open_there_alone() -> None:
    web = container("web", "front 172.18.0.2", published=("192.0.2.10:443:443", "53:53/udp"))
    text = starter(inventory(FRONT, web), "observe", keep_open=True)
    assert [
        line for line in text.splitlines() if line.startswith(("to", "ports", "published"))
    ] == [
        'to = "web"',
        'ports = ["53/udp"]',
        'published = ["192.0.2.10:443"]',
    ]


def test_what_no_rule_can_open_is_said_and_has_none() -> None:
    running = inventory(
        LAN,
        container("agent", host_network=True),
        container("camera", "lan 198.51.100.9"),
    )
    text = starter(running, "enforce", keep_open=True)
    assert "On this host's own network" in text
    assert "Not filtered here" in text
    assert "[[allow]]" not in text


def test_labels_of_strangers_are_words_of_a_policy_or_left_out() -> None:
    odd = container("web", "front 172.18.0.2", published="80:80", compose='a"]\n[x/b*')
    text = starter(inventory(FRONT, odd), "observe", keep_open=True)
    assert 'to = "web"' in text
    assert "[x" not in text


def test_it_begins_with_observing_where_somebody_may_be_coming_in() -> None:
    closed = container("db", "front 172.18.0.2", published="127.0.0.1:5432:5432")
    opened = container("web", "front 172.18.0.3", published="80:80")
    assert beginning(inventory(FRONT, closed)) == "enforce"
    assert beginning(inventory(FRONT, closed, opened)) == "observe"


def test_who_was_denied_lately_stands_beside_the_container() -> None:
    running = inventory(
        FRONT,
        container("db", "front 172.18.0.2", published="15432:5432"),
        container("web", "front 172.18.0.3"),
    )

    def denial(source: str, to: str, port: Port, packets: int = 1) -> Denial:
        return Denial(ip_network(source), ip_address(to), port, packets, 60, 0, 0)

    seen = (
        denial("203.0.113.9/32", "172.18.0.2", Port("tcp", 5432), 2),
        denial("198.51.100.7/32", "172.18.0.2", Port("tcp", 5432), 9),
        # docker-proxy's: it stands at a port of this host.
        denial("2001:db8:7::/64", "2001:db8::1", Port("tcp", 15432), 5),
        denial("203.0.113.9/32", "172.18.0.3", Port("tcp", 15432)),
        denial("203.0.113.9/32", "172.18.0.3", Port("icmp", 0)),
    )
    text = starter(running, "observe", keep_open=False, seen=seen)
    told = [line for line in text.replace("\n# ", " ").splitlines() if "Asked for" in line]
    db, web = told
    asked = "Asked for 5432 in the last day, and allowed by no rule: 198.51.100.7, "
    assert f"{asked}2001:db8:7::/64, 203.0.113.9." in db
    assert "Asked for icmp in the last day, and allowed by no rule: 203.0.113.9." in web
    assert read(text).allows == ()
    assert max(map(len, text.splitlines())) <= 80
