"""A published dataset is loaded by plain `datasets` and by this package; what is fetched is counted."""

from __future__ import annotations

import hashlib
import json
import re
import textwrap
from pathlib import Path

import pytest
from helpers.hub_clients import run_python, run_soco
from helpers.loopback_hub import LoopbackHub

from soco_datasets.data.folder import open_folder
from soco_datasets.data.schema import CONFIGS

REPO = "lab/soco"
SHARDS = r"/resolve/.*/images/"


@pytest.fixture(scope="module")
def published(built_mini: Path, tmp_path_factory: pytest.TempPathFactory):
    with LoopbackHub() as hub:
        hub.add_account("hf_alice", "alice", orgs=("lab",))
        run_soco(
            hub,
            tmp_path_factory.mktemp("home"),
            "publish",
            built_mini,
            "--repo",
            REPO,
            "--revision",
            "v1",
            token="hf_alice",
        )
        yield hub


@pytest.fixture
def hub(published: LoopbackHub) -> LoopbackHub:
    published.clear()
    return published


def test_plain_datasets_loads_every_config_streaming_or_not(hub: LoopbackHub, tmp_path: Path, built_mini: Path) -> None:
    script = f"""
    import sys
    from datasets import Image, load_dataset
    found = {{}}
    for config in {list(open_folder(built_mini).configs)!r}:
        loaded = load_dataset({REPO!r}, config)
        streamed = load_dataset({REPO!r}, config, streaming=True)
        assert all(streamed[split].features == loaded[split].features for split in loaded), config
        if config == "images":
            streamed = {{k: v.cast_column("image", Image(decode=False)) for k, v in streamed.items()}}
            loaded = {{k: v.cast_column("image", Image(decode=False)) for k, v in loaded.items()}}
        assert all(next(iter(streamed[split])) == loaded[split][0] for split in loaded), config
        found[config] = [{{split: len(rows) for split, rows in loaded.items()}}, sorted(next(iter(loaded.values())).features)]
    assert not any(name.startswith("soco") for name in sys.modules)
    print(json.dumps(found))
    """
    done = run_python(hub, tmp_path, script)
    assert "Ignoring part of dataset_info" not in done.stderr
    found = json.loads(done.stdout)
    folder = open_folder(built_mini)
    assert {"cc", "soc", "cross_soc", "soc_geo", "taxonomy", "descriptions"} <= set(found)
    for config, (rows, columns) in found.items():
        assert rows == {split: folder.rows(config, split) for split in folder.splits(config)}
        assert columns == sorted(CONFIGS[config].features)


def test_labels_and_streamed_pairs_fetch_no_image(hub: LoopbackHub, tmp_path: Path) -> None:
    script = f"""
    from datasets import load_dataset
    labels = load_dataset({REPO!r}, "cross_soc", split="test")
    print(len(labels["target_points"][:]), next(iter(load_dataset({REPO!r}, "soc", split="test", streaming=True)))["pair_id"])
    """
    run_python(hub, tmp_path, script)
    assert hub.requests_of("GET", "/resolve/.*/cross_soc/")
    assert hub.requests_of("GET", "/resolve/.*/soc/")
    assert not hub.requests_of(path=SHARDS)


def test_the_examples_of_the_card_run(hub: LoopbackHub, tmp_path: Path) -> None:
    card = hub.files("dataset", REPO)["README.md"].decode()
    examples = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    assert len(examples) == 3
    checks = [
        "assert source.size == tuple(pairs[0]['source_size']) and target.size == tuple(pairs[0]['target_size'])",
        "assert pairs.features",
        "assert row['source_image'].size == tuple(row['source_size'])",
    ]
    for example, check in zip(examples, checks, strict=True):
        run_python(hub, tmp_path, f"{example}\n{check}")


