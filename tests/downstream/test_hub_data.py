"""ImageNet on the Hub: Parquet is streamed, gated and scripted sets are explained before any forward."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.hub_clients import run_python
from helpers.loopback_hub import LoopbackHub

pytestmark = pytest.mark.hub
SCRIPT = """
from soco_datasets.downstream.readers.known_readers import open_data
from soco_datasets.errors import SocoError
try:
    data = open_data("imagenet", "lab/NAME")
    print(json.dumps([data.layout, data.counts(), data.image_set("val").load(2).size, [str(f) for f in data.check()][:2]]))
except SocoError as error:
    print(json.dumps(["refused", str(error)]))
"""


def test_imagenet_on_the_hub(synthetic: Callable[[str], Path], tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    files = {}
    for split, theirs in (("train", "train"), ("val", "validation")):
        rows = [
            {"image": {"bytes": path.read_bytes(), "path": None}, "label": label}
            for label, folder in enumerate(sorted((synthetic("imagenet") / split).iterdir()))
            for path in sorted(folder.iterdir())
        ]
        buffer = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(rows), buffer, row_group_size=8)
        files[f"data/{theirs}-00000-of-00001.parquet"] = buffer.getvalue()
    with LoopbackHub() as hub:
        hub.add_account("hf_someToken123456789", "someone")
        hub.add_repo("dataset", "lab/open", files)
        hub.add_repo("dataset", "lab/scripted", {"scripted.py": b"# a loading script"})
        hub.add_repo("dataset", "lab/gated", files, gated=True)

        def opened(name: str) -> list:
            done = run_python(hub, tmp_path, SCRIPT.replace("NAME", name), "hf_someToken123456789")
            return json.loads(done.stdout.strip().splitlines()[-1])

        layout, counts, size, findings = opened("open")
        assert (layout, counts["train"], counts["val"], size) == ("Hub lab/open", 30, 20, [160, 128])
        assert "30 train, expected 1,281,167" in " ".join(findings)
        assert "only a loading script" in opened("scripted")[1]
        refused, message = opened("gated")
        assert refused == "refused"
        assert "gated" in message
        assert opened("nowhere")[0] == "refused"
