"""The text that ``iptables-restore`` gets."""

from __future__ import annotations

import pytest

from dockerfw.kernel.iptables.render import render, rule_identity, rule_text
from dockerfw.plan.state import LiveRule
from dockerfw.plan.steps import (
    AppendJump,
    CreateChain,
    DeleteChain,
    DeleteJump,
    DeleteRule,
    InsertJump,
    ReplaceChain,
    RuleWrite,
    WriteRules,
)
from dockerfw.rules.rule import (
    ConnState,
    Drop,
    Goto,
    InInterface,
    InSet,
    Match,
    Reject,
    Reply,
    Return,
    Rule,
)


def rendered(*writes: RuleWrite) -> str:
    return render(WriteRules("the rules", 4, writes))


def test_each_table_is_one_transaction_and_chains_come_before_what_goes_there() -> None:
    text = rendered(
        InsertJump("filter", "FORWARD", "DOCKER-USER"),
        CreateChain("filter", "DOCKER-USER"),
        ReplaceChain("filter", "DOCKERFW", (Rule((Reply(),), Return()), LiveRule("-j LOG"))),
        AppendJump("mangle", "PREROUTING", "DOCKERFW-PRE"),
        ReplaceChain("mangle", "DOCKERFW-PRE"),
    )
    assert text.splitlines() == [
        "*mangle",
        ":DOCKERFW-PRE - [0:0]",
        "-A PREROUTING -j DOCKERFW-PRE",
        "COMMIT",
        "*filter",
        ":DOCKERFW - [0:0]",
        ":DOCKER-USER - [0:0]",
        "-I FORWARD 1 -j DOCKER-USER",
        "-A DOCKERFW -m conntrack --ctdir REPLY -j RETURN",
        "-A DOCKERFW -j LOG",
        "COMMIT",
    ]
    assert text.endswith("COMMIT\n")


def test_what_goes_is_named_as_it_stands() -> None:
    odd = '-m comment --comment "by hand" -j DOCKERFW'
    text = rendered(
        DeleteJump("filter", "FORWARD", "DOCKERFW"),
        DeleteRule("filter", "DOCKER-USER", LiveRule(odd)),
        DeleteChain("filter", "DOCKER-USER"),
    )
    assert text.splitlines() == [
        "*filter",
        "-D FORWARD -j DOCKERFW",
        f"-D DOCKER-USER {odd}",
        "-F DOCKER-USER",
        "-X DOCKER-USER",
        "COMMIT",
    ]


def test_a_step_without_writes_is_no_text() -> None:
    assert rendered() == ""


def test_the_digest_is_of_all_but_the_comment() -> None:
    rule = Rule((Reply(),), Return(), "replies")
    renamed = Rule((Reply(),), Return(), "answers")
    assert rule_identity(rule, 4) == rule_identity(renamed, 4) == rule_identity(rule, 6)
    assert rule_identity(rule, 4) != rule_identity(Rule((Reply(),), Drop(), "replies"), 4)
    digest = rule_identity(rule, 4)
    assert (
        rule_text(rule, 4)
        == f'-m conntrack --ctdir REPLY -m comment --comment "replies [{digest}]" -j RETURN'
    )
    reject = Rule((), Reject())
    assert rule_identity(reject, 4) != rule_identity(reject, 6), "their text differs"


def test_without_a_comment_a_rule_has_no_digest() -> None:
    assert rule_text(Rule((Reply(),), Return()), 4) == "-m conntrack --ctdir REPLY -j RETURN"
    assert rule_text(Rule((), Return()), 4) == "-j RETURN"


@pytest.mark.parametrize("word", ["a b", 'a"', "a\nb", "a;b", "a'b", ""])
def test_what_is_not_one_plain_word_is_refused(word: str) -> None:
    for match in (InInterface(word), InSet(word, ("src",))):
        with pytest.raises(ValueError, match="not fit"):
            rule_text(Rule((match,), Goto("DOCKERFW-OK")), 4)
    with pytest.raises(ValueError, match="not fit"):
        rule_text(Rule((), Goto(word)), 4)
    for write in (
        ReplaceChain("filter", word),
        CreateChain("filter", word),
        InsertJump("filter", "FORWARD", word),
        AppendJump("filter", word, "DOCKERFW"),
        DeleteJump("filter", "FORWARD", word),
        DeleteRule("filter", word, LiveRule("-j DOCKERFW")),
        DeleteChain("filter", word),
    ):
        with pytest.raises(ValueError, match="not fit"):
            rendered(write)


@pytest.mark.parametrize("comment", ['a"b', "a\nb", "a\\b", "a;b", "a'b", "[a]"])
def test_a_comment_that_is_not_plain_words_is_refused(comment: str) -> None:
    with pytest.raises(ValueError, match="not fit for a comment"):
        rule_text(Rule((), Return(), comment), 4)


def test_what_is_asked_of_a_connection_in_a_row_is_one_match() -> None:
    rule = Rule((ConnState("DNAT"), Reply(negated=True), InInterface("eth0")), Drop())
    assert rule_text(rule, 4) == "-m conntrack --ctstate DNAT --ctdir ORIGINAL -i eth0 -j DROP"
    rule = Rule((Reply(), ConnState("DNAT")), Drop())
    assert rule_text(rule, 6) == "-m conntrack --ctdir REPLY --ctstate DNAT -j DROP"
    apart = Rule((Reply(), InInterface("eth0"), ConnState("DNAT")), Drop())
    assert rule_text(apart, 4).count("-m conntrack") == 2


@pytest.mark.parametrize(
    "matches",
    [
        # As one match, the kernel looks at no direction of what has no connection.
        (Reply(), ConnState("DNAT", negated=True)),
        (ConnState("DNAT", negated=True), Reply()),
        # An option cannot stand twice.
        (ConnState("DNAT"), ConnState("RELATED")),
        (Reply(), Reply(negated=True)),
    ],
)
def test_what_would_mean_something_else_together_is_not_one_match(
    matches: tuple[Match, ...],
) -> None:
    assert rule_text(Rule(matches, Drop()), 4).count("-m conntrack") == 2
