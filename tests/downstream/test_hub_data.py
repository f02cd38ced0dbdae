"""Data sets on the Hub: Parquet is streamed with the pixels of local files; gated and scripted sets are explained first."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers.hub_clients import run_python
from helpers.loopback_hub import LoopbackHub
from helpers.parquet_layouts import ROWS, files_of, parquet

from soco_datasets.downstream.readers.base import DataOptions
from soco_datasets.downstream.readers.known_readers import open_data
from soco_datasets.errors import UsageError

pytestmark = pytest.mark.hub
Synthetic = Callable[[str], Path]
TOKEN = "hf_someToken123456789"
READ = """
import hashlib
from soco_datasets.downstream.readers.known_readers import open_data
from soco_datasets.errors import SocoError
for place in PLACES:
    try:
        data = open_data(KIND, place)
        images = data.image_set("val") if KIND != "davis" else data.image_set()
        pixels = hashlib.sha256(images.load(2).tobytes()).hexdigest()
        print(json.dumps([data.layout, data.counts(), pixels, [str(f) for f in data.check()], data.describe()["hub"]]))
    except SocoError as error:
        print(json.dumps(["refused", str(error)]))
"""


@pytest.mark.parametrize("kind", ROWS)
def test_parquet_on_the_hub(kind: str, synthetic: Synthetic, tmp_path: Path) -> None:
    files = files_of(kind, synthetic(kind))
    for name, data in files.items():
        (tmp_path / "local" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "local" / name).write_bytes(data)
    local, folders = (
        open_data(kind, place, DataOptions(split_names=names))
        for place, names in ((tmp_path / "local", ("train", "validation")), (synthetic(kind), None))
    )
    assert local.layout == "Parquet"
    assert local.counts() == folders.counts()
    mine, theirs = (
        np.asarray((one.image_set() if kind == "davis" else one.image_set("val")).load(2))  # type: ignore[attr-defined]
        for one in (local, folders)
    )
    assert np.array_equal(mine, theirs)
    places = ["lab/open", "lab/converted", "lab/scripted", "lab/gated", "lab/granted", "lab/open@none", "lab/nowhere"]
    with LoopbackHub() as hub:
        hub.add_account(TOKEN, "someone")
        hub.add_repo("dataset", "lab/open", files)
        script = {"scripted.py": b"raise SystemExit('a loading script is never run')"}
        converted = hub.add_repo("dataset", "lab/converted", script)
        converted.refs["refs/convert/parquet"] = converted.refs["refs/heads/main"]
        other = {"instance_segmentation/train/0000.parquet": parquet([{"other": 1}])} if kind == "ade20k" else {}
        nested = files_of(kind, synthetic(kind), "scene_parsing" if kind == "ade20k" else "default")
        hub.commit(converted, {**nested, **other}, "refs/convert/parquet")
        hub.add_repo("dataset", "lab/scripted", script)
        hub.add_repo("dataset", "lab/gated", files, gated=True)
        hub.add_repo("dataset", "lab/granted", files, gated=True).granted.add("someone")
        code = READ.replace("PLACES", repr(places)).replace("KIND", repr(kind))
        lines = run_python(hub, tmp_path, code, TOKEN).stdout.splitlines()
        found = dict(zip(places, map(json.loads, lines[-len(places) :]), strict=True))
    for name in ("lab/open", "lab/converted", "lab/granted"):
        layout, counts, pixels, findings, source = found[name]
        assert (layout, counts, pixels) == (f"Hub {name}", local.counts(), hashlib.sha256(mine.tobytes()).hexdigest())
        assert source["id"] == name
        assert all("expected" in one for one in findings), findings  # fewer than the complete set, else nothing
    for name, said in (
        ("lab/scripted", "is only a loading script, which is never run"),
        ("lab/gated", "is gated, and this account has no access: accept its terms"),
        ("lab/open@none", "no revision none"),
        ("lab/nowhere", "has no data set lab/nowhere"),
    ):
        assert found[name][0] == "refused"
        assert said in found[name][1]


RUN = """
from soco_datasets.cli import main
common = ["downstream", "run", "--model", "tiny_dinov2", "--protocol", "tiny", "--tasks", "imagenet_knn"]
for place, out in PLACES.items():
    print("exit code", main([*common, "--data", f"imagenet={place}", "--out", out]))
"""


def test_a_run_by_hub_id_gives_the_digits_of_local_files(synthetic: Synthetic, tmp_path: Path) -> None:
    places = {"lab/imagenet": "hub", str(synthetic("imagenet")): "local", "lab/gated": "no"}
    with LoopbackHub() as hub:
        hub.add_repo("dataset", "lab/imagenet", files_of("imagenet", synthetic("imagenet")))
        hub.add_repo("dataset", "lab/gated", files_of("imagenet", synthetic("imagenet")), gated=True)
        done = run_python(hub, tmp_path, RUN.replace("PLACES", repr(places)))
    assert [line for line in done.stdout.splitlines() if "exit" in line] == [
        "exit code 0",
        "exit code 0",
        "exit code 2",
    ]
    assert "lab/gated is gated" in done.stderr
    assert "expected 1,281,167" in done.stderr
    assert not list((tmp_path / "no").rglob("*.json"))
    records = [
        json.loads((tmp_path / one / "tiny_dinov2/imagenet_knn.tiny.json").read_text()) for one in ("hub", "local")
    ]
    assert records[0]["metrics"] == records[1]["metrics"]
    assert records[0]["dataset"]["hub"]["id"] == "lab/imagenet"


@pytest.mark.parametrize(
    ("kind", "said"),
    [("nyu", "FastDepth"), ("navi", "archive"), ("imagenet3d", "prepare"), ("omni3d", "download both")],
)
def test_what_is_not_on_the_hub_is_said(kind: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        open_data(kind, "lab/nowhere-at-all")
