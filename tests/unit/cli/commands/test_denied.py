"""``dockerfw denied``: what is wrong with its options is told before anything is asked."""

from __future__ import annotations

import pytest

from tests.unit.cli.terminal import Terminal


@pytest.mark.parametrize(
    "options, words",
    [
        (("--since", "yesterday"), '--since "yesterday": write a number with m, h or d'),
        (("--follow", "--since", "1h"), "--follow shows what is denied from now on"),
        (("--sort", "loudest"), "loudest"),
    ],
)
def test_a_wrong_option_is_one_sentence(
    terminal: Terminal, options: tuple[str, ...], words: str
) -> None:
    done = terminal.run("denied", *options)
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith("dockerfw: ")
    assert words in done.err
    assert done.err.count("\n") == 1
