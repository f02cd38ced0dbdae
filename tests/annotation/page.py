"""A page in the real browser as a person uses it: keys, mouse, fingers, other screens, dark mode."""

from __future__ import annotations

from typing import Any

from helpers.live_page import LivePage

_CODES = {"ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40, "Enter": 13, "Tab": 9}
_SHIFT = 8


class PersonsPage(LivePage):
    """One tab."""

    def wait_for(self, script: str) -> Any:
        """Wait until an expression is true; while the page loads, what it asks for may not be there."""
        return super().wait_for(f"(() => {{ try {{ return {script} }} catch {{ return false }} }})()")

    def device(self, width: int, height: int, dark: bool = False, touch: bool = False, scale: float = 1) -> None:
        """Look like another screen."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=touch
        )
        self.call("Emulation.setTouchEmulationEnabled", enabled=touch)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def key(self, key: str, shift: bool = False, times: int = 1) -> None:
        """Press a key."""
        text = {"Enter": "\r"}.get(key, key if len(key) == 1 else "")
        code = _CODES.get(key, ord(key.upper()[0]) if len(key) == 1 else 0)
        more: dict[str, Any] = {"key": key, "windowsVirtualKeyCode": code, "modifiers": _SHIFT if shift else 0}
        for _ in range(times):
            self.call("Input.dispatchKeyEvent", type="keyDown", text=text, **more)
            self.call("Input.dispatchKeyEvent", type="keyUp", **more)

    def screen(self, x: float, y: float) -> tuple[float, float]:
        """Where a pixel of the picture is on the screen (the view as the page first shows it)."""
        box = self.run(
            "(r => [r.x, r.y, r.width, r.height])(document.getElementById('canvas').getBoundingClientRect())"
        )
        width, height = self.run("window.testImageSize || [200, 150]")
        scale = 0.96 * min(box[2] / width, box[3] / height)
        return box[0] + (box[2] - scale * width) / 2 + x * scale, box[1] + (box[3] - scale * height) / 2 + y * scale

    def mouse(self, *path: tuple[float, float], button: str = "left") -> None:
        """Press at the first place, move over the others, and let go."""
        first, last = path[0], path[-1]
        self.call("Input.dispatchMouseEvent", type="mousePressed", x=first[0], y=first[1], button=button, clickCount=1)
        for x, y in path[1:]:
            self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y, button=button, buttons=1)
        self.call("Input.dispatchMouseEvent", type="mouseReleased", x=last[0], y=last[1], button=button, clickCount=1)

    def tap(self, x: float, y: float) -> None:
        """Touch a place."""
        self.call("Input.dispatchTouchEvent", type="touchStart", touchPoints=[{"x": x, "y": y}])
        self.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])

    def saved(self) -> None:
        """Wait until every step is stored."""
        self.wait_for("document.getElementById('status').textContent === 'Saved'")

    def ready(self, keypoint: str) -> None:
        """Wait until the page shows an image and asks for this keypoint."""
        self.wait_for(
            f"document.getElementById('message').hidden && document.getElementById('code').textContent === {keypoint!r}"
        )
