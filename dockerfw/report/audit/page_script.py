"""The one script of the page of an audit: the table can be searched and sorted where it runs.

It comes with the page, and the page says that no other may run.
"""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256

SCRIPT = """
"use strict";
const table = document.querySelector("table");
const body = table.tBodies[0];
const rows = [...body.rows];
rows.forEach((row, index) => { row.dataset.worst = index; });

const search = document.createElement("input");
search.type = "search";
search.placeholder = "Search: a container, a port, an address, a rule";
search.setAttribute("aria-label", "Search the table");
const found = document.createElement("output");
search.addEventListener("input", () => {
  const words = search.value.toLowerCase().split(/\\s+/).filter(Boolean);
  let shown = 0;
  for (const row of rows) {
    const text = row.textContent.toLowerCase();
    row.hidden = !words.every((word) => text.includes(word));
    shown += row.hidden ? 0 : 1;
  }
  found.textContent = words.length ? `${shown} of ${rows.length}` : "";
});
const bar = document.createElement("p");
bar.className = "search";
bar.append(search, found);
table.parentElement.before(bar);

const key = (row, column) => column ? row.cells[column].textContent : row.dataset.worst;
const heads = [...table.tHead.rows[0].cells];
heads.forEach((head, column) => {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = head.textContent;
  head.replaceChildren(button);
  button.addEventListener("click", () => {
    const down = head.ariaSort === "ascending";
    heads.forEach((other) => { other.ariaSort = null; });
    head.ariaSort = down ? "descending" : "ascending";
    const order = (a, b) => key(a, column).localeCompare(key(b, column), "en", { numeric: true });
    rows.sort((a, b) => down ? order(b, a) : order(a, b));
    body.append(...rows);
  });
});
"""
"""Builds nothing from text: what others wrote stays text."""

HASH = "sha256-" + b64encode(sha256(SCRIPT.encode()).digest()).decode()
"""As a Content-Security-Policy names it."""
