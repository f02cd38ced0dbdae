"""What the consistency check of 320,000 predictions costs, beside recomputing their record.

    python benchmarks/bench_verify.py [--queries 320000] [--rounds 3] [--small]

Every `soco score` and `soco verify` does both. The predictions are those of dense SIFT on the built-in set in four
tasks, repeated under other names of images and pairs. The recomputation is `records.evaluation.record_from_predictions`
with its 1,000 resamples; reading the file, which both need, is given apart.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from support import best_of, machine

from soco_datasets.benchmarks.build import build_dataset
from soco_datasets.benchmarks.tasks import get_tasks
from soco_datasets.correspondence.consistency import check_consistency
from soco_datasets.correspondence.evaluate import evaluate_backbone
from soco_datasets.data.folder import open_folder
from soco_datasets.features.backbones import load_backbone
from soco_datasets.features.extractor import DenseFeatureExtractor
from soco_datasets.records.annotated_points import IMAGES_KEY, images_to_json
from soco_datasets.records.evaluation import record_from_predictions
from soco_datasets.records.fingerprint import Fingerprint
from soco_datasets.records.header import Header, TaskExpectation
from soco_datasets.records.predictions import (
    HEADER_KEY,
    read_annotated_images,
    read_header,
    read_predictions,
    task_rows,
    write_predictions,
)
from soco_datasets.records.validation import keys_sha256

TASKS = ("cc", "soc", "soc_soft", "soc_geo")
_NAMES = ("pair_id", "source_image_id", "target_image_id")


def sample(work: Path) -> pa.Table:
    """Real predictions on the built-in set."""
    folder = open_folder(build_dataset("mini", work / "mini").path)
    found = evaluate_backbone(DenseFeatureExtractor(load_backbone("dense_sift"), 160), folder, get_tasks(TASKS))
    assert found.predictions is not None
    return found.predictions


def repeated(table: pa.Table, queries: int) -> pa.Table:
    """The rows again and again under other names, at least so many."""
    copies = max(1, -(-queries // len(table)))
    parts, images = [], {}
    annotated = read_annotated_images(table)
    assert annotated is not None
    for number in range(copies):
        part = table
        for name in _NAMES:
            renamed = pc.binary_join_element_wise(part[name], str(number), "#")
            part = part.set_column(part.column_names.index(name), part.schema.field(name), renamed)
        parts.append(part)
        images |= {f"{name}#{number}": value for name, value in annotated.items()}
    whole = pa.concat_tables(parts)
    header = read_header(table)
    tasks = {
        task: TaskExpectation(
            pairs={name: copies * count for name, count in expected.pairs.items()},
            keypoints={name: copies * count for name, count in expected.keypoints.items()},
            keys_sha256=keys_sha256(task_rows(whole, task)),
        )
        for task, expected in header.tasks.items()
    }
    fields = {name: getattr(header, name) for name in type(header).model_fields}
    metadata = {HEADER_KEY: Header(**{**fields, "tasks": tasks}).to_json(), IMAGES_KEY: images_to_json(images)}
    return whole.replace_schema_metadata({**table.schema.metadata, **metadata})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--queries", type=int, default=320_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--small", action="store_true", help="the predictions once, one round")
    arguments = parser.parse_args()
    queries, rounds = (1, 1) if arguments.small else (arguments.queries, arguments.rounds)
    with tempfile.TemporaryDirectory() as work:
        table = repeated(sample(Path(work)), queries)
        path = Path(work) / "all.predictions.parquet"
        write_predictions(path, table)
        table, reading = best_of(rounds, lambda: read_predictions(path))
    found, checking = best_of(rounds, lambda: check_consistency(table))
    assert found.state == "consistent", found.line
    _, sketching = best_of(rounds, lambda: Fingerprint.of(table))
    _, scoring = best_of(rounds, lambda: record_from_predictions(table))
    print(machine())
    print(f"{len(table):,} predictions of {len(TASKS)} tasks; findings: {len(found.findings)}")
    print(f"reading and checking the file  {reading:.2f} s")
    print(f"recomputing the record         {scoring:.2f} s")
    print(f"consistency                    {checking:.2f} s")
    print(f"sketch for comparisons         {sketching:.2f} s")
    print(f"consistency / recomputing      {checking / scoring:.2f}x")


if __name__ == "__main__":
    main()
