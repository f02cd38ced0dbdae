"""README.md of a dataset folder: the card template filled in from the manifest."""

from __future__ import annotations

from collections import Counter
from importlib.resources import files
from string import Template
from typing import Any

from ..data.schema import CONFIGS

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
    template = Template((files("soco_datasets.benchmarks.soco") / "card_template.md").read_text(encoding="utf-8"))
    return template.substitute(
        size_category=next((name for limit, name in _SIZES if counts["images"] < limit), "1M<n<10M"),
        configs="\n".join(_config_block(name, list(splits), format) for name, splits in rows.items()),
        info=_dataset_info(manifest),
        table="\n".join(
            f"| `{name}` | {CONFIGS[name].about} | {', '.join(f'{n:,} {split}' for split, n in splits.items())} |"
            for name, splits in rows.items()
        ),
        version=manifest["toolkit_version"],
        source=source["id"] + (f" at revision {source['revision']}" if source["revision"] else ""),
        content_hash=manifest["content_hash"],
        images=f"{counts['images']:,}",
        categories=counts["categories"],
        keypoints=f"{counts['keypoints']:,}",
        concepts=counts["concepts"],
        intra_origin=manifest["pairs"]["intra"],
        cross_origin=manifest["pairs"]["cross"],
        folder=location,
        rotated=counts["exif_rotated"],
        findings=_findings_text(found),
    )


def _config_block(name: str, splits: list[str], format: str) -> str:
    lines = [f"- config_name: {name}", "  data_files:"]
    for split in splits:
        lines += [f"  - split: {split}", f"    path: {name}/{split}-*.{format}"]
    return "\n".join(lines)


def _dataset_info(manifest: dict[str, Any]) -> str:
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
                "features": CONFIGS[name].features._to_yaml_list(),
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