def test_the_first_joined_row_of_a_stream_fetches_its_two_images_alone(
    hub: LoopbackHub, tmp_path: Path, built_mini: Path
) -> None:
    script = f"""
    import hashlib
    import soco_datasets
    from datasets import load_dataset
    rows = load_dataset("soco", "soc", split="test", streaming=True, data_dir="hf://datasets/{REPO}")
    row = next(iter(rows))
    digests = [hashlib.sha256(row[k].tobytes()).hexdigest() for k in ("source_image", "target_image")]
    print(json.dumps([row["source_image_id"], row["target_image_id"], digests]))
    """
    source, target, digests = json.loads(run_python(hub, tmp_path, script).stdout)
    images = open_folder(built_mini).images
    fetched = hub.requests_of("GET", SHARDS)
    assert [r.status for r in fetched] == [206, 206]
    assert sorted(r.sent for r in fetched) == sorted(len(images.jpeg_bytes(name)) for name in (source, target))

    assert digests == [hashlib.sha256(images.decode(name).tobytes()).hexdigest() for name in (source, target)]


def test_streams_and_downloads_of_the_same_repository_agree(hub: LoopbackHub, tmp_path: Path, built_mini: Path) -> None:
    script = f"""
    import soco_datasets
    from datasets import load_dataset
    from soco_datasets.data.folder import open_folder
    from soco_datasets.benchmarks.resolve import resolve_data
    options = {{"split": "test", "data_dir": {REPO!r}}}
    streamed = load_dataset("soco", "images", streaming=True, **options)
    first = [(row["image_id"], row["image"].tobytes()) for row in streamed.take(5)]
    pair = next(iter(load_dataset("soco", "soc", split="all", streaming=True, data_dir={REPO!r})))
    assert open_folder(resolve_data({REPO!r}, images=False)).snapshot is not None
    whole = load_dataset("soco", "images", **options)
    folder = open_folder(resolve_data({REPO!r}, revision="v1"))
    assert folder.snapshot is None
    folder.verify()
    assert first == [(row["image_id"], row["image"].tobytes()) for row in whole.select(range(5))]
    print(folder.content_hash, pair["source_image"].size == tuple(pair["source_size"]))
    """
    done = run_python(hub, tmp_path, script)
    assert done.stdout.split() == [open_folder(built_mini).content_hash, "True"]


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ("lab/nothing", "no dataset of this name exists"),
        ("lab/secret", "no dataset of this name exists, or it is private"),
        ("lab/gated", "it is gated. Accept its terms at"),
        ("lab/model", "there is no dataset of this name, but a model"),
        (f"{REPO}@v9", "it has no such revision"),
        ("lab/plain", "is not a published dataset folder"),
    ],
)
def test_what_cannot_be_loaded_is_said_with_the_next_step(
    hub: LoopbackHub, tmp_path: Path, named: str, said: str
) -> None:
    hub.add_repo("dataset", "lab/secret", {"manifest.json": b"{}"}, private=True)
    hub.add_repo("dataset", "lab/gated", {"manifest.json": b"{}"}, gated=True)
    hub.add_repo("dataset", "lab/plain", {"train.csv": b"a"})
    hub.add_repo("model", "lab/model")
    done = run_soco(hub, tmp_path, "info", named, check=False)
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_release_that_is_published_built_needs_no_build_and_then_no_network(
    hub: LoopbackHub, tmp_path: Path, built_mini: Path
) -> None:
    hub.add_repo("dataset", "GenIntelLab/SOCO", hub.files("dataset", REPO))
    script = """
    import soco_datasets
    from datasets import load_dataset
    from soco_datasets.benchmarks.resolve import cache_root
    print(len(load_dataset("soco", "soc", split="test")), cache_root().exists())
    """
    rows = str(open_folder(built_mini).rows("soc", "test"))
    assert run_python(hub, tmp_path, script).stdout.split() == [rows, "False"]
    hub.clear()
    assert run_python(hub, tmp_path, "import os; os.environ['HF_HUB_OFFLINE'] = '1'\n" + textwrap.dedent(script)).stdout
    assert not hub.log


def test_an_image_whose_download_breaks_is_fetched_again(hub: LoopbackHub, tmp_path: Path) -> None:
    hub.drop("GET", SHARDS, after_bytes=50)
    script = f"""
    import soco_datasets
    from datasets import load_dataset
    rows = load_dataset("soco", "soc", split="test", streaming=True, data_dir={REPO!r})
    next(iter(rows))["source_image"].load()
    """
    run_python(hub, tmp_path, script)
    assert [r.status for r in hub.requests_of("GET", SHARDS)].count(0) == 1
