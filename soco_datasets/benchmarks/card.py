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
from .preview import PREVIEW, SAMPLE
from .soco.paper import headline, paper_scores

_SAMPLE_LINE = "![A pair: numbered query points on the left, the points that are to be found on the right]({})"
_RESULTS = {"cc": "CC", "soc": "SOC", "cross_soc": "Cross-SOC"}
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (10**6, "100K<n<1M"))


def render_card(manifest: dict[str, Any], format: str, location: str = "FOLDER") -> str:
    """The card: `configs:` and `dataset_info:`, so that plain `datasets` loads and streams every config, and the text.

    Args:
        manifest: of the folder.
        format: of its shards, "arrow" or "parquet".
        location: what the examples load: the folder, or "ORG/NAME" on the Hub.
    """
    counts = manifest["counts"]
    preview = manifest.get("preview")
    shown = {PREVIEW.name: {PREVIEW.splits[0]: preview["rows"]}} if preview else {}
    rows: dict[str, dict[str, int | None]] = {**shown, **counts["rows"]}
    name = str(manifest.get("benchmark", SOCO))
    benchmark = find_benchmark(name)
    configs = {**manifest_configs(Path(location), manifest), PREVIEW.name: PREVIEW}
    if benchmark is not None and benchmark.card is not None:
        text = benchmark.card()
    else:
        text = (files("soco_datasets.benchmarks") / "card_template.md").read_text(encoding="utf-8")
    return Template(text).substitute(
        **_benchmark_texts(name, benchmark, manifest),
        size_category=next((name for limit, name in _SIZES if counts["images"] < limit), "1M<n<10M"),
        configs="\n".join(_config_block(name, list(splits), format) for name, splits in rows.items()),
        info=_dataset_info(manifest, rows, configs),
        table="\n".join(
            f"| `{name}` | {configs[name].about} | {', '.join(_counted(*split) for split in splits.items())} |"
            for name, splits in rows.items()
        ),
        **_provenance(manifest, location),
        sample=_SAMPLE_LINE.format(manifest.get("sample", SAMPLE)) if preview else "",
        results=_results_table(),
        intra_origin=manifest["pairs"].get("intra", ""),
        cross_origin=manifest["pairs"].get("cross", ""),
        folder=location,
    )


def _provenance(manifest: Mapping[str, Any], location: str) -> dict[str, str]:
    """How the folder was made, and what it holds; of the full benchmark that nobody has built here, what is known."""
    counts, source = manifest["counts"], manifest["source"]
    contents = f"{counts['images']:,} images of {counts['categories']} categories"
    if "content_hash" not in manifest:
        return {
            "contents": f"{contents} with about {counts['keypoints']:,} visible keypoints",
            "rotated": "some images",
            "provenance": f"Built by `soco-datasets` from {source['id']}. Its `README.md` and `manifest.json` state "
            "the version, the content hash and what was found while building.",
            "findings": "See the `README.md` of the built folder.",
            "get_it": f"`soco build --out {location}` makes the folder `{location}`.\n\n",
        }
    concepts = f" of {counts['concepts']} concepts" if find_benchmark(manifest.get("benchmark", SOCO)) else ""
    revision = f" at revision {source['revision']}" if source["revision"] else ""
    rotated = counts["exif_rotated"]
    return {
        "contents": f"{contents} with {counts['keypoints']:,} visible keypoints{concepts}",
        "rotated": f"{rotated} image{'' if rotated == 1 else 's'}",
        "provenance": f"Built by `soco-datasets` {manifest['toolkit_version']} from {source['id']}{revision}; content "
        f"hash `{manifest['content_hash']}`.",
        "findings": _findings_text(manifest["findings"]["counts"]),
        "get_it": "",
    }


def _counted(split: str, rows: int | None) -> str:
    return split if rows is None else f"{rows:,} {split}"


def _results_table() -> str:
    """The paper's models of table 2 with their scores in percent, best in SOC first, the best of each column bold."""
    models = dict.fromkeys(score.model for score in paper_scores() if score.table == "2" and score.model)
    scores = sorted(((model, headline(model)) for model in models), key=lambda row: -row[1]["soc"])
    best = {task: max(found[task] for _, found in scores) for task in _RESULTS}
    lines = ["| model | " + " | ".join(_RESULTS.values()) + " |", "|---|" + "--:|" * len(_RESULTS)]
    for model, found in scores:
        cells = [f"**{found[task]:.2f}**" if found[task] == best[task] else f"{found[task]:.2f}" for task in _RESULTS]
        lines.append(f"| {model} | {' | '.join(cells)} |")
    return "\n".join(lines)


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


def _dataset_info(
    manifest: Mapping[str, Any], rows: Mapping[str, Mapping[str, int | None]], configs: Mapping[str, TableSpec]
) -> str:
    """Columns and numbers of rows of each config, so that nobody has to read a file to know them."""
    import yaml

    sizes: Counter[tuple[str, str]] = Counter()  # bytes of the files; the key demands a size, and readers need no other
    for shard in (*manifest["shards"], *filter(None, [manifest.get("preview")])):
        sizes[shard["config"], shard["split"]] += shard["bytes"]
    entries = []
    for name, splits in rows.items():
        entry: dict[str, Any] = {"config_name": name, "features": configs[name].features._to_yaml_list()}
        if sizes:
            whole = sum(sizes[name, split] for split in splits)
            entry["splits"] = [
                {"name": split, "num_bytes": sizes[name, split], "num_examples": number}
                for split, number in splits.items()
            ]
            entry |= {"download_size": whole, "dataset_size": whole}
        entries.append(entry)
    return yaml.safe_dump(entries, sort_keys=False, allow_unicode=True).rstrip()


def _findings_text(found: dict[str, dict[str, int]]) -> str:
    lines = [
        f"- {severity} `{rule}`: {count:,}"
        for severity in ("error", "repair", "note")
        for rule, count in found[severity].items()
    ]
    return "\n".join(lines) or "Nothing: every file of the release agreed with every other."
