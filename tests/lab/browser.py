"""Debian's Chromium without a screen, for pages that dockerfw writes.

It runs in namespaces of its own, without any network, and ends with what is in them. It is spoken
to over two pipes, in its own DevTools protocol: one JSON document a message, each with a NUL
behind it.
"""

from __future__ import annotations

import base64
import json
import os
import select
import subprocess
import time
from pathlib import Path
from typing import Any

from tests.lab import process
from tests.lab.guard import LabError
from tests.lab.wait import Closable

_ALONE = ["unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
# It reads messages from descriptor 3 and writes them to 4.
_PIPES = ["sh", "-c", 'exec "$@" 3<&0 4>&1 </dev/null >/dev/null', "sh"]
_CHROMIUM = (
    *("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"),
    *("--no-first-run", "--disable-background-networking", "--disable-component-update"),
    *("--disable-sync", "--disable-dev-shm-usage", "--remote-debugging-pipe"),
)
_PATIENCE = 120
"""Seconds for one answer: the first one comes when it has started, on a busy machine."""


class Browser(Closable):
    """One page at a time. ``folder`` is an empty one, for what it keeps.

    ``asked`` are the addresses of all that was asked for since a page was opened, ``said`` what it
    wanted to tell somebody at a screen.
    """

    def __init__(self, folder: Path) -> None:
        self.asked: list[str] = []
        self.said: list[str] = []
        self._loaded = False
        self._number = 0
        self._session: str | None = None
        self._unread = b""
        own = f"--user-data-dir={folder / 'profile'}"
        self._process = process.start(
            [*_ALONE, *_PIPES, *_CHROMIUM, own],
            env={"HOME": str(folder)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        try:
            target = self._call("Target.createTarget", url="about:blank")["targetId"]
            attached = self._call("Target.attachToTarget", targetId=target, flatten=True)
            self._session = attached["sessionId"]
            for domain in ("Page", "Runtime", "Network"):
                self._call(f"{domain}.enable")
        except BaseException:
            self.close()
            raise

    # --- a page ---------------------------------------------------------------------------------

    def open(
        self, file: Path, *, width: int = 1280, dark: bool = False, scripts: bool = True
    ) -> None:
        """Show a page in a window of so many pixels, and wait until it is there as a whole."""
        self.resize(width)
        self.emulate(dark=dark)
        self._call("Emulation.setScriptExecutionDisabled", value=not scripts)
        self.asked, self.said, self._loaded = [], [], False
        self._call("Page.navigate", url=file.as_uri())
        deadline = time.monotonic() + _PATIENCE
        while not self._loaded:
            self._take(self._message(deadline))

    def resize(self, width: int) -> None:
        size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False}
        self._call("Emulation.setDeviceMetricsOverride", **size)

    def emulate(self, *, dark: bool = False, paper: bool = False) -> None:
        """Be a screen that is light or dark, or paper."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        media = "print" if paper else "screen"
        self._call("Emulation.setEmulatedMedia", media=media, features=[scheme])

    def ask(self, expression: str) -> Any:
        """Return what an expression of JavaScript comes to, which has to be JSON."""
        done = self._call("Runtime.evaluate", expression=expression, returnByValue=True)
        if "exceptionDetails" in done:
            msg = f"{expression}: {done['exceptionDetails']}"
            raise LabError(msg)
        return done["result"].get("value")

    def type(self, text: str) -> None:
        """Type it where the cursor is."""
        self._call("Input.insertText", text=text)

    def printed(self) -> bytes:
        """Return it as a PDF."""
        return base64.b64decode(self._call("Page.printToPDF")["data"])

    def screenshot(self, path: Path) -> None:
        """Write what is to be seen of it as a PNG, for whoever wants to look."""
        path.write_bytes(base64.b64decode(self._call("Page.captureScreenshot")["data"]))

    # --- messages -------------------------------------------------------------------------------

    def _call(self, method: str, **parameters: object) -> Any:
        assert self._process.stdin is not None
        self._number += 1
        number = self._number
        message: dict[str, object] = {"id": number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        self._process.stdin.write(json.dumps(message) + "\0")
        self._process.stdin.flush()
        deadline = time.monotonic() + _PATIENCE
        while True:
            answer = self._message(deadline)
            if answer.get("id") != number:
                self._take(answer)
            elif "error" in answer:
                msg = f"{method}: {answer['error']}"
                raise LabError(msg)
            else:
                return answer["result"]

    def _message(self, deadline: float) -> Any:
        assert self._process.stdout is not None
        source = self._process.stdout.fileno()
        while b"\0" not in self._unread:
            left = deadline - time.monotonic()
            ready = select.select([source], [], [], max(left, 0))[0]
            more = os.read(source, 1 << 20) if ready else b""
            if not more:
                msg = f"chromium {'has ended' if ready else f'gives no answer in {_PATIENCE} s'}"
                raise LabError(msg)
            self._unread += more
        text, _, self._unread = self._unread.partition(b"\0")
        return json.loads(text)

    def _take(self, event: Any) -> None:
        match event.get("method"):
            case "Page.loadEventFired":
                self._loaded = True
            case "Network.requestWillBeSent":
                self.asked.append(event["params"]["request"]["url"])
            case "Page.javascriptDialogOpening":
                self.said.append(event["params"]["message"])
            case "Runtime.consoleAPICalled" | "Runtime.exceptionThrown":
                self.said.append(json.dumps(event["params"]))

    def close(self) -> None:
        process.end(self._process)
