"""The whole walk, with the real clients and commands: build, publish, load, evaluate, submit, merge, rank, verify."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from helpers.hub_clients import run_python, run_soco
from helpers.loopback_hub import LoopbackHub

ALICE, BOB = "hf_aliceSecretToken12", "hf_bobSecretToken1234"
RULES = b'{"image_size": 96}'  # a small evaluation is enough here


def test_the_whole_circle(tmp_path: Path, built_mini: Path) -> None:
    pytest.importorskip("kornia", reason="dense_sift needs kornia")
    with LoopbackHub() as hub:
        hub.add_account(ALICE, "alice", orgs=("lab",))
        hub.add_account(BOB, "bob")
        hub.add_repo("model", "lab/sift", {"README.md": b"# SIFT"})

        run_soco(hub, tmp_path, "publish", built_mini, "--repo", "lab/soco", token=ALICE)
        upload = f"HfApi().upload_file(path_or_fileobj={RULES!r}, path_in_repo='leaderboard.json', repo_id='lab/soco', repo_type='dataset')"
        run_python(hub, tmp_path, f"from huggingface_hub import HfApi\n{upload}", ALICE)

        script = """
        from datasets import load_dataset
        from huggingface_hub import snapshot_download
        rows = load_dataset("lab/soco", "soc", split="test")
        print(json.dumps([len(rows), snapshot_download("lab/soco", repo_type="dataset", local_dir="downloaded")]))
        """
        rows, downloaded = json.loads(run_python(hub, tmp_path, script).stdout)
        assert rows == 192

        evaluate = ("evaluate", "--model", "dense_sift", "--data", downloaded, "--image-size", "96", "--out", "results")
        run_soco(hub, tmp_path, *evaluate)
        record = tmp_path / "results" / "dense_sift.size96.json"
        own = ("submit", record, "--model-repo", "lab/sift", "--dataset-repo", "lab/soco")
        assert "discussions/1" in run_soco(hub, tmp_path, *own, token=BOB).stdout

        proposed = ("verify", "lab/sift@refs/pr/1", "--dataset-repo", "lab/soco", "--data", downloaded)
        assert run_soco(hub, tmp_path, *proposed, home="reviewer").stdout.rstrip().endswith("match")
        board = ("leaderboard", "--dataset-repo", "lab/soco", "--json", "--task", "soc")
        (entry,) = json.loads(run_soco(hub, tmp_path, *board, home="reader").stdout)
        assert (entry["model"], entry["status"]) == ("lab/sift", "proposed")

        merge = "from huggingface_hub import HfApi\nHfApi().merge_pull_request('lab/sift', 1)"
        run_python(hub, tmp_path, merge, ALICE)
        ranked = run_soco(hub, tmp_path, *board, "--check", "--data", downloaded, "--local", "results", home="reader")
        here, there = sorted(json.loads(ranked.stdout), key=lambda row: row["source"], reverse=True)
        assert (here["source"], here["status"], there["source"], there["status"]) == (
            "local",
            "consistent",
            "hub",
            "consistent",
        )
        pck = json.loads(record.read_text())["metrics"]["soc"]["pair"]["0.1"]["overall"]["pck"]
        assert here["percent"] == there["percent"] == round(100 * pck, 4)
        assert here["rank"] == there["rank"] == 1

        verify = ("verify", f"{hub.endpoint}/lab/sift", "--data", downloaded)
        assert run_soco(hub, tmp_path, *verify, home="other").stdout.rstrip().endswith("match")
        files = ("verify", there["url"], "--data", downloaded)
        assert run_soco(hub, tmp_path, *files, home="other").stdout.rstrip().endswith("match")

        queue = ("leaderboard", "--rerun-queue", "lab/soco", "--data", downloaded, "--rerun", "5")
        assert "lab/sift: rerun (" in run_soco(hub, tmp_path, *queue, token=ALICE, home="maintainer").stdout
        hub.repo("dataset", "lab/soco").merge(1)
        (entry,) = json.loads(run_soco(hub, tmp_path, *board, home="reader").stdout)
        assert entry["status"] == "rerun"
        assert "5 pairs) by alice on " in entry["verification"]

        boast(hub)
        boasting = run_soco(hub, tmp_path, *board, "--check", "--data", downloaded, home="reader")
        assert [(row["percent"], row["status"]) for row in json.loads(boasting.stdout)] == [
            (99.0, "claimed"),
            (there["percent"], "rerun"),
        ]
        assert "not those of that file" in boasting.stderr

        spoil_predictions(hub, there["url"].split("/tree/main/")[1])
        spoiled = run_soco(hub, tmp_path, *verify, home="another", check=False)
        assert spoiled.returncode == 1
        assert "sha256 of the predictions" in spoiled.stdout
        assert "MISMATCH" in spoiled.stderr


def boast(hub: LoopbackHub) -> None:
    """The owner adds a second file: the same source and notes, better numbers."""
    repo = hub.repo("model", "lab/sift")
    entries = yaml.safe_load(hub.files("model", repo.id)[".eval_results/soco.yaml"])
    better = [{**entry, "value": 99.0} for entry in entries]
    hub.commit(repo, {".eval_results/better.yaml": yaml.safe_dump(better).encode()})


def spoil_predictions(hub: LoopbackHub, folder: str) -> None:
    """The submitter replaces the predictions afterwards."""
    repo = hub.repo("dataset", "bob/soco-submissions")
    data = hub.files("dataset", repo.id)[f"{folder}/predictions.parquet"]
    hub.commit(repo, {f"{folder}/predictions.parquet": data[:-1] + bytes([data[-1] ^ 1])})
