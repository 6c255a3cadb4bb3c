from __future__ import annotations

from hypothesis import given

from dockerfw.model.inventory import Inventory
from dockerfw.model.net import Port
from dockerfw.model.policy import Policy
from dockerfw.rules.compiler import statements
from dockerfw.rules.statement_index import StatementIndex
from tests.build import allow, container, deny, policy
from tests.strategies import fitting, profile


@profile(share=4)
@given(fitting())
def test_no_statement_about_a_container_is_missed(pair: tuple[Policy, Inventory]) -> None:
    policy_, inventory = pair
    held = statements(policy_)
    index = StatementIndex(held)
    for one in inventory.containers:
        owner = inventory.network_owner(one)
        ports = {Port(b.protocol, b.host_port) for b in inventory.published(one)}
        found = index.about([one], [e.network for e in owner.endpoints], ports)
        for number, statement in enumerate(held):
            if statement.to:
                about = one in [named for named, _ in inventory.select(statement.to)]
            elif statement.published:
                about = any(
                    spec.ports.protocol == port.protocol and port.number in spec.ports
                    for spec in statement.published
                    for port in ports
                )
            else:
                about = True
            assert number in found or not about, statement


def test_a_statement_about_others_is_not_asked() -> None:
    rules = policy(
        allow("any", to="db", ports=80),
        allow("any", to="web-*", ports=80),
        allow("any", to="compose:shop/*", ports=80),
        allow("any", published="8080"),
        allow("any", published="1-9000"),
        deny("any", to="!web"),
        baseline=(),
    )
    index = StatementIndex(statements(rules))
    assert index.about([container("web")], [], []) == [4, 5]
    assert index.about([container("web-1", compose="shop/x")], [], [Port("tcp", 8080)]) == [
        1, 2, 3, 4, 5,
    ]  # fmt: skip
