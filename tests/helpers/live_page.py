"""A page of a running server in the real browser, driven over the DevTools pipe: wait, click, look, photograph."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from helpers.browser import _FLAGS, CHROMIUM

_PATIENCE = 90.0  # seconds; this machine may be busy


class LivePage:
    """One tab; a context manager."""

    def __init__(self, url: str, width: int = 1300, height: int = 1000) -> None:
        self.url, self.size = url, (width, height)
        self.dialogs: list[str] = []
        self.requests: list[str] = []
        self._number, self._buffer = 0, b""

    def __enter__(self) -> LivePage:
        assert CHROMIUM is not None
        self._profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        theirs_in, self._out = os.pipe()
        self._in, theirs_out = os.pipe()
        size = f"--window-size={self.size[0]},{self.size[1]}"
        flags = [*_FLAGS, f"--user-data-dir={self._profile.name}", "--remote-debugging-pipe", size, "about:blank"]

        def wire() -> None:  # the browser reads descriptor 3 and writes descriptor 4
            os.dup2(os.dup(theirs_in), 13)
            os.dup2(os.dup(theirs_out), 14)
            os.dup2(13, 3)
            os.dup2(14, 4)

        self._process = subprocess.Popen(
            [CHROMIUM, *flags], preexec_fn=wire, close_fds=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        os.close(theirs_in)
        os.close(theirs_out)
        targets = self._call("Target.getTargets")["targetInfos"]
        target = next(info["targetId"] for info in targets if info["type"] == "page")
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network"):
            self.call(f"{domain}.enable")
        self.call("Page.navigate", url=self.url)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._in)
        os.close(self._out)
        self._profile.cleanup()

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """A command to the tab."""
        return self._call(method, self._session, **params)

    def run(self, script: str) -> Any:
        """The value of a JavaScript expression."""
        result = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def wait_for(self, script: str) -> Any:
        """Wait until a JavaScript expression is true."""
        end = time.monotonic() + _PATIENCE
        while time.monotonic() < end:
            try:
                if value := self.run(script):
                    return value
            except AssertionError as error:  # the page is just being loaded anew: ask again
                if "navigated or closed" not in str(error):
                    raise
            time.sleep(0.2)
        raise AssertionError(f"never true: {script}\n{self.text()[:600]}")

    def text(self) -> str:
        return str(self.run("document.body ? document.body.innerText : ''"))

    def click(self, role: str, name: str) -> None:
        """Click the visible element of a role (or tag) with this text, as soon as there is one."""
        find = (
            f"[...document.querySelectorAll('[role={role}], {role}')]"
            f".find(e => e.innerText.trim() === {json.dumps(name)} && e.offsetParent)"
        )
        self.wait_for(f"!!({find})")
        self.run(f"({find}).click()")

    def press(self, selector: str) -> None:
        """Press the mouse where an element is, as a person does."""
        where = f"(r => [r.x + r.width / 2, r.y + r.height / 2])(document.querySelector('{selector}').getBoundingClientRect())"
        x, y = self.run(where)
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def tap(self, element: str, until: str) -> None:
        """Tap an element (a JavaScript expression) until an expression is true.

        A busy browser may drop a tap: it looks for the target in the last drawn frame, which may be from before a scroll.
        """
        drawn = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))"
        where = f"(r => [r.x + r.width / 2, r.y + r.height / 2])(({element}).getBoundingClientRect())"
        end = time.monotonic() + _PATIENCE
        while time.monotonic() < end:
            self.run(drawn)
            x, y = self.run(where)
            self.call("Input.dispatchTouchEvent", type="touchStart", touchPoints=[{"x": x, "y": y}])
            self.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
            self.run(drawn)
            if self.run(until):
                return
        raise AssertionError(f"no tap on {element} made this true: {until}")

    def screenshot(self, path: Path) -> Path:
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))
        return path

    def _call(self, method: str, session: str | None = None, **params: Any) -> dict[str, Any]:
        self._number += 1
        message = {
            "id": self._number,
            "method": method,
            "params": params,
            **({"sessionId": session} if session else {}),
        }
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("method") == "Page.javascriptDialogOpening":
                self.dialogs.append(answer["params"]["message"])
            if answer.get("method") == "Network.requestWillBeSent":
                self.requests.append(answer["params"]["request"]["url"])
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            data = os.read(self._in, 1 << 16)
            assert data, "the browser is gone"
            self._buffer += data
        line, self._buffer = self._buffer.split(b"\0", 1)
        answer: dict[str, Any] = json.loads(line)
        return answer
