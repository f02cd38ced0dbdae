"""Load test of the annotation server: many people placing points at once, on loopback.

    python benchmarks/bench_annotation.py --people 50 --seconds 600 [--database postgresql://...] [--think 1.0]

The server is a process of its own. Each person opens an image, places its 20 points with a pause before each
(`--think`, seconds on average), finishes it and takes the next. Prints saves, their latency, and what the database
holds afterwards: every acknowledged save must be there once. An image of 20 points a minute is --think 3.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import secrets
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
POINTS = 20


def make_project(folder: Path, url: str | None, people: int, images: int) -> list[str]:
    """A project of noise pictures; returns the tokens."""
    from PIL import Image

    from soco_datasets.annotation.invitations import invite
    from soco_datasets.annotation.opened import open_project
    from soco_datasets.annotation.photo_files import read_photograph
    from soco_datasets.annotation.project_images import NewImage, add_image

    keypoints = "".join(f"      - point_{n}\n" for n in range(POINTS))
    settings = "settings: {annotators_per_image: 3, gold_every: 0}\n"
    (folder / "project.yaml").write_text(f"{settings}categories:\n  - name: thing\n    keypoints:\n{keypoints}")
    draw = np.random.default_rng(0)
    with open_project(folder, url) as bench:
        for number in range(images):
            path = folder / "picture.jpg"
            noise = Image.fromarray(draw.integers(0, 255, (6, 8, 3), dtype=np.uint8)).resize((640, 480))
            noise.save(path, quality=85)
            new = NewImage("thing", f"{number}.jpg", (0.0, 0.0, 640.0, 480.0))
            with bench.database.writing() as session:
                add_image(session, bench.project.folder, new, read_photograph(path, upright=True))
        with bench.database.writing(exclusive=True) as session:
            return [invite(session, f"person {n}", "annotator", 1) for n in range(people)]


class Figures:
    """What is counted."""

    def __init__(self) -> None:
        self.saves: list[float] = []
        self.pictures: list[float] = []
        self.keys: list[str] = []
        self.problems: list[str] = []
        self.images = 0


async def person(client: httpx.AsyncClient, token: str, end: float, think: float, figures: Figures) -> None:
    """One person until the end of the test, or until there are no more images."""
    draw, tab = random.Random(token), secrets.token_hex(8)
    headers = {"authorization": f"Bearer {token}"}

    async def post(path: str, body: dict[str, Any]) -> httpx.Response:
        response = await client.post(path, json=body, headers=headers)
        if response.status_code != 200:
            figures.problems.append(f"{path}: {response.status_code} {response.text[:120]}")
        return response

    await asyncio.sleep(draw.uniform(0, think * 2))
    while time.monotonic() < end:
        task = (await post("/api/next", {})).json().get("task")
        if not task:
            return
        began = time.perf_counter()
        await client.get(f"/api/tasks/{task['id']}/image", headers=headers)
        figures.pictures.append(time.perf_counter() - began)
        seen = task["seen"]
        for keypoint in task["keypoints"]:
            await asyncio.sleep(draw.uniform(0.5, 1.5) * think)
            if time.monotonic() > end:
                return
            key = secrets.token_hex(8)
            where = {"state": "visible", "x": draw.uniform(0, 640), "y": draw.uniform(0, 480)}
            body = {"key": key, "tab": tab, "seen": seen, "keypoint": keypoint["name"], **where}
            began = time.perf_counter()
            response = await post(f"/api/tasks/{task['id']}/place", body)
            figures.saves.append(time.perf_counter() - began)
            if response.status_code == 200:
                figures.keys.append(key)
                seen = response.json()["seen"]
        await post(f"/api/tasks/{task['id']}/finish", {"seconds": 60})
        figures.images += 1


async def load(url: str, tokens: list[str], seconds: float, think: float) -> Figures:
    """Everybody at once."""
    figures, end = Figures(), time.monotonic() + seconds
    limits = httpx.Limits(max_connections=len(tokens), max_keepalive_connections=len(tokens))
    async with httpx.AsyncClient(base_url=url, timeout=60, limits=limits) as client:
        await asyncio.gather(*(person(client, token, end, think, figures) for token in tokens))
    return figures


def stored_keys(folder: Path, url: str | None) -> list[str]:
    """Keys of all placements in the database."""
    from sqlalchemy import select

    from soco_datasets.annotation.database import Placement
    from soco_datasets.annotation.opened import open_project

    with open_project(folder, url) as bench, bench.database.reading() as session:
        return list(session.scalars(select(Placement.key)))


def start_server(folder: Path, url: str | None) -> tuple[subprocess.Popen[str], str]:
    """The process and its address."""
    command = [sys.executable, "-m", "soco_datasets.cli", "annotate", "serve", str(folder), "--port", "0"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [*command, *(["--database", url] if url else [])], env=environment, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "Serving" in line:
            return process, line.split(" on ")[1].split()[0]
    raise SystemExit("the server did not start")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60, help="how long (default 60; the full test is 600)")
    parser.add_argument("--think", type=float, default=1.0, help="mean pause before a point, seconds (default 1)")
    parser.add_argument("--database", help="URL of an empty PostgreSQL database (default: SQLite)")
    parser.add_argument("--json", type=Path, help="write the figures here, too")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root)
        images = int(given.people * given.seconds / (POINTS * max(given.think, 0.05)) / 3 + given.people)
        tokens = make_project(folder, given.database, given.people, min(images, 1500))
        process, url = start_server(folder, given.database)
        try:
            figures = asyncio.run(load(url, tokens, given.seconds, given.think))
        finally:
            process.terminate()
            process.wait(timeout=30)
        stored = stored_keys(folder, given.database)
    saves = 1000 * np.array(figures.saves)
    result = {
        "database": "postgresql" if given.database else "sqlite",
        "people": given.people,
        "seconds": given.seconds,
        "saves": len(saves),
        "saves_per_second": round(len(saves) / given.seconds, 1),
        "images": figures.images,
        **{f"save_p{q}_ms": round(float(np.percentile(saves, q)), 1) for q in (50, 95, 99, 100)},
        "picture_p95_ms": round(float(np.percentile(1000 * np.array(figures.pictures), 95)), 1),
        "acknowledged": len(figures.keys),
        "lost": len(set(figures.keys) - set(stored)),
        "doubled": len(stored) - len(set(stored)),
        "refused": len(figures.problems),
    }
    for problem in figures.problems[:5]:
        print("refused:", problem, file=sys.stderr)
    print(json.dumps(result, indent=1))
    if given.json:
        given.json.write_text(json.dumps(result, indent=1) + "\n")
    if result["lost"] or result["doubled"]:
        raise SystemExit("placements were lost or doubled")


if __name__ == "__main__":
    main()
