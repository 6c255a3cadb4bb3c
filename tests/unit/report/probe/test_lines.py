"""A probe as people and programs read it."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

from dockerfw.model.knock import Heard
from dockerfw.report.probe import Caller, NotTried, Probed, document, judged, lines, plan
from tests.build import allow, policy
from tests.unit.report.audit.hosts import WEB, docker, shop

RULES = policy(allow("198.51.100.0/24", to="web", ports=(80,)))
CALLERS = (
    Caller("anyone", ip_address("192.0.2.77")),
    Caller("office", ip_address("198.51.100.130")),
)
IN, OUT = Heard("answered", True), Heard("silent", False)
SCREEN = """\
DISAGREES: 1 of 8 ways tried is not as the policy in force says, 1 refused by
  another, 1 not tried

  source          target          way                expected  found
  anyone          web, other udp  direct v4          closed    let in, no
                                                               answer: DISAGREES
  office          web:80          direct v4          open      refused by
                                                               another
  anyone          web:80          published 8080 v4  closed    no answer
  office          web:80          published 8080 v4  open      answered
  anyone          web:80          direct v4          closed    no answer
  anyone, office  web, other tcp  direct v4          closed    no answer
  office          web, other udp  direct v4          closed    no answer

web, other udp, direct 172.18.0.2: explain: denied: nothing allows it (tried
  from anyone (192.0.2.77))
web:80, direct 172.18.0.2: refused by `-d 172.18.0.2 -j DROP` in raw PREROUTING
  of iptables-nft (tried from office (198.51.100.130))

not tried:
  ping: a probe sends TCP and UDP alone
"""


def probed(*heard: Heard, observing: bool = False, name: str = "web") -> Probed:
    rules = replace(RULES, mode="observe") if observing else RULES
    host = replace(shop(replace(WEB, name=name), tables=docker(forward="ACCEPT")), policy=rules)
    tries = plan(rules, host, CALLERS).tries
    return judged(tries, heard, [NotTried("ping", "a probe sends TCP and UDP alone")], host.tables,
                  observing=observing)  # fmt: skip


def mixed() -> Probed:
    found = probed(OUT, IN, OUT, OUT, OUT, OUT, Heard("silent", passed=True), OUT)
    by = "`-d 172.18.0.2 -j DROP` in raw PREROUTING of iptables-nft"
    rows = [
        replace(row, outcome="refused by another", by=by)
        if row.tried.allowed and row.outcome == "disagrees"
        else row
        for row in found.rows
    ]
    rows.sort(key=lambda row: row.outcome != "disagrees")
    return replace(found, rows=tuple(rows))


def test_the_verdict_comes_first_then_what_is_wrong_then_all_the_rest() -> None:
    assert "\n".join(lines(mixed())) + "\n" == SCREEN


def test_where_all_agrees_one_line_says_so() -> None:
    found = probed(OUT, IN, OUT, IN, OUT, OUT, OUT, OUT)
    assert found.agrees
    assert lines(found)[0] == "agrees: 8 ways tried, 1 not tried"


def test_observing_is_said_first() -> None:
    assert lines(probed(*[IN] * 8, observing=True))[0].startswith(
        "OBSERVING, so nothing is dropped; agrees: 8 ways tried"
    )


def test_without_a_policy_it_is_held_against_an_audit_and_says_so() -> None:
    host = shop(tables=docker(forward="ACCEPT"))
    tries = plan(None, host, CALLERS[:1]).tries
    heard = [OUT, *[IN] * (len(tries) - 1)]
    found = judged(tries, heard, (), host.tables, in_force=False)
    text = " ".join(" ".join(lines(found)).split())
    assert text.startswith(
        "NOT PROTECTED: no policy is in force. Held against dockerfw audit: DISAGREES: 1 of 4 ways "
        "tried is not as dockerfw audit says"
    )
    assert "web:80, published 8080: audit: let in by `-d 172.18.0.2/32 ! -i br-front" in text
    assert (document(found)["in_force"], found.agrees) == (False, False)


def test_that_nothing_was_tried_is_no_agreement() -> None:
    assert lines(Probed((), ()))[0] == "NOTHING TRIED"


def test_names_from_outside_are_made_printable_and_no_line_is_too_wide() -> None:
    found = probed(*[IN] * 8, name="a\x1b[31mb-name-that-goes-on-for-ever")
    for width in (60, 80, 120):
        text = lines(found, width)
        assert "\x1b" not in "".join(text)
        assert max(map(len, text)) <= width


def test_programs_get_every_try_by_itself() -> None:
    found = document(mixed())
    tried = found["tried"]
    assert isinstance(tried, list)
    assert (found["agrees"], len(tried)) == (False, 8)
    assert tried[0] == {
        "from": "anyone",
        "source": "192.0.2.77",
        "container": "web",
        "path": "direct",
        "family": 4,
        "address": "172.18.0.2",
        "port": 1,
        "protocol": "udp",
        "expected": "closed",
        "reason": "denied: nothing allows it",
        "answer": "silent",
        "let_in": True,
        "outcome": "disagrees",
        "by": None,
    }
