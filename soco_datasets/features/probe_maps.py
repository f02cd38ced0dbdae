"""Raw feature maps of many images, each decoded and forwarded once, kept for as often as they are read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from ..files import progress
from .extractor import DenseFeatureExtractor, Pixels
from .store import FeatureStore

if TYPE_CHECKING:
    from ..data.images import ImageStore


def fill_store(
    store: FeatureStore,
    extractor: DenseFeatureExtractor,
    images: ImageStore,
    image_ids: Sequence[str],
    workers: int = 2,
) -> None:
    """Put the raw map of each image at its position in `image_ids`; the next batch is decoded during a forward.

    Args:
        store: room for `len(image_ids)` maps of the extractor.
        extractor: the backbone at its image size.
        images: of a dataset folder.
        image_ids: distinct ids.
        workers: decoding threads.

    Raises:
        DatasetFolderError: an image does not decode.
        BackboneError: features that are not finite, or of another shape than promised.
    """
    position = 0
    with ThreadPoolExecutor(max_workers=max(1, workers)) as pool:
        batches = _decoded(pool, extractor, images, image_ids)
        steps = -(-len(image_ids) // extractor.batch_size)
        for names, pixels in progress(batches, "Extracting features", total=steps, unit="batch"):
            for feature_map in extractor.extract_pixels(pixels, names):
                store.put(position, feature_map)
                position += 1


def _decoded(
    pool: ThreadPoolExecutor, extractor: DenseFeatureExtractor, images: ImageStore, image_ids: Sequence[str]
) -> Iterator[tuple[Sequence[str], list[Pixels]]]:
    """(ids, pixels) of each batch, one batch ahead."""

    def load(image_id: str) -> Pixels:
        return extractor.prepare(images.decode(image_id))

    size = extractor.batch_size
    ahead: tuple[Sequence[str], list[Future[Pixels]]] | None = None
    for start in range(0, len(image_ids), size):
        names = image_ids[start : start + size]
        current = (names, [pool.submit(load, name) for name in names])
        if ahead is not None:
            yield ahead[0], [future.result() for future in ahead[1]]
        ahead = current
    if ahead is not None:
        yield ahead[0], [future.result() for future in ahead[1]]
