"""A small project with pictures and cards, a running server, and a client for its API."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import uvicorn
import yaml
from PIL import Image

from soco_datasets.annotation.database import ImageRow
from soco_datasets.annotation.guard import GuardOptions
from soco_datasets.annotation.invitations import invite
from soco_datasets.annotation.opened import open_project
from soco_datasets.annotation.photo_files import read_photograph
from soco_datasets.annotation.project_images import NewImage, add_image
from soco_datasets.annotation.server import create_app
from soco_datasets.annotation.work import Workbench

NAMES = ["cup_handle_top", "cup_handle_bottom", "cup_rim_left", "cup_rim_right", "cup_base_center"]
CONCEPTS = ["handle_end", "handle_end", "rim", "rim", "base_center"]
BOX = (20.0, 30.0, 180.0, 130.0)


def picture(path: Path, seed: int, size: tuple[int, int] = (200, 150), exif: int | None = None) -> Path:
    """A JPEG of smooth noise."""
    noise = np.random.default_rng(seed).integers(0, 255, (6, 8, 3), dtype=np.uint8)
    image = Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC)
    tags = Image.Exif()
    if exif is not None:
        tags[0x0112] = exif
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, format="JPEG", quality=90, exif=tags)
    return path


def write_project(folder: Path, names: list[str] = NAMES, category: str = "cup", **settings: Any) -> Path:
    """`project.yaml` of one category with a card for its first three keypoints."""
    picture(folder / "cards" / "card.jpg", 99)
    points = []
    for index, name in enumerate(names):
        point: dict[str, Any] = {"name": name, "concept": CONCEPTS[index % len(CONCEPTS)]}
        if index < 3:
            point["card"] = {"image": "cards/card.jpg", "point": [30 + 20 * index, 40]}
        points.append(point)
    content = {
        "title": "Cups",
        "instructions": "Place each point.",
        "settings": {"gold_every": 0, **settings},
        "categories": [{"name": category, "supercategory": "hand_held", "keypoints": points}],
    }
    (folder / "project.yaml").write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return folder


@contextlib.contextmanager
def cup_project(
    folder: Path, images: int = 2, url: str | None = None, box: bool = True, **settings: Any
) -> Iterator[Workbench]:
    """An opened project of cups with some images."""
    write_project(folder, **settings)
    with open_project(folder, url) as bench:
        add_pictures(bench, images, box=box)
        yield bench


def add_pictures(bench: Workbench, count: int, first: int = 0, box: bool = True) -> list[int]:
    """Ids of new images."""
    ids = []
    for number in range(first, first + count):
        photograph = read_photograph(picture(bench.project.folder / "in" / f"cup {number}.jpg", number), upright=True)
        new = NewImage("cup", f"cup {number}.jpg", BOX if box else None, origin=f"cup {number}.jpg")
        with bench.database.writing() as session:
            ids.append(add_image(session, bench.project.folder, new, photograph).id)
    return ids


def token_of(bench: Workbench, name: str, role: str = "annotator", days: float = 1.0, qualify: bool = False) -> str:
    with bench.database.writing() as session:
        return invite(session, name, role, days, qualify=qualify)


def set_role(bench: Workbench, image_id: int, role: str) -> None:
    with bench.database.writing() as session:
        session.get_one(ImageRow, image_id).role = role


class Server:
    """The application under uvicorn in a thread of this process."""

    def __init__(self, bench: Workbench, options: GuardOptions | None = None) -> None:
        config = uvicorn.Config(create_app(bench, options or GuardOptions()), port=0, log_level="error")
        self._socket = config.bind_socket()
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._socket]}, daemon=True)

    def __enter__(self) -> Server:
        self._thread.start()
        while not self._server.started:
            time.sleep(0.01)
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(timeout=20)


class Client:
    """A person's browser without the browser."""

    def __init__(self, url: str, token: str | None) -> None:
        self.url, self.token, self.tab = url, token, secrets.token_hex(8)

    def request(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """(status, JSON or bytes)."""
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        given = {
            "content-type": "application/json",
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        if self.token is not None:
            given.setdefault("authorization", f"Bearer {self.token}")
        request = urllib.request.Request(self.url + path, data, given, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                raw, status = response.read(), response.status
        except urllib.error.HTTPError as error:
            raw, status = error.read(), error.code
        with contextlib.suppress(ValueError):
            return status, json.loads(raw)
        return status, raw

    def post(self, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        return self.request("POST", path, {} if body is None else body, **headers)

    def task(self) -> dict[str, Any]:
        status, answer = self.post("/api/next")
        assert status == 200, answer
        task: dict[str, Any] = answer["task"]
        return task

    def step(
        self, keypoint: str = NAMES[0], state: str = "visible", x: Any = 10.0, y: Any = 20.0, **more: Any
    ) -> dict[str, Any]:
        body = {"key": secrets.token_hex(8), "tab": self.tab, "seen": 2**40, "keypoint": keypoint, "state": state}
        return {**body, **({"x": x, "y": y} if state == "visible" else {}), **more}

    def place(self, task: int, *args: Any, **more: Any) -> tuple[int, Any]:
        return self.post(f"/api/tasks/{task}/place", self.step(*args, **more))

    def answer_all(self, task: dict[str, Any], points: dict[str, tuple[float, float]]) -> None:
        """Place every asked keypoint, hidden where no position is given, and finish."""
        for keypoint in task["keypoints"]:
            place = points.get(keypoint["name"])
            more = ("visible", *place) if place else ("hidden",)
            assert self.place(task["id"], keypoint["name"], *more)[0] == 200
        status, answer = self.post(f"/api/tasks/{task['id']}/finish", {"seconds": 12})
        assert status == 200, answer


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


class ServerProcess:
    """`soco annotate serve` as a process of its own, to be killed."""

    def __init__(self, project: Path, *arguments: str) -> None:
        self.project, self.arguments, self.port = project, arguments, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        root = Path(__file__).resolve().parents[2]
        environment = {**os.environ, "PYTHONPATH": str(root)}
        command = [sys.executable, "-m", "soco_datasets.cli", "annotate", "serve", str(self.project)]
        self.process = subprocess.Popen(
            [*command, "--port", str(self.port), *self.arguments], env=environment, stderr=subprocess.PIPE
        )
        for _ in range(600):
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{self.url}/health", timeout=5):
                return
            assert self.process.poll() is None, self.process.stderr and self.process.stderr.read().decode()
            time.sleep(0.05)
        raise AssertionError("the server does not answer")

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
