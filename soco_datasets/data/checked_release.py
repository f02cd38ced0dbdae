"""A whole release once read and checked: what a benchmark's reader gives, and what the tables are made of."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field

from .pair_table import PairTable
from .release_types import ImageRecord, PairRecord
from .taxonomy import Taxonomy


@dataclass
class Release:
    """A whole release, checked.

    Attributes:
        origin: kind, id and revision of the source.
        images: by image_id, in dataset order (category, then natural order of the file name).
        pairs: per list a table or a list, in order of their path: for SOCO "intra",
            "cross", "probe_train" and "probe_test"; in general
            "<pairs>" or "<pairs>_<split>", where `TableSpec.pairs` names the first part.
        read_file: the bytes of an image by its `ImageRecord.file`; works as long as the reader's context is open.
        taxonomy, descriptions: rows of those configs.
        side_files: (path, text) of the release's own side files, verbatim.
        supercategories: of categories without keypoints, where the benchmark knows them.
        listed: lists that the source has files of, usable or not, for a benchmark that draws those it has none of.
        facts: what else the manifest states about the source (JSON values), such as overlaps between its lists.
    """

    origin: dict[str, str | None]
    images: dict[str, ImageRecord]
    pairs: MutableMapping[str, PairTable | list[PairRecord]]
    taxonomy: Taxonomy
    read_file: Callable[[str], bytes]
    descriptions: list[dict[str, object]] = field(default_factory=list)
    side_files: Sequence[tuple[str, str]] = ()
    supercategories: Mapping[str, str] = field(default_factory=dict)
    listed: Collection[str] = ()
    facts: Mapping[str, object] = field(default_factory=dict)

    def supercategory(self, category: str) -> str | None:
        """The supercategory of a category, also of one without keypoints; None where it is not known."""
        return self.taxonomy.supercategory(category) or self.supercategories.get(category)
