"""README.md of a dataset folder: the card template filled in from the manifest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from ..data.manifest import manifest_configs
from ..data.schema import TableSpec
from .base import SOCO, Benchmark, find_benchmark

_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (10**6, "100K<n<1M"))


def render_card(manifest: dict[str, Any], format: str, location: str = "FOLDER") -> str:
    """The card: `configs:` and `dataset_info:`, so that plain `datasets` loads and streams every config, and the text.

    Args:
        manifest: of the folder.
        format: of its shards, "arrow" or "parquet".
        location: what the examples load: the folder, or "ORG/NAME" on the Hub.
    """
    counts = manifest["counts"]
    rows: dict[str, dict[str, int]] = counts["rows"]
    found = manifest["findings"]["counts"]
    source = manifest["source"]
    name = str(manifest.get("benchmark", SOCO))
    benchmark = find_benchmark(name)
    configs = manifest_configs(Path(location), manifest)
    if benchmark is not None and benchmark.card is not None:
        text = benchmark.card()
    else:
        text = (files("soco_datasets.benchmarks") / "card_template.md").read_text(encoding="utf-8")
    return Template(text).substitute(
        **_benchmark_texts(name, benchmark, manifest),
        size_category=next((name for limit, name in _SIZES if counts["images"] < limit), "1M<n<10M"),
        configs="\n".join(_config_block(name, list(splits), format) for name, splits in rows.items()),
        info=_dataset_info(manifest, configs),
        table="\n".join(
            f"| `{name}` | {configs[name].about} | {', '.join(f'{n:,} {split}' for split, n in splits.items())} |"
            for name, splits in rows.items()
        ),
        version=manifest["toolkit_version"],
        source=source["id"] + (f" at revision {source['revision']}" if source["revision"] else ""),
        content_hash=manifest["content_hash"],
        images=f"{counts['images']:,}",
        categories=counts["categories"],
        keypoints=f"{counts['keypoints']:,}",
        concepts=counts["concepts"],
        intra_origin=manifest["pairs"].get("intra", ""),
        cross_origin=manifest["pairs"].get("cross", ""),
        folder=location,
        rotated=counts["exif_rotated"],
        findings=_findings_text(found),
    )


def _benchmark_texts(name: str, benchmark: Benchmark | None, manifest: Mapping[str, Any]) -> dict[str, str]:
    """What the general template says of a benchmark; SOCO's own template uses none of it."""
    rule = benchmark.point_rule if benchmark else None
    origins = "\n".join(f"- `{pairs}`: {origin}" for pairs, origin in manifest["pairs"].items())
    notes = "\n".join(f"- {note}" for note in (*(benchmark.notes if benchmark else ()), *manifest_notes(manifest)))
    return {
        "name": name,
        "title": benchmark.title if benchmark else name,
        "about": benchmark.about if benchmark else "a semantic-correspondence benchmark",
        "license_text": benchmark.license if benchmark else "not stated",
        "get_data": (benchmark.get_data if benchmark else "") or "see its authors' page",
        "homepage": benchmark.homepage if benchmark else "",
        "citation": (benchmark.citation if benchmark else "").rstrip() or "(none stated)",
        "pair_origins": origins or "- none",
        "notes": notes or "- none",
        "point_rule": "as its package says" if rule is None else f"{rule.points}; errors are divided by: {rule.scale}",
    }


def manifest_notes(manifest: Mapping[str, Any]) -> list[str]:
    """What a folder's own source adds to its benchmark's notes, such as overlaps counted in its pair lists."""
    notes = manifest.get("facts", {}).get("notes", [])
    return [str(note) for note in notes]


def _config_block(name: str, splits: list[str], format: str) -> str:
    lines = [f"- config_name: {name}", "  data_files:"]
    for split in splits:
        lines += [f"  - split: {split}", f"    path: {name}/{split}-*.{format}"]
    return "\n".join(lines)


def _dataset_info(manifest: dict[str, Any], configs: Mapping[str, TableSpec]) -> str:
    """Columns and numbers of rows of each config, so that nobody has to read a file to know them."""
    import yaml

    sizes: Counter[tuple[str, str]] = Counter()  # bytes of the files; the key demands a size, and readers need no other
    for shard in manifest["shards"]:
        sizes[shard["config"], shard["split"]] += shard["bytes"]
    entries = []
    for name, splits in manifest["counts"]["rows"].items():
        whole = sum(sizes[name, split] for split in splits)
        entries.append(
            {
                "config_name": name,
                "features": configs[name].features._to_yaml_list(),
                "splits": [
                    {"name": split, "num_bytes": sizes[name, split], "num_examples": rows}
                    for split, rows in splits.items()
                ],
                "download_size": whole,
                "dataset_size": whole,
            }
        )
    return yaml.safe_dump(entries, sort_keys=False, allow_unicode=True).rstrip()


def _findings_text(found: dict[str, dict[str, int]]) -> str:
    lines = [
        f"- {severity} `{rule}`: {count:,}"
        for severity in ("error", "repair", "note")
        for rule, count in found[severity].items()
    ]
    return "\n".join(lines) or "Nothing: every file of the release agreed with every other."
