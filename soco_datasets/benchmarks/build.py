"""`soco build`: a benchmark's files to a dataset folder that plain `datasets` loads. Atomic and repeatable."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from .. import __version__
from ..data.checked_release import Release
from ..data.diagnostics import BuildReport
from ..data.folder import DatasetFolder
from ..data.manifest import FORMAT_NAME, MANIFEST, MANIFEST_VERSION
from ..data.pair_table import PairTable
from ..data.questions.generation import Questions, release_questions, release_rows
from ..data.release_types import ImageView, PairRecord
from ..data.schema import TableSpec
from ..data.shards import (
    DIGEST_LENGTH,
    SHARD_FORMATS,
    ContentHash,
    Format,
    WrittenShard,
    batch_of,
    batch_rows,
    row_text,
    write_batches,
)
from ..errors import ReleaseError, UsageError, unknown_name
from ..utils.chunks import Mapper, chunks_of
from ..utils.files import atomic_folder, explain_write_errors, parse_size
from ..utils.paths import local_path, real_path
from ..utils.private_folders import make_private
from ..utils.process_state import freed_memory_returned, rare_collections
from ..utils.progress import progress
from ..utils.workers import process_mapper
from .base import SOCO, Benchmark, BuildOptions, recognize
from .card import render_card
from .encode import Encoded, PairEncoder, encode_rows
from .locations import cached_folder
from .pair_lists import pair_list_hashes
from .preview import is_shown, write_preview
from .soco.source import HUB_RELEASE
from .tables import Row, image_rows, keypoint_rows, pairs_of, stored_configs
from .view_columns import ViewColumns

_LISTED_FINDINGS = 1000
_SHOWN_FINDINGS = 5


@dataclass(frozen=True)
class BuildResult:
    """What a build made: the folder, its manifest, and all diagnostics."""

    path: Path
    manifest: dict[str, Any]
    findings: BuildReport


@freed_memory_returned()
@rare_collections()
def build_dataset(
    source: str | Path = HUB_RELEASE,
    out: Path | str | None = None,
    *,
    options: BuildOptions | None = None,
    mapper: Mapper | None = None,
) -> BuildResult:
    """Build a dataset folder (design: docs/reference/data.md).

    Args:
        source: "mini", a folder of a known benchmark as it is after downloading and unpacking, or a Hub dataset id.
        out: folder to make; None = the cache, where `load_dataset("soco", ...)` looks.
        options: how to read and write; None = the defaults.
        mapper: applies the work on images and pair files chunk by chunk: `map` does it in this process, a
            `distributed.mapper.ray_mapper` on a cluster; None = processes of this machine, see
            `utils.workers.process_mapper`. The folder is the same to the last byte.

    Returns:
        The folder and what was found.

    Raises:
        ReleaseError: the source has errors; all are in the message and nothing was written.
        DataNotFoundError: there is no data at `source`.
        UsageError: a bad argument, a layout that no benchmark or more than one has, or `out` is in use.
        SocoError: `out` cannot be written.
    """
    source, options = str(source), options or BuildOptions()
    if options.format not in SHARD_FORMATS:
        raise unknown_name("format", options.format, SHARD_FORMATS)
    shard_size = parse_size(options.max_shard_size)
    benchmark = recognize(source, options.benchmark)
    if out is None:
        out = cached_folder(source if benchmark.name == SOCO else benchmark.name)
        with explain_write_errors(out):
            make_private(out.parent)
    out = local_path(out)
    _check_apart(source, out)
    findings = BuildReport()
    with ExitStack() as stack:
        folder = stack.enter_context(atomic_folder(out, options.overwrite))
        with process_mapper() if mapper is None else nullcontext(mapper) as given:
            release = stack.enter_context(benchmark.reader(source, options, findings, given))
        if not options.skip_bad or options.strict:
            findings.check(source, options.strict)
        _check_images(source, release, findings)
        origins = benchmark.settle_pairs(release, options)
        stated = {
            "format": FORMAT_NAME,
            "format_version": MANIFEST_VERSION,
            "toolkit_version": __version__,
            **_benchmark_fields(benchmark, release),
            "source": release.origin,
        }
        draw = partial(_draw, folder, stated, options.format) if options.preview else None
        written = _TableWriter(folder, release, options.format, shard_size).write(benchmark, draw)
        shards = written.shards
        manifest = {
            **stated,
            "content_hash": written.content_hash,
            "pairs": origins,
            "lvlm": written.questions,
            "counts": _counts(release, shards),
            "findings": _listed(findings),
            "shards": [shard.as_dict() for shard in shards],
        }
        if written.preview is not None:
            manifest["preview"] = written.preview.as_dict()  # apart from the shards: no part of the data
        _write_manifest(folder, manifest)
        (folder / "README.md").write_text(render_card(manifest, options.format), encoding="utf-8")
    return BuildResult(out, manifest, findings)


def _draw(folder: Path, stated: dict[str, Any], format: Format, shown: list[WrittenShard]) -> WrittenShard | None:
    """The preview, of a folder that holds these tables so far."""
    _write_manifest(folder, {**stated, "content_hash": "", "shards": [shard.as_dict() for shard in shown]})
    return write_preview(DatasetFolder(folder), format)


def _check_images(source: str, release: Release, findings: BuildReport) -> None:
    if not release.images:
        first = "".join(f"\n  {item}" for item in list(findings)[:_SHOWN_FINDINGS])
        raise ReleaseError(f"{source}: no usable image is left, nothing to build.{first}")


@dataclass(frozen=True)
class _Written:
    shards: list[WrittenShard]
    content_hash: str
    questions: dict[str, Any]
    preview: WrittenShard | None


_Draw = Callable[[list[WrittenShard]], WrittenShard | None]


class _TableWriter:
    """Writes all tables of a release: images, questions, the preview in a thread of their own, beside the others."""

    def __init__(self, folder: Path, release: Release, format: Format, shard_size: int) -> None:
        self._release = release
        self._pair_encoders = _PairEncoders(release)
        self._to = folder, format, shard_size
        self._content, self._question_hash = ContentHash(), ContentHash()

    def write(self, benchmark: Benchmark, draw: _Draw | None) -> _Written:
        """All of them, in the order of the benchmark's configs; `draw` the preview once what it shows is written."""
        shards: dict[tuple[str, str], Future[list[WrittenShard]] | list[WrittenShard]] = {}
        drawing: Future[WrittenShard | None] | None = None

        def of(tables: Iterable[tuple[TableSpec, str]]) -> list[WrittenShard]:
            found = [shards[spec.name, split] for spec, split in tables]
            return [shard for part in found for shard in (part.result() if isinstance(part, Future) else part)]

        with ThreadPoolExecutor(1) as beside:
            images = benchmark.configs["images"]
            work = self._images(images), self._digests()
            shards[images.name, "test"] = beside.submit(self._write, images, "test", *work)
            questions = release_questions(self._release) if benchmark.has_questions else Questions([])
            tables = stored_configs(self._release, benchmark.configs, len(questions.questions))
            for spec, split in tables:
                if spec.name == "lvlm":
                    rows = release_rows(self._release, questions, split)
                    batches = _hashed(encode_rows(spec, rows), self._question_hash)
                    shards[spec.name, split] = beside.submit(self._write, spec, split, batches)
            shown = [(spec, split) for spec, split in tables if is_shown(spec, split)]
            for spec, split in progress(tables, "Writing tables", unit="table"):
                if spec.name == "lvlm":  # other wording does not make it other data
                    continue
                self._content.start(spec.name, split)
                if spec is images:
                    self._content.add_text(b"".join(map(row_text, image_rows(self._release, hashed=True))))
                else:
                    batches = _hashed(self._encoded(spec, split), self._content)
                    shards[spec.name, split] = self._write(spec, split, batches)
                if draw and shown and not drawing and all((one.name, part) in shards for one, part in shown):
                    drawing = beside.submit(lambda draw: draw(of([(images, "test"), *shown])), draw)
            written, preview = of(tables), drawing.result() if drawing else None
        told: dict[str, Any] = {"questions": len(questions.questions), "passed_over": questions.passed_over}
        told["hash"] = self._question_hash.hexdigest()
        return _Written(written, self._content.hexdigest(), told, preview)

    def _write(
        self, spec: TableSpec, split: str, batches: Iterator[pa.RecordBatch], digests: Iterator[str] | None = None
    ) -> list[WrittenShard]:
        folder, format, shard_size = self._to
        return write_batches(folder, spec, split, batches, format, shard_size, digests)

    def _images(self, spec: TableSpec) -> Iterator[pa.RecordBatch]:
        return (batch_of(spec, chunk) for chunk in chunks_of(image_rows(self._release, False), batch_rows(spec)))

    def _digests(self) -> Iterator[str]:
        return (record.sha256[:DIGEST_LENGTH] for record in self._release.images.values())

    def _encoded(self, spec: TableSpec, split: str) -> Iterator[Encoded]:
        if spec.is_pairs:
            return self._pair_encoders.batches(spec, pairs_of(self._release, spec, split))
        return encode_rows(spec, _rows(spec, self._release))


