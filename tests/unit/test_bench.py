"""The figures of `script/bench`: kept, compared with those before, and written down."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.document import DOCUMENT, TEMPLATE, document
from benchmarks.figures import HISTORY, Figure, Run, read_history, share, slower, times
from tests.paths import REPOSITORY


def run(*figures: Figure) -> Run:
    return Run("2027-01-01", "abc1234", {"cores": "2"}, figures)


def test_a_run_comes_back_from_its_line(tmp_path: Path) -> None:
    kept = run(share("packets", "requests", "one rule", [0.9, 0.91, 0.92]), times("a", "b", "c", 2))
    history = tmp_path / "history.jsonl"
    history.write_text(kept.line() + "\n", encoding="utf-8")
    assert read_history(history) == [kept]


def test_no_history_is_no_run(tmp_path: Path) -> None:
    assert read_history(tmp_path / "none") == []


@pytest.mark.parametrize(
    ("then", "now", "told"),
    [
        (times("s", "r", "c", 2.0), times("s", "r", "c", 2.5), ["s: r: c: 2 ×, now 2.5 ×"]),
        (times("s", "r", "c", 2.0), times("s", "r", "c", 2.1), []),
        (times("s", "r", "c", 2.0), times("s", "r", "c", 1.0), []),
        (
            Figure("s", "r", "c", 0.9, "share", 0.88, 0.92),
            Figure("s", "r", "c", 0.8, "share", 0.78, 0.82),
            ["s: r: c: 0.900 (0.880 to 0.920), now 0.800 (0.780 to 0.820)"],
        ),
        (
            Figure("s", "r", "c", 0.9, "share", 0.88, 0.92),
            Figure("s", "r", "c", 0.87, "share", 0.85, 0.89),
            [],
        ),
        # Seconds hang on the machine.
        (Figure("s", "r", "c", 1.0, "s"), Figure("s", "r", "c", 9.0, "s"), []),
        (times("s", "another", "c", 1.0), times("s", "r", "c", 9.0), []),
    ],
)
def test_only_what_noise_cannot_tell_is_slower(then: Figure, now: Figure, told: list[str]) -> None:
    assert list(slower(run(then), run(now))) == told


def test_the_interval_holds_the_median() -> None:
    found = share("s", "r", "c", [n / 100 for n in range(1, 100)])
    assert (found.low, found.value, found.high) == (0.4, 0.5, 0.6)


def test_a_place_of_the_template_is_a_table() -> None:
    found = run(
        Figure("rest", "50", "memory", 35.24, "MiB"), Figure("rest", "50", "core", 0.2, "%")
    )
    text = document("a\n<!-- table: rest -->\n<!-- run -->\n", found)
    assert text == (
        "a\n|  | memory | core |\n| --- | --- | --- |\n| 50 | 35.2 MiB | 0.20 % |\n"
        "2027-01-01, commit abc1234: cores 2\n"
    )


def test_a_section_that_was_not_measured_is_no_empty_table() -> None:
    with pytest.raises(KeyError, match="rest"):
        document("<!-- table: rest -->", run())


def test_the_page_is_that_of_the_last_run() -> None:
    template = (REPOSITORY / TEMPLATE).read_text(encoding="utf-8")
    page = (REPOSITORY / DOCUMENT).read_text(encoding="utf-8")
    assert page == document(template, read_history(REPOSITORY / HISTORY)[-1])
