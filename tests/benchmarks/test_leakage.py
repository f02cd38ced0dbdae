"""Train and test pairs that overlap: a probe refuses them unless told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from helpers.shared_data import DATA, ORACLE

from soco_datasets import cli
from soco_datasets.benchmarks.build import build_dataset

pytest.importorskip("torch")
MINIATURES = DATA / "benchmarks" / "miniatures"
MODEL = ["--model", str(ORACLE / "models" / "dinov2_tiny_p14"), "--image-size", "112", "--device", "cpu"]
PROBE = ["--epochs", "1", "--variants", "reference", "--train-batch", "2"]


def shared_pairs(folder: Path) -> tuple[int, int]:
    """(unmirrored rows of trn that show a pair of the test list, all unmirrored rows), read without the toolkit."""
    lists = []
    for name in ("trn_pairs.csv", "test_pairs_pf_pascal.csv"):
        rows = [line.split(",") for line in (folder / name).read_text().splitlines()[1:]]
        kept = [row for row in rows if name != "trn_pairs.csv" or row[3].strip() == "0"]
        lists.append([frozenset((row[0], row[1], row[2])) for row in kept])
    return sum(pair in set(lists[1]) for pair in lists[0]), len(lists[0])


def test_a_probe_refuses_overlapping_pairs_unless_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shared, total = shared_pairs(MINIATURES / "PF-dataset-PASCAL")
    assert 0 < shared < total
    data = tmp_path / "pascal"
    build_dataset(MINIATURES / "PF-dataset-PASCAL", data)
    command = ["probe", *MODEL, *PROBE, "--data", str(data), "--out"]
    assert cli.main([*command, str(tmp_path / "refused")]) not in (0, None)
    error = capsys.readouterr().err
    assert f"{shared} of the {total} train pairs are test pairs too" in error
    assert "--overlap drop" in error
    assert not (tmp_path / "refused").exists()
    assert cli.main([*command, str(tmp_path), "--overlap", "none"]) not in (0, None)
    for overlap, left, counted in (("drop", total - shared, None), ("keep", total, shared)):
        out = tmp_path / overlap
        assert cli.main([*command, str(out), "--overlap", overlap]) in (0, None)
        record = json.loads(next(out.glob("dinov2_tiny_p14*.probe.json")).read_text())
        assert (record["counts"]["train_pairs"], record["counts"].get("train_pairs_in_test")) == (left, counted)
        assert record["dataset"]["pair_lists"].keys() == {"soc/trn", "soc/test"}


def test_no_probe_where_the_padding_or_the_lists_do_not_allow_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for source, said in (("ap-10k", "middle of their square"), ("PF-dataset", "no pairs soc/")):
        build_dataset(MINIATURES / source, tmp_path / source)
        out = tmp_path / "out"
        assert cli.main(["probe", *MODEL, "--data", str(tmp_path / source), "--out", str(out)]) not in (0, None)
        assert said in capsys.readouterr().err
