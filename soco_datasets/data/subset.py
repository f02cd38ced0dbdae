"""A seeded part of a dataset folder's test pairs: for evaluations that must take seconds, such as during training."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ..errors import UsageError
from .folder import DatasetFolder

_COLUMNS = ("pair_group", "source_image_id", "target_image_id")


class FolderSubset(DatasetFolder):
    """A dataset folder with some of its test pairs, as evenly over the categories as there are pairs.

    The draw depends on the seed and the pairs alone: it is the same on every machine, and pairs of the same two images
    are drawn alike in every config. It has a content hash of its own, so its scores are never taken for the folder's.

    Args:
        folder: where the pairs come from.
        configs: pair configs to draw from; None = all. The others are absent.
        pairs: pairs of each config; None = no limit.
        images: images of all these pairs together, which is what an evaluation costs; None = no limit.
        seed: any integer.

    Attributes:
        label: the draw in a word for names of files, such as "pairs64".

    Raises:
        UsageError: no limit, one below its least value (1 pair, 2 images), a config without pairs.
    """

    def __init__(
        self,
        folder: DatasetFolder,
        configs: Sequence[str] | None = None,
        *,
        pairs: int | None = None,
        images: int | None = None,
        seed: int = 0,
    ) -> None:
        for what, number, least in (("pairs", pairs, 1), ("images", images, 2)):
            if number is not None and (not isinstance(number, int) or isinstance(number, bool) or number < least):
                raise UsageError(f"{what} must be a whole number of at least {least}, got {number!r}.")
        if pairs is None and images is None:
            raise UsageError("Give the size of the subset: pairs=64 or images=50.")
        self.__dict__.update(folder.__dict__)
        stored = [name for name in folder.configs if "pair_group" in folder.specs[name].features]
        stored = [name for name in stored if "test" in folder.splits(name)]
        chosen = stored if configs is None else list(dict.fromkeys(configs))
        for name in chosen:
            if name not in stored:
                raise UsageError(f"{folder.path} has no test pairs of {name!r}. Its pair configs: {', '.join(stored)}.")
        self._made_from = folder, chosen, pairs, images, seed
        dropped = {name for name in stored if name not in chosen}
        self._shards = {key: shards for key, shards in folder._shards.items() if key[0] not in dropped}
        self._drawn = _draw({name: folder.table(name, "test", _COLUMNS) for name in chosen}, pairs, images, seed)
        self.manifest = self._own_manifest(folder)
        limits = (("pairs", pairs), ("images", images), ("seed", seed or None))
        self.label = "-".join(f"{what}{number}" for what, number in limits if number is not None)

    def __reduce__(self) -> tuple[Callable[..., DatasetFolder], tuple[Any, ...]]:
        return _again, self._made_from

    def __repr__(self) -> str:
        counts = ", ".join(f"{name} {len(rows):,}" for name, rows in self._drawn.items())
        return f"FolderSubset({str(self.path)!r}, pairs: {counts}, content_hash={self.content_hash[:12]!r})"

    def rows(self, config: str, split: str) -> int:
        """See `DatasetFolder.rows`."""
        return len(self._drawn[config]) if self._is_drawn(config, split) else super().rows(config, split)

    def table(self, config: str, split: str = "test", columns: Sequence[str] | None = None) -> pa.Table:
        """See `DatasetFolder.table`."""
        whole = super().table(config, split, columns)
        return whole.take(pa.array(self._drawn[config])) if self._is_drawn(config, split) else whole

    def _is_drawn(self, config: str, split: str) -> bool:
        return split == "test" and config in self._drawn

    def _own_manifest(self, folder: DatasetFolder) -> dict[str, Any]:
        """The folder's manifest under another content hash, id and hash of each pair list."""
        drawn = {name: rows.tolist() for name, rows in self._drawn.items()}
        identity = json.dumps([folder.content_hash, drawn]).encode()
        own = hashlib.sha256(b"subset " + identity).hexdigest()
        manifest: dict[str, Any] = {**folder.manifest, "content_hash": own}
        manifest["source"] = {**manifest["source"], "id": f"{manifest['source']['id']} (subset)"}
        if "pair_lists" in manifest:
            lists = dict(manifest["pair_lists"])
            manifest["pair_lists"] = {
                name: hashlib.sha256(f"{value} {own}".encode()).hexdigest() if name.endswith("/test") else value
                for name, value in lists.items()
            }
        return manifest


def _again(
    folder: DatasetFolder, configs: Sequence[str], pairs: int | None, images: int | None, seed: int
) -> DatasetFolder:
    return FolderSubset(folder, configs, pairs=pairs, images=images, seed=seed)


def _draw(
    tables: Mapping[str, pa.Table], pairs: int | None, images: int | None, seed: int
) -> dict[str, NDArray[np.int64]]:
    """Config -> the rows that are drawn, ascending."""
    names = {config: [column.to_pylist() for column in table.columns] for config, table in tables.items()}
    orders = [[(config, row) for row in _order(lists[0], lists[1], lists[2], seed)] for config, lists in names.items()]
    taken: dict[str, list[int]] = {config: [] for config in tables}
    shown: set[str] = set()
    for config, row in filter(None, itertools.chain.from_iterable(itertools.zip_longest(*orders))):
        _, sources, targets = names[config]
        both = {sources[row], targets[row]}
        if (pairs is None or len(taken[config]) < pairs) and (images is None or len(shown | both) <= images):
            taken[config].append(row)
            shown |= both
    return {config: np.array(sorted(rows), dtype=np.int64) for config, rows in taken.items()}


def _order(groups: Sequence[str], sources: Sequence[str], targets: Sequence[str], seed: int) -> Iterator[int]:
    """All rows: one of each category by turns, within a category by the hash of seed and images."""

    def rank(row: int) -> bytes:
        return hashlib.sha256(json.dumps([seed, sources[row], targets[row]]).encode()).digest()

    by_group: dict[str, list[int]] = {}
    for row in sorted(range(len(groups)), key=rank):
        by_group.setdefault(groups[row], []).append(row)
    turns = itertools.zip_longest(*(by_group[name] for name in sorted(by_group)))
    return (row for turn in turns for row in turn if row is not None)
