"""The identity of a pair list: two copies of a benchmark may have different pairs, which are never compared as one."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

from ..data.checked_release import Release
from ..data.pair_table import PairTable
from ..data.release_types import PairRecord
from ..data.schema import TableSpec
from .tables import pairs_of


def pair_list_hash(pairs: PairTable | Iterable[PairRecord]) -> str:
    """sha256 of the ordered (group, source image, target image) of a list; the order of the list does not matter."""
    pairs = pairs.records() if isinstance(pairs, PairTable) else pairs
    lines = sorted(f"{pair.group}\t{pair.source.image_id}\t{pair.target.image_id}\n" for pair in pairs)
    return hashlib.sha256("".join(lines).encode("utf-8", errors="surrogatepass")).hexdigest()


def pair_list_hashes(configs: Mapping[str, TableSpec], release: Release) -> dict[str, str]:
    """ "config/split" -> hash of its pair list, for every list that has pairs."""
    return {
        f"{spec.name}/{split}": pair_list_hash(pairs)
        for spec in configs.values()
        if spec.is_pairs
        for split in spec.splits
        if (pairs := pairs_of(release, spec, split))
    }
