"""``dockerfw denied``: what is wrong with its options is told before anything is asked."""

from __future__ import annotations

import pytest

from tests.unit.cli.terminal import Terminal


@pytest.mark.parametrize(
    "options, words",
    [
        (("--since", "yesterday"), '--since "yesterday": write a number with m, h or d'),
        (("--since", "30d"), '--since "30d": a denial is kept for a day: write 1d or less'),
        (("--since", "25h"), '--since "25h": a denial is kept for a day: write 1d or less'),
        (("--follow", "--since", "1h"), "--follow shows what is denied from now on, as it comes"),
        (("--follow", "--sort", "noisiest"), "as it comes: leave --sort out"),
        (("--follow", "--sort", "newest"), "as it comes: leave --sort out"),
        (("-f", "-v"), "as it comes: leave --verbose out"),
        (("-f", "-v", "--since", "1h"), "as it comes: leave --since and --verbose out"),
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
