"""Campaigns of seeded trials: few by default, as many as fit into `--fuzz-seconds N`, resumed from a journal."""

from __future__ import annotations

import contextlib
import json
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from types import FrameType
from typing import Any

import pytest

Trial = Callable[[Random, Path], str]
ODD: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 0.5, -0.0, 1e300, 10**30, "", "x", "car", "car_1.JPEG", "\x1b[2J", "a/../b", "\u202e",
    [], [[]], [None], [1, 2], [1, 2, 3], {}, {"a": 1}, [0, 0, 0, 0], [5, 6, 55, 50], "cafe\u0301", "é" * 300,
)  # fmt: skip
RAW = ("NaN", "-Infinity", "1e999", "9" * 500, '"\\ud800"', "[" * 200 + "]" * 200, "{", '"', "01", '{"a":1,"a":2}')


class HangError(BaseException):
    """A trial that takes far too long."""


class Campaign:
    """Trials of one kind. A failing one names its seed; run it alone with `--fuzz-seed N`.

    Args:
        name: of the kind, and of its journal.
        config: the options of the run.
        small: trials without `--fuzz-seconds`.
    """

    limit = 120  # seconds for one trial

    def __init__(self, name: str, config: pytest.Config, small: int) -> None:
        self.name, self.small = name, small
        self.seconds, self.seed = config.getoption("--fuzz-seconds"), config.getoption("--fuzz-seed")
        self.journal = Path(config.getoption("--fuzz-journal"), f"{name}.jsonl") if self.seconds else None

    def run(self, trial: Trial, folder: Path) -> Counter[str]:
        """Run the trials, print what came of them, and give the number of each outcome."""
        outcomes, first = self._earlier()
        for seed in self._seeds(first):
            place = folder / str(seed)
            place.mkdir()
            try:
                with self._no_hang():
                    outcome = trial(Random(f"{self.name}/{seed}"), place)
            except (Exception, HangError) as error:
                raise AssertionError(f"{self.name}: the trial of seed {seed} failed; --fuzz-seed {seed}") from error
            leftovers = [str(path) for path in place.rglob(".*.part")]
            assert not leftovers, f"{self.name}: seed {seed} leaves {leftovers}"
            outcomes[outcome] += 1
            self._note(seed, outcome)
            for path in sorted(place.rglob("*"), reverse=True):
                path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
            place.rmdir()
        print(f"{self.name}: {sum(outcomes.values())} trials: {dict(sorted(outcomes.items()))}")
        return outcomes

    def _seeds(self, first: int) -> Iterator[int]:
        if self.seed is not None:
            yield self.seed
            return
        if not self.seconds:
            yield from range(self.small)
            return
        end = time.monotonic() + self.seconds
        while time.monotonic() < end:
            yield first
            first += 1

    def _earlier(self) -> tuple[Counter[str], int]:
        """(outcomes, next seed) of the journal; a last line that a kill cut is left out."""
        outcomes: Counter[str] = Counter()
        first = 0
        if self.journal is not None and self.journal.is_file():
            data = self.journal.read_bytes()
            whole = data[: data.rfind(b"\n") + 1]
            self.journal.write_bytes(whole)
            for line in whole.splitlines():
                found = json.loads(line)
                outcomes[found["outcome"]] += 1
                first = max(first, found["seed"] + 1)
        return outcomes, first

    def _note(self, seed: int, outcome: str) -> None:
        if self.journal is not None:
            self.journal.parent.mkdir(parents=True, exist_ok=True)
            with self.journal.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"seed": seed, "outcome": outcome}) + "\n")

    @contextlib.contextmanager
    def _no_hang(self) -> Iterator[None]:
        def stop(number: int, frame: FrameType | None) -> None:
            raise HangError(f"more than {self.limit} s")

        before = signal.signal(signal.SIGALRM, stop)
        signal.alarm(self.limit)
        try:
            yield
        finally:
            signal.alarm(0)
            signal.signal(signal.SIGALRM, before)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value in JSON, but the whole."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in items:
        yield (*path, key)
        yield from places(part, (*path, key))


def mutate_json(random: Random, text: str) -> str:
    """The text of a JSON file with one thing altered: a value, a field, the text itself."""
    data = json.loads(text)
    path = random.choice(list(places(data)))
    parent = data
    for key in path[:-1]:
        parent = parent[key]
    kind = random.choice(("value", "near", "near", "raw", "double", "remove", "copy", "cut", "flip"))
    if kind == "value":
        parent[path[-1]] = random.choice(ODD)
    elif kind == "near":
        parent[path[-1]] = near(random, parent[path[-1]])
    elif kind == "copy":
        parent[path[-1]] = json.loads(json.dumps(data))
    elif kind == "remove":
        del parent[path[-1]]
    elif kind in ("raw", "double"):
        mark, kept = "@" * 9, json.dumps(parent[path[-1]])
        parent[path[-1]] = mark
        whole = json.dumps(data)
        if kind == "raw":
            return whole.replace(f'"{mark}"', random.choice(RAW))
        if isinstance(path[-1], str):
            name = json.dumps(path[-1])
            return whole.replace(f'{name}: "{mark}"', f"{name}: {json.dumps(random.choice(ODD))}, {name}: {kept}")
        return whole.replace(f'"{mark}"', kept)
    elif kind == "cut":
        return text[: random.randrange(len(text))]
    else:
        place = random.randrange(len(text))
        return text[:place] + chr(32 + random.randrange(95)) + text[place + 1 :]
    return json.dumps(data)


def near(random: Random, value: Any) -> Any:
    """Something of the same type."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + random.choice((-1, 1, 7, 100))
    if isinstance(value, float):
        return value + random.choice((-1e-9, 0.5, 30.0, -1e3))
    if isinstance(value, str):
        return random.choice((value + "x", value[:-1], value.upper(), value.replace("left", "right")))
    if isinstance(value, list):
        return random.choice((value[1:], value + value[:1], value[::-1]))
    if isinstance(value, dict) and value:
        return {**value, "more": 1}
    return random.choice(ODD)


def damage(random: Random, data: bytes) -> bytes:
    """Bytes with a few flipped, cut, doubled or zeroed."""
    place = random.randrange(max(1, len(data)))
    kind = random.choice(("flip", "cut", "double", "zero"))
    if kind == "cut":
        return data[:place]
    if kind == "double":
        return data[:place] + data[max(0, place - 20) :]
    changed = bytearray(data)
    for offset in range(place, min(len(data), place + random.choice((1, 1, 8)))):
        changed[offset] = 0 if kind == "zero" else changed[offset] ^ (1 << random.randrange(8))
    return bytes(changed)