def _listed(findings: BuildReport) -> dict[str, Any]:
    return {
        "counts": findings.counts(),
        "left_out": len(findings.blamed),
        "listed": findings.as_dicts()[:_LISTED_FINDINGS],
    }


def _write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _check_apart(source: str, out: Path) -> None:
    """Refuse to build over the source itself: replacing `out` would delete it."""
    release, place = local_path(source), real_path(out)
    if source != "mini" and release.exists() and real_path(release).is_relative_to(place):
        raise UsageError(f"{out} holds the release {source} itself, which is never replaced. Give another --out.")


def _benchmark_fields(benchmark: Benchmark, release: Release) -> dict[str, Any]:
    """What the manifest says of a benchmark other than SOCO: which, its tables, its pair lists, facts of the source."""
    if benchmark.name == SOCO:
        return {}
    return {
        "benchmark": benchmark.name,
        "tables": [spec.to_dict() for spec in benchmark.configs.values()],
        "pair_lists": pair_list_hashes(benchmark.configs, release),
        "facts": dict(release.facts),
    }


class _PairEncoders:
    """Encodes pair lists; what they say of images is laid out once for all lists of the same views."""

    def __init__(self, release: Release) -> None:
        self._sizes = {image_id: record.size for image_id, record in release.images.items()}
        self._views: tuple[list[ImageView], ViewColumns] | None = None

    def batches(self, spec: TableSpec, pairs: PairTable | list[PairRecord]) -> Iterator[Encoded]:
        """The rows of a pair config."""
        table = pairs if isinstance(pairs, PairTable) else PairTable.of(pairs)
        if self._views is None or self._views[0] is not table.views:
            self._views = table.views, ViewColumns(table.views, self._sizes)
        return map(PairEncoder(spec, self._views[1]), table.batches(batch_rows(spec)))


def _rows(spec: TableSpec, release: Release) -> Iterator[Row]:
    if spec.name == "keypoints":
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
