"""`soco_datasets.load_dataset` and `soco_datasets.load_metric`: loading without any hook in another library."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from .registration import dataset_hash, metric_script

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict, IterableDataset, IterableDatasetDict
    from evaluate import EvaluationModule


def load_dataset(
    config: str,
    split: Any = None,
    data_dir: str | os.PathLike[str] | None = None,
    *,
    streaming: bool = False,
    cache_dir: str | os.PathLike[str] | None = None,
    **options: Any,
) -> Dataset | DatasetDict | IterableDataset | IterableDatasetDict:
    """The same as `datasets.load_dataset("soco", config, ...)`.

    Args:
        config: such as "soc", "cross_cc", "images" or "lvlm"; see `soco_datasets.CONFIGS`.
        split: such as "test", "all", "test[:10%]" or "train+test"; a list of them gives a list; None gives all splits.
        data_dir: a folder made by `soco build`, "mini" for the built-in set, or a published one, "ORG/NAME"; None looks
            where `soco_datasets.resolve_data` does.
        streaming: give something to iterate over; images of a published folder are fetched one by one.
        cache_dir: where `datasets` caches (default: its own, in HF_HOME).
        options: `keep_in_memory` and `verification_mode` as of `datasets.load_dataset`; `revision` of a published
            folder; `min_shared` keypoints of pairs of "all" (default 3); `marker` and `marker_color` of "lvlm".

    Returns:
        One split as a `Dataset`, all of them as a `DatasetDict`; with `streaming` their iterable forms.

    Raises:
        UsageError: an unknown config, split or option.
        DataNotFoundError: there is no data; the message names the ways to get some.
        DatasetFolderError: the folder is damaged.
    """
    from datasets.load import DatasetModule, get_dataset_builder_class

    in_memory = options.pop("keep_in_memory", None)
    verification = options.pop("verification_mode", None)
    module = DatasetModule("soco_datasets.loading_script.soco", dataset_hash(), builder_kwargs={})
    builder = get_dataset_builder_class(module)(
        cache_dir=None if cache_dir is None else os.fspath(cache_dir),
        config_name=config,
        data_dir=None if data_dir is None else os.fspath(data_dir),
        hash=module.hash,
        **options,
    )
    if streaming:
        return builder.as_streaming_dataset(split=split)
    builder.download_and_prepare(verification_mode=verification)
    return builder.as_dataset(split=split, in_memory=bool(in_memory))


def load_metric(**options: Any) -> EvaluationModule:
    """The same as `evaluate.load("soco_pck")`: PCK over pair rows and predicted points.

    Args:
        options: of `evaluate.load`, such as `keep_in_memory`, `experiment_id` and `cache_dir`.
    """
    import evaluate

    return evaluate.load(str(metric_script()), **options)
