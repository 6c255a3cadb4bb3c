"""An audit as one page of HTML that needs no other file and no network, and is whole without its
script. Pure.

Light or dark as the reader's system is, and light on paper. Where it is narrow there is no picture,
and each row of the table is some lines below each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from html import escape

from dockerfw.report.audit.lines import headline, names, ports_text, remarks, where
from dockerfw.report.audit.page_script import HASH, SCRIPT
from dockerfw.report.audit.picture import CLASSES, legend, pictures
from dockerfw.report.audit.row import Audit, Reach, Row
from dockerfw.text import counted, printable

_WORDS: Mapping[Reach, str] = {
    "anyone": "▶ OPEN",
    "unknown": "? unknown",
    "some": "▷ some",
    "neighbours": "▷ neighbours",
    "nobody": "▏ closed",
}
_STYLE = """
:root { color-scheme: light dark; --page: #fff; --text: #1b1f24; --soft: #59636e; --line: #d1d9e0;
  --open: #b3261e; --unknown: #8a5a00; --some: #0b57b0; --near: #5b3fa8; --closed: #656d76; }
@media (prefers-color-scheme: dark) { :root { --page: #14171a; --text: #e6e9ec; --soft: #9aa4af;
  --line: #363c43; --open: #ff8a80; --unknown: #f0b54a; --some: #7cb7ff; --near: #bfa6ff;
  --closed: #8b95a0; } }
* { box-sizing: border-box; } [hidden] { display: none !important; }
body { margin: 0 auto; max-width: 72rem; padding: 1.5rem 1rem; background: var(--page);
  color: var(--text); font: 15px/1.45 system-ui, sans-serif; }
h1 { font-size: 1.4rem; margin: 0 0 .2rem; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
.when, li, summary { color: var(--soft); } li { overflow-wrap: anywhere; }
.verdict { font-weight: 600; font-size: 1.1rem; padding-left: .7rem; margin: .8rem 0;
  border-left: .3rem solid currentColor; }
summary { cursor: pointer; padding: .4rem 0; }
svg { width: 100%; height: auto; font: 12px system-ui, sans-serif; }
svg text { fill: var(--text); } svg .source text { text-anchor: end; font-weight: 600; }
svg .name { font-weight: 600; } svg .box { stroke: var(--text); stroke-width: 2; fill: none; }
.way, .end { fill: none; stroke: currentColor; stroke-width: 1.5; }
.open { color: var(--open); } .open .way { stroke-width: 2.5; }
.unknown { color: var(--unknown); } .unknown .way { stroke-dasharray: 1 4; stroke-linecap: round; }
.some { color: var(--some); } .near { color: var(--near); }
.near .way { stroke-dasharray: 9 3 2 3; }
.closed { color: var(--closed); } .closed .way { stroke-dasharray: 4 4; stroke-width: 1; }
.closed .end { stroke-width: 3; } .closed text { fill: var(--soft); }
.arrow { fill: currentColor; } .hollow { fill: var(--page);
  stroke: currentColor; stroke-width: 1.5; }
svg .mark { font-weight: 700; font-size: 15px; fill: currentColor; text-anchor: middle; }
.legend { display: flex; flex-wrap: wrap; gap: .3rem 1.4rem; margin: .5rem 0 1rem; }
.legend span { display: inline-flex; align-items: center; gap: .4rem; } svg.key { width: 60px; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .35rem .6rem;
  border-bottom: 1px solid var(--line); overflow-wrap: anywhere; }
th { color: var(--soft); font-weight: 600; white-space: nowrap; }
td:first-child { white-space: nowrap; font-weight: 600; }
td { min-width: 6.5rem; max-width: 16rem; }
h1, .verdict { overflow-wrap: anywhere; }
td.why { font: 12px/1.5 ui-monospace, monospace; min-width: 14rem; max-width: none; }
@media screen { td:nth-child(4) { min-width: 12rem; } td:nth-child(5) { min-width: 10.5rem; } }
td span { display: block; color: var(--soft); }
th button { font: inherit; color: inherit; background: none; border: 0; padding: 0;
  cursor: pointer; }
th button::after { content: " ↕"; opacity: .8; }
th[aria-sort=ascending] button::after { content: " ↑"; opacity: 1; }
th[aria-sort=descending] button::after { content: " ↓"; opacity: 1; }
.search { display: flex; gap: .8rem; align-items: center; margin: .3rem 0 .6rem; }
.search input { font: inherit; flex: 0 1 26rem; padding: .3rem .5rem; color: var(--text);
  background: var(--page); border: 1px solid var(--soft); border-radius: 4px; }
.search input::placeholder { color: var(--soft); opacity: 1; }
@media screen and (max-width: 64rem) { .pictures { display: none; }
  table, tbody, tbody tr, td { display: block; } thead tr { display: flex; flex-wrap: wrap; }
  tbody tr { padding: .6rem 0; border-bottom: 1px solid var(--line); }
  th, td:nth-child(n) { border: 0; min-width: 0; max-width: none; padding: .1rem 0; }
  th { padding-right: .9rem; } td:nth-child(2) { font-weight: 600; }
  td:nth-child(5)::before { content: "to whom: "; color: var(--soft); } }
@media print { :root { color-scheme: light; --page: #fff; --text: #000; --soft: #444; --line: #bbb;
  --open: #b3261e; --unknown: #8a5a00; --some: #0b57b0; --near: #5b3fa8; --closed: #595959; }
  body { padding: 0; font-size: 10px; } td.why { font-size: 8px; }
  td:nth-child(n) { min-width: 4.2rem; }
  th, td { padding: .25rem .3rem; } .scroll { overflow: visible; }
  .search, th button::after, details { display: none; }
  tr, svg { break-inside: avoid; } thead { display: table-header-group; } }
"""


def page(audit: Audit, host: str, when: str) -> str:
    """Return the page; ``host`` is the name of the host, ``when`` the time, both as text."""
    return "\n".join(_parts(audit, host, when)) + "\n"


def _parts(audit: Audit, host: str, when: str) -> Iterator[str]:
    title = f"dockerfw audit of {_text(host)}"
    yield "<!DOCTYPE html>"
    yield '<html lang="en"><head><meta charset="utf-8">'
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src '{HASH}'"
    yield f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>{title}</title><style>{_STYLE}</style></head><body>"
    yield f'<h1>{title}</h1><p class="when">{_text(when)}</p>'
    worst = f" {CLASSES[audit.rows[0].reach]}" if audit.may_be_open else ""
    yield f'<p class="verdict{worst}">{_text(headline(audit))}</p>'
    if audit.rows:
        yield f'<h2>Who reaches what</h2><div class="legend">{"".join(legend(audit))}</div>'
        yield from _pictures(audit)
    yield "<h2>Every way in, the worst first</h2>"
    yield from _table(audit.rows)
    yield "<h2>Besides</h2><ul>"
    for remark in remarks(audit):
        yield f"<li>{_text(remark)}</li>"
    yield f"</ul><script>{SCRIPT}</script></body></html>"


def _pictures(audit: Audit) -> Iterator[str]:
    """Yield the picture with the worst; all others are there to be unfolded."""
    first, *others = pictures(audit)
    yield f'<div class="pictures">{first.svg}'
    if others:
        count = sum(one.containers for one in others)
        yield f"<details><summary>The other {counted(count, 'container')}</summary>"
        yield from (one.svg for one in others)
        yield "</details>"
    yield "</div>"


def _table(rows: Iterable[Row]) -> Iterator[str]:
    heads = ("Is", "Container", "Ports", "Way in", "To whom", "Why")
    yield '<div class="scroll"><table><thead><tr>'
    yield "".join(f'<th scope="col">{head}</th>' for head in heads)
    yield "</tr></thead><tbody>"
    for row in rows:
        cells = (names(row), ports_text(row), where(row))
        enforced = f"<span>enforced: {_text(row.enforced)}</span>" if row.enforced else ""
        yield (
            f'<tr><td class="{CLASSES[row.reach]}">{_WORDS[row.reach]}</td>'
            f"{''.join(f'<td>{_text(cell)}</td>' for cell in cells)}"
            f"<td>{_text(row.who)}{enforced}</td>"
            f'<td class="why">{_text(row.reason)}</td></tr>'
        )
    yield "</tbody></table></div>"


def _text(text: str) -> str:
    return escape(printable(text))
