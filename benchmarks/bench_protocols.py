"""How much longer all protocols of the paper take than the plain one, from the same features.

    python benchmarks/bench_protocols.py [--model MODEL] [--image-size 224] [--copies 1]

Evaluates with the tasks of the presets `standard` and `paper` on the built-in set, in turn, and compares the fastest of
each: soft-argmax, SOC-geo with its chance level, all thresholds, both reductions, intervals and the anatomy against
CC, SOC and both across categories, thresholds and reductions alike; the linear probe is in neither. Without --model the
backbone is a DINOv2 ViT-B/14 with random weights. --copies repeats every pair: 100 makes the tables as long as those of
the real release, while the images stay few, so that what comes after the features is all that grows.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from soco_datasets.benchmarks.build import build_dataset
from soco_datasets.benchmarks.resolve import MINI
from soco_datasets.benchmarks.tasks import get_tasks
from soco_datasets.correspondence.evaluate import evaluate_backbone
from soco_datasets.correspondence.presets import PRESETS
from soco_datasets.data.folder import DatasetFolder
from soco_datasets.features.backbones import load_backbone
from soco_datasets.features.extractor import DenseFeatureExtractor


class Copied(DatasetFolder):
    """A folder whose pairs come several times, under different ids."""

    copies = 1

    def table(self, config: str, split: str = "test", columns: Sequence[str] | None = None) -> pa.Table:
        table = super().table(config, split, columns)
        if "pair_id" not in table.column_names:
            return table
        place = table.column_names.index("pair_id")
        ids = [pc.binary_join_element_wise(table["pair_id"], str(copy), "_") for copy in range(self.copies)]
        return pa.concat_tables([table.set_column(place, "pair_id", some) for some in ids]).combine_chunks()


def random_vit_b(folder: Path) -> Path:
    import torch
    from transformers import Dinov2Config, Dinov2Model

    torch.manual_seed(0)
    Dinov2Model(Dinov2Config(patch_size=14, image_size=518)).save_pretrained(folder)
    statistics = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
    (folder / "preprocessor_config.json").write_text(json.dumps(statistics))
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="anything `soco evaluate --model` takes")
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--copies", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--device", default="auto")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        build_dataset(MINI, Path(temporary) / "mini")
        folder = Copied(Path(temporary) / "mini")
        folder.copies = arguments.copies
        model = arguments.model or random_vit_b(Path(temporary) / "random_vit_b14")
        extractor = DenseFeatureExtractor(load_backbone(model, device=arguments.device), arguments.image_size)
        evaluate_backbone(extractor, folder, get_tasks(["soc"]))  # warm: imports, page cache
        fastest = {name: [float("inf"), float("inf")] for name in ("standard", "paper")}
        for _ in range(arguments.rounds):
            for name, best in fastest.items():
                preset = PRESETS[name]
                start = time.perf_counter(), time.process_time()
                evaluation = evaluate_backbone(
                    extractor,
                    folder,
                    get_tasks(preset.tasks),
                    scoring=preset.scoring,
                )
                took = time.perf_counter() - start[0], time.process_time() - start[1]
                best[:] = map(min, best, took)
                counts = evaluation.result.counts
                assert counts["forwards"] == counts["decodes"] == counts["images"]
                print(
                    f"  {name:9}{len(preset.tasks):3} tasks {counts['keypoints']:9,} queries"
                    f"{took[0]:9.2f} s, {took[1]:9.2f} s of processor"
                )
    wall, processor = (paper / plain for paper, plain in zip(fastest["paper"], fastest["standard"], strict=True))
    print(f"{counts['images']} images, {extractor.grid} x {extractor.grid} cells: paper / standard")
    print(f"  {wall:.3f}x by the clock, {processor:.3f}x of processor time (of use where the machine does other work)")


if __name__ == "__main__":
    main()
