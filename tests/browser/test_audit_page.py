"""The page of ``audit --html`` in Chromium: five containers and 300, as people look at it.

With and without its script, light and dark, on a desk, on a telephone and on paper.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import pytest

from dockerfw.report.audit import Audit, Row
from dockerfw.report.open_ports import Ports
from tests.browser.pages import shop, shown
from tests.lab.browser import Browser

FEW, MANY = 5, 300
ROWS = "[...document.querySelectorAll('tbody tr')]"
SEEN = f"{ROWS}.filter((row) => row.getClientRects().length && row.innerText.trim()).length"
READABLE = 4.5
"""By WCAG 2: how many times as bright as each other text and what it stands on have to be."""
_LEADING = 4
"""Pixels of a line of text above and below the letters."""
FAINT = """
(() => {
  const numbers = (color) => color.match(/[\\d.]+/g).map(Number);
  const light = (color) => numbers(color).slice(0, 3).map((c) => c / 255).map(
    (c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4
  ).reduce((sum, c, at) => sum + c * [0.2126, 0.7152, 0.0722][at], 0);
  const ground = light(getComputedStyle(document.body).backgroundColor);
  const faint = new Set();
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let text = texts.nextNode(); text; text = texts.nextNode()) {
    const around = text.parentElement;
    if (!text.data.trim() || around.closest("script, title") || !around.getClientRects().length)
      continue;
    const style = getComputedStyle(around);
    const own = light(around.closest("svg") ? style.fill : style.color);
    const times = (Math.max(own, ground) + 0.05) / (Math.min(own, ground) + 0.05);
    if (times < LEAST) faint.add(`${times.toFixed(1)}: ${text.data.slice(0, 40)}`);
  }
  return [...faint];
})()
""".replace("LEAST", str(READABLE))


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("chromium")) as browser:
        yield browser


@pytest.fixture(scope="module", params=[FEW, MANY])
def page(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _written(tmp_path_factory.mktemp("page"), shop(request.param))


@pytest.fixture
def few(tmp_path: Path) -> Path:
    return _written(tmp_path, shop(FEW))


def _written(folder: Path, audit: Audit, host: str = "shop.example.org") -> Path:
    file = folder / "audit.html"
    file.write_text(shown(audit, host), encoding="utf-8")
    return file


def _count(browser: Browser, selector: str) -> int:
    found: int = browser.ask(f"document.querySelectorAll({selector!r}).length")
    return found


def _column(browser: Browser, number: int) -> list[str]:
    """The words of one column of the rows that are seen, from above."""
    found: list[str] = browser.ask(
        f"{ROWS}.filter((row) => row.getClientRects().length)"
        f".map((row) => row.cells[{number}].innerText)"
    )
    return found


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1280, 1040, 400])
def test_all_of_it_is_seen_and_readable_without_scrolling_sideways(
    browser: Browser, page: Path, width: int, dark: bool
) -> None:
    browser.open(page, width=width, dark=dark)
    rows = browser.ask(f"{ROWS}.length")
    assert browser.ask(SEEN) == rows >= FEW
    # Neither does the page, nor anything in it.
    wider = "(box) => box.scrollWidth > box.clientWidth && getComputedStyle(box).overflowX"
    boxes = f"[document.documentElement, ...document.querySelectorAll('div')].filter({wider})"
    assert browser.ask(f"{boxes}.length") == 0
    assert browser.ask(f"innerWidth === {width}")
    assert browser.ask(FAINT) == []
    ground = browser.ask("getComputedStyle(document.body).backgroundColor")
    assert ground == ("rgb(20, 23, 26)" if dark else "rgb(255, 255, 255)")


def test_no_words_of_the_picture_are_cut_off_or_lie_upon_each_other(
    browser: Browser, page: Path
) -> None:
    browser.open(page)
    boxes: list[list[float]] = browser.ask(
        "[...document.querySelectorAll('.pictures > svg text')]"
        ".map((text) => text.getBBox()).map((box) => [box.x, box.y, box.width, box.height])"
    )
    assert boxes
    assert all(x >= 0 and x + width <= 1120 for x, _, width, _ in boxes)
    upon = [
        (one, other)
        for one, other in combinations(boxes, 2)
        if all(
            one[at] < other[at] + other[at + 2] - _LEADING
            and other[at] < one[at] + one[at + 2] - _LEADING
            for at in (0, 1)
        )
    ]
    assert upon == []


def test_it_asks_for_nothing_and_says_nothing(browser: Browser, page: Path) -> None:
    browser.open(page)
    browser.ask("document.querySelectorAll('button').forEach((button) => button.click())")
    assert browser.asked == [page.as_uri()]
    assert browser.said == []


def test_without_its_script_every_row_is_there(browser: Browser, page: Path) -> None:
    browser.open(page, scripts=False)
    assert browser.ask(SEEN) == browser.ask(f"{ROWS}.length")
    assert _count(browser, "input, button") == 0, "what does nothing is not there"
    browser.ask("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    names = set(_column(browser, 1))
    drawn = browser.ask(
        "[...document.querySelectorAll('svg .name title')].map((name) => name.textContent)"
    )
    assert sorted(drawn) == sorted(names)


def test_a_search_narrows_it_to_rows_with_all_the_words(browser: Browser, page: Path) -> None:
    for width in (1280, 400):
        browser.open(page, width=width)
        rows = browser.ask(f"{ROWS}.length")
        browser.ask("document.querySelector('input').focus()")
        browser.type("SHOP-DB published")
        found = _column(browser, 1)
        assert 0 < len(found) < rows
        assert all(name.startswith("shop-db-") for name in found)
        assert (
            browser.ask("document.querySelector('output').innerText") == f"{len(found)} of {rows}"
        )
        browser.ask("document.querySelector('input').select()")
        browser.type("nothing of the kind")
        assert _column(browser, 1) == []


def test_a_click_on_a_head_sorts_and_another_one_turns_it_round(
    browser: Browser, page: Path
) -> None:
    browser.open(page)
    worst = _column(browser, 0)
    browser.ask("document.querySelectorAll('th button')[1].click()")
    names = _column(browser, 1)
    by_number = [(name.rpartition("-")[0], int(name.rpartition("-")[2])) for name in names]
    assert by_number == sorted(by_number), "shop-web-6 comes before shop-web-11"
    browser.ask("document.querySelectorAll('th button')[1].click()")
    assert _column(browser, 1)[0].startswith("shop-web-")
    assert browser.ask("document.querySelector('th[aria-sort]').ariaSort") == "descending"
    browser.ask("document.querySelectorAll('th button')[0].click()")
    assert _column(browser, 0) == worst


def test_open_and_closed_are_told_by_shape(browser: Browser, few: Path) -> None:
    browser.open(few)
    words = {word.split()[0] for word in _column(browser, 0)}
    assert words == {"▶", "▷", "?", "▏"}
    shapes: dict[str, list[str]] = browser.ask(
        "Object.fromEntries(['open', 'some', 'near', 'unknown', 'closed'].map((kind) => ["
        "  kind, [...new Set([...document.querySelectorAll(`.pictures g.${kind}`)].map((line) =>"
        "    [...line.querySelectorAll('path, text.mark')].map((part) => part.className.baseVal)"
        "    .concat(getComputedStyle(line.querySelector('.way')).strokeDasharray).join(' ')))]"
        "]))"
    )
    assert shapes == {
        "open": ["way arrow none"],
        "some": ["way hollow none"],
        "near": ["way hollow 9px, 3px, 2px, 3px"],
        "unknown": ["way mark 1px, 4px"],
        "closed": ["way end 4px, 4px"],
    }


def test_on_paper_it_is_whole_and_light(browser: Browser, page: Path) -> None:
    browser.open(page, dark=True)
    assert browser.printed().startswith(b"%PDF-")
    browser.emulate(dark=True, paper=True)
    browser.resize(718)  # A4 between margins of 1 cm
    assert browser.ask(SEEN) == browser.ask(f"{ROWS}.length")
    assert browser.ask("document.documentElement.scrollWidth <= 718")
    assert browser.ask("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert browser.ask(FAINT) == []


def test_what_others_wrote_is_text_and_nothing_else(browser: Browser, tmp_path: Path) -> None:
    evil = (
        "</script><script>alert(1)</script><img src=x onerror=alert(2)>",
        '"><svg onload=alert(3)><title>x',
        "'--><style>*{display:none}</style><a href=javascript:alert(4)>",
        "</table></svg><base href=//example.org><iframe src=/>${alert(5)}",
    )
    # Names of containers, words of a policy, rules of others, and the name of the host.
    names, all_ports, at = (evil[0], evil[1]), Ports((), others=True), "172.18.0.2"
    row = Row(names, "direct", (4,), all_ports, None, at, "anyone", evil[2], evil[3], evil[0])
    file = _written(tmp_path, shop(1, row), host=evil[0])
    browser.open(file)
    browser.ask("document.querySelectorAll('button').forEach((button) => button.click())")
    assert (browser.said, browser.asked) == ([], [file.as_uri()])
    assert _count(browser, "script") == 1
    assert _count(browser, "img, iframe, base, a, body style, [onload], [onerror]") == 0
    text = browser.ask("document.body.innerText")
    assert all(one in text for one in evil)
    assert browser.ask("document.title") == f"dockerfw audit of {evil[0]}"


def test_a_host_on_which_nothing_runs_has_a_page(browser: Browser, tmp_path: Path) -> None:
    browser.open(_written(tmp_path, Audit("no", ())))
    assert browser.ask("document.body.innerText").count("0 ways in open to anyone") == 1
    assert browser.said == []
