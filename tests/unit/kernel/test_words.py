"""The last check of every word that goes to the kernel."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from dockerfw.kernel.words import address_text, comment, word


@pytest.mark.parametrize(
    "text",
    ["DOCKERFW-IN", "dockerfw-allow4-u00000000", "br-0a1b+", "eth0.5", "a@b", "x,y", "::1/1"],
)
def test_a_plain_word_is_itself(text: str) -> None:
    assert word(text) == text
    assert comment(text) == text


@pytest.mark.parametrize("text", ["a b", 'a"', "a\nb", "a\n", "\na", "a;b", "a'b", "a\\", "é", ""])
def test_what_is_not_one_plain_word_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not fit for the kernel"):
        word(text)


@pytest.mark.parametrize("text", ['a "b', "a\nb", "a\n", "a;b", "a'b", "a\\", "é", "[0123abcd]"])
def test_a_comment_is_plain_words_and_has_no_digest_of_its_own(text: str) -> None:
    with pytest.raises(ValueError, match="not fit for a comment"):
        comment(text)


def test_a_comment_may_be_empty_and_have_spaces() -> None:
    assert comment("") == ""
    assert comment("forged: from wg*, 10.0.0.0/8") == "forged: from wg*, 10.0.0.0/8"


@pytest.mark.parametrize("text", ["192.0.2.1", "2001:db8::1", "::ffff:1.2.3.4", "::0.1.0.2", "::1"])
def test_an_address_is_written_as_the_c_library_has_it(text: str) -> None:
    assert address_text(ip_address(text)) == text
