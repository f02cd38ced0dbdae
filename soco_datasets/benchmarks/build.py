"""`soco build`: a release to a dataset folder that plain `datasets` loads. Atomic, repeatable, every problem named."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from .. import __version__
from ..data.diagnostics import BuildReport
from ..data.manifest import FORMAT_NAME, MANIFEST, MANIFEST_VERSION
from ..data.questions.generation import Questions, release_questions, release_rows
from ..data.release_types import Release
from ..data.schema import TableSpec
from ..data.shards import (
    SHARD_FORMATS,
    ContentHash,
    Format,
    WrittenShard,
    batch_rows,
    write_batches,
)
from ..errors import ReleaseError, UsageError, unknown_name
from ..utils.chunks import Mapper, chunks_of
from ..utils.files import atomic_folder, parse_size, progress
from .card import render_card
from .encode import Encoded, PairEncoder, encode_rows
from .locations import cached_folder
from .soco.release import read_release
from .soco.source import (
    HUB_RELEASE,
    REQUIRED,
    ReleaseFiles,
    open_release,
)
from .tables import (
    Row,
    draw_missing_pairs,
    image_rows,
    keypoint_rows,
    pairs_of,
    stored_configs,
)

_LISTED_FINDINGS = 1000
_SHOWN_FINDINGS = 5


@dataclass(frozen=True)
class BuildResult:
    """What a build made: the folder, its manifest, and everything found on the way."""

    path: Path
    manifest: dict[str, Any]
    findings: BuildReport


def build_dataset(
    source: str = HUB_RELEASE,
    out: Path | str | None = None,
    *,
    revision: str | None = None,
    format: Format = "arrow",
    max_shard_size: str | int = "500MB",
    strict: bool = False,
    skip_bad: bool = False,
    overwrite: bool = False,
    test_pairs: int = 20_000,
    min_shared: int = 3,
    seed: int = 0,
    draw_pairs: bool = False,
    mapper: Mapper = map,
) -> BuildResult:
    """Build a dataset folder (design: docs/data.md).

    Args:
        source: "mini", a folder with the three zips or the extracted tree, or a Hub dataset id.
        out: folder to make; None = the cache, where `load_dataset("soco", ...)` looks.
        revision: commit, tag or branch of a Hub source.
        format: "arrow" or "parquet".
        max_shard_size: bytes of data in one shard, such as "500MB".
        strict: make an error of every repair.
        skip_bad: leave out the images and pairs that have errors, instead of refusing the release.
        overwrite: replace `out` when it is not empty.
        test_pairs, min_shared, seed: the draw of fixed pairs, used only where the release brings none.
        draw_pairs: accept a release without any pair file; keypoints are then those of KeypointAnnotations alone.
        mapper: what has images checked, pairs read and their rows made, chunk by chunk: `map` does so here, a
            `distributed.mapper.ray_mapper` on a cluster. The folder is the same to the last byte.

    Raises:
        ReleaseError: the release has errors; all are in the message and nothing was written.
        DataNotFoundError: no release at `source`.
        UsageError: a bad argument, or `out` is in use.
        SocoError: `out` cannot be written.
    """
    if format not in SHARD_FORMATS:
        raise unknown_name("format", format, SHARD_FORMATS)
    shard_size = parse_size(max_shard_size)
    if out is None:
        out = cached_folder(source)
    out = Path(out).expanduser()
    _check_apart(source, out)
    required = ("Images", "KeypointAnnotations") if draw_pairs else REQUIRED
    findings = BuildReport()
    with atomic_folder(out, overwrite) as folder, open_release(source, findings, revision, required) as files:
        release = read_release(files, findings, mapper)
        if not skip_bad or strict:
            findings.check(source, strict)
        if not release.images:
            first = "".join(f"\n  {item}" for item in list(findings)[:_SHOWN_FINDINGS])
            raise ReleaseError(f"{source}: no usable image is left, nothing to build.{first}")
        origins = draw_missing_pairs(release, test_pairs, min_shared, seed)
        questions = release_questions(release)
        content, asked = ContentHash(), ContentHash()
        shards: list[WrittenShard] = []
        for spec, split in progress(stored_configs(release, len(questions.questions)), "Writing tables", unit="table"):
            digest = asked if spec.name == "lvlm" else content  # another wording does not make it other data
            if digest is content:
                digest.start(spec.name, split)
            encoded = _encoded(spec, split, release, questions, files, mapper)
            shards += write_batches(folder, spec, split, _hashed(encoded, digest), format, shard_size)
        manifest = {
            "format": FORMAT_NAME,
            "format_version": MANIFEST_VERSION,
            "toolkit_version": __version__,
            "source": release.origin,
            "content_hash": content.hexdigest(),
            "pairs": origins,
            "lvlm": {
                "questions": len(questions.questions),
                "passed_over": questions.passed_over,
                "hash": asked.hexdigest(),
            },
            "counts": _counts(release, shards),
            "findings": {
                "counts": findings.counts(),
                "left_out": len(findings.of("error")),
                "listed": findings.as_dicts()[:_LISTED_FINDINGS],
            },
            "shards": [shard.as_dict() for shard in shards],
        }
        (folder / MANIFEST).write_text(json.dumps(manifest, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        (folder / "README.md").write_text(render_card(manifest, format), encoding="utf-8")
    return BuildResult(out, manifest, findings)


def _check_apart(source: str, out: Path) -> None:
    """Refuse to build over the release itself: replacing `out` would delete it."""
    release, place = Path(source).expanduser(), out.resolve()
    if source != "mini" and release.exists() and release.resolve().is_relative_to(place):
        raise UsageError(f"{out} holds the release {source} itself, which is never replaced. Give another --out.")


def _encoded(
    spec: TableSpec, split: str, release: Release, questions: Questions, files: ReleaseFiles, mapper: Mapper
) -> Iterator[Encoded]:
    if spec.is_pairs:
        sizes = {image_id: record.size for image_id, record in release.images.items()}
        return mapper(PairEncoder(spec.name, sizes), chunks_of(pairs_of(release, spec, split), batch_rows(spec)))
    if spec.name == "lvlm":
        return encode_rows(spec, release_rows(release, questions, split), release.images)
    return encode_rows(spec, _rows(spec, release, files), release.images)


def _rows(spec: TableSpec, release: Release, files: ReleaseFiles) -> Iterator[Row]:
    if spec.name == "images":
        yield from progress(image_rows(release, files), "Writing images", total=len(release.images), unit="image")
    elif spec.name == "keypoints":
        yield from keypoint_rows(release)
    elif spec.name == "taxonomy":
        yield from release.taxonomy.to_rows()
    elif spec.name == "descriptions":
        yield from release.descriptions
    else:
        yield from ({"path": path, "content": content} for path, content in release.side_files)


def _hashed(parts: Iterator[Encoded], digest: ContentHash) -> Iterator[pa.RecordBatch]:
    """Pass batches on, hashing their rows."""
    for part in parts:
        digest.add_text(part.text)
        yield part.batch


def _counts(release: Release, shards: list[WrittenShard]) -> dict[str, Any]:
    rows: dict[str, dict[str, int]] = {}
    for shard in shards:
        splits = rows.setdefault(shard.config, {})
        splits[shard.split] = splits.get(shard.split, 0) + shard.rows
    categories = release.taxonomy.categories()
    images_of = [record.category for record in release.images.values()]
    return {
        "images": len(release.images),
        "image_bytes": sum(record.byte_count for record in release.images.values()),
        "categories": len(set(images_of)),
        "keypoints": sum(len(record.points) for record in release.images.values()),
        "keypoint_names": len({name for c in categories for name in release.taxonomy.keypoints(c)}),
        "concepts": len(release.taxonomy.concepts()),
        "exif_rotated": sum(record.exif_orientation != 1 for record in release.images.values()),
        "rows": rows,
    }
