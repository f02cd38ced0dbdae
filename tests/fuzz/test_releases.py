"""Mutated releases: refused by name, or built to exactly the queries and scores that a plain reading of them gives."""

from __future__ import annotations

import json
import os
import shutil
import unicodedata
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from helpers import reference_pck
from helpers.fuzzing import Campaign, damage, mutate_json
from helpers.pair_tables import build
from helpers.small_release import make_release

from soco_datasets.benchmarks.base import BuildOptions
from soco_datasets.benchmarks.build import build_dataset
from soco_datasets.data.folder import DatasetFolder
from soco_datasets.errors import SocoError
from soco_datasets.records.evaluation import scored_record
from soco_datasets.records.predictions import TaskPredictions


def nfc(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def plain_queries(file: dict[str, Any]) -> list[tuple[str, list[float], list[float]]]:
    """(name, source point, target point) of the SOC queries of a pair file."""
    views = [{nfc(p["name"]): [float(v) for v in p["pos"][:2]] for p in file[f"{s}_keypoints"]} for s in ("src", "trg")]
    order: list[dict[str, Any]] = [{}, {}]
    for side, view in zip(order, ("src", "trg"), strict=True):
        for point in file[f"{view}_keypoints"]:
            side.pop(nfc(point["name"]), None)
            side[nfc(point["name"])] = True
    overlap = file.get("semantic_overlap")
    names = list(order[0]) if overlap is None else [nfc(name) for name in overlap]
    return [(name, views[0][name], views[1][name]) for name in dict.fromkeys(names) if all(name in v for v in views)]


def pair_file(release: Path, pair_id: str) -> Path:
    path = release / "PairAnnotations" / f"{pair_id}.json"
    return path if path.is_file() else path.with_suffix(".JSON")


def check_pairs(release: Path, folder: DatasetFolder, random: Random) -> None:
    """Hold every stored pair against its file, and the score of made-up predictions against a plain loop."""
    for config, subset in (("soc", "intra"), ("cross_soc", "cross")):
        if config not in folder.configs or folder.manifest["pairs"][subset] != "released":  # else they are drawn
            continue
        table = folder.table(config, "test")
        plain, points = [], []
        for row in table.to_pylist():
            file = json.loads(pair_file(release, row["pair_id"]).read_bytes())
            wanted = plain_queries(file)
            stored = zip(row["keypoints"], row["source_points"], row["target_points"], strict=True)
            assert [(name, source, target[0]) for name, source, target in stored] == wanted, row["pair_id"]
            boxes = {json.dumps([float(v) for v in file[f"{s}_bndbox"]]) for s in ("trg",) if file.get(f"{s}_bndbox")}
            assert not boxes or boxes == {json.dumps(row["target_bbox"])}, row["pair_id"]
            guesses = [[target[0] + random.choice((0, 3, 60)), target[1]] for _, _, target in wanted]
            points += guesses
            plain.append(
                {
                    "group": row["pair_group"],
                    "image": row["target_size"],
                    "box": row["target_bbox"],
                    "queries": [(guess, [target]) for guess, (_, _, target) in zip(guesses, wanted, strict=True)],
                }
            )
        if not points:
            continue
        record = scored_record(build({config: TaskPredictions(table, points)}))
        expected = reference_pck.pck(plain, 0.1, "pair", convention="centered")
        breakdown = record.metrics[config]["pair"]["0.1"]
        found = {name: value["pck"] for name, value in breakdown["per_category"].items()}
        found[""] = breakdown["overall"]["pck"]
        assert found == pytest.approx({name: value for name, value in expected.items() if name in found})


def link_to_itself(path: Path) -> None:
    path.unlink(missing_ok=True)  # there already, where the release was altered so before
    path.symlink_to(path.name)


def alter(random: Random, release: Path) -> None:
    """One mutation of one file."""
    files = sorted(path for path in release.rglob("*") if path.is_file() and not path.is_symlink())
    pairs = [path for path in files if "PairAnnotations" in path.parts]
    path = random.choice(pairs if pairs and random.random() < 0.7 else files)
    changes: tuple[Callable[[], object], ...] = (
        lambda: path.write_text(mutate_json(random, path.read_text()), encoding="utf-8"),
        lambda: path.write_bytes(damage(random, path.read_bytes())),
        path.unlink,
        lambda: shutil.copy(path, path.with_name("copy" + path.name)),
        lambda: path.rename(path.with_name(path.name.upper())),
        lambda: os.replace(path, random.choice(files)),
        lambda: link_to_itself(path.with_name("loop" + path.suffix)),
    )
    if path.suffix == ".json" and random.random() < 0.8:
        try:
            changes[0]()
            return
        except (ValueError, IndexError):  # altered before, so that it is no JSON any more
            pass
    random.choice(changes[1:])()


def test_releases(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    original = make_release(tmp_path / "original")

    def trial(random: Random, place: Path) -> str:
        release = shutil.copytree(original, place / "release", symlinks=True)
        for _ in range(random.choice((1, 1, 1, 2, 4))):
            alter(random, release)
        options = BuildOptions(skip_bad=random.random() < 0.6)
        try:
            built = build_dataset(str(release), place / "out", options=options)
        except SocoError:
            assert not (place / "out").exists()
            return "refused"
        folder = DatasetFolder(built.path)
        folder.check_intact(images=True)
        check_pairs(release, folder, random)
        counts = built.findings.counts()
        assert options.skip_bad or not counts["error"]
        return "left out" if counts["error"] else "repaired" if counts["repair"] else "accepted"

    outcomes = Campaign("releases", request.config, 25).run(trial, tmp_path)
    assert outcomes
