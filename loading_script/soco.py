"""`load_dataset("soco", CONFIG)`: a thin dataset builder over `soco_datasets.data`. Nothing is copied into a cache.

`datasets` finds this module through `soco_datasets.loading.registration`. It patches `open` and `os` of a builder's
module for streaming, so all reading of files is left to the modules this one calls.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import datasets
from datasets.splits import SplitDict, SplitInfo
from datasets.utils.info_utils import VerificationMode

from soco_datasets import __version__
from soco_datasets.benchmarks.base import SOCO, find_benchmark
from soco_datasets.benchmarks.resolve import find_data, resolve_data
from soco_datasets.data.folder import DatasetFolder, open_folder
from soco_datasets.data.questions.markers import MarkerStyle
from soco_datasets.data.schema import CONFIGS
from soco_datasets.errors import DataNotFoundError, SocoError, UsageError, unknown_name
from soco_datasets.loading.dataset import SocoDatasetDict
from soco_datasets.loading.feature_types import joined_features, register_features, value_features
from soco_datasets.loading.splits import ALL, LVLM_CONFIG, SplitOptions, load_split, split_names, split_rows
from soco_datasets.loading.stream import adopt_stream

if TYPE_CHECKING:  # `datasets` would patch this name too
    import pyarrow as pa

_VERSION = ".".join([*re.findall(r"\d+", __version__), "0", "0", "0"][:3])
_OPTIONS = ("data_dir", "min_shared", "revision", "marker", "marker_color")
_STYLE_FIELDS = {"marker": "shape", "marker_color": "color"}
_STREAM_SHARDS = 64  # at most this many DataLoader workers share a stream


@dataclass
class SocoConfig(datasets.BuilderConfig):
    """A config of SOCO.

    Attributes:
        min_shared: pairs of the split `all` have at least this many common keypoints.
        revision: commit, tag or branch of the Hub release, when that is where the data comes from.
        marker: what is drawn into the images of `lvlm`: arrow, circle, cross or square.
        marker_color: red, blue, yellow, purple or green.
    """

    min_shared: int = 3
    revision: str | None = None
    marker: str = "arrow"
    marker_color: str = "red"


class Soco(datasets.ArrowBasedBuilder):
    """Builder of the configs of `schema.CONFIGS`; splits are those of the folder, and `all` for pairs."""

    BUILDER_CONFIG_CLASS = SocoConfig
    BUILDER_CONFIGS = [  # noqa: RUF012 - a class attribute is what `datasets` reads
        SocoConfig(name=spec.name, version=datasets.Version(_VERSION), description=spec.about)
        for spec in CONFIGS.values()
    ]

    def __init__(
        self, *args: Any, features: datasets.Features | None = None, data_files: Any = None, **kwargs: Any
    ) -> None:
        if data_files is not None:
            raise UsageError("load_dataset('soco') takes data_dir=FOLDER, not data_files=.")
        if features is not None:
            raise UsageError("load_dataset('soco') has fixed features; cast the loaded dataset with .cast(features).")
        register_features()  # again, where `unregister` has removed them
        try:
            super().__init__(*args, **kwargs)
        except OSError as error:
            if isinstance(error, SocoError):
                raise
            raise SocoError(
                f"The cache of `datasets` cannot be written ({error}). Set the environment variable HF_HOME, or give "
                "cache_dir=, to name a folder that you can write to."
            ) from error
        self._folder: DatasetFolder | None = None
        found = find_data(self.config.data_dir, self.config.revision)
        if found is not None:
            self._use(open_folder(found))

    def _create_builder_config(
        self,
        config_name: str | None = None,
        custom_features: datasets.Features | None = None,
        config_id: str | None = None,
        **config_kwargs: Any,
    ) -> tuple[SocoConfig, str]:
        if config_name is None:
            raise UsageError(
                "load_dataset('soco', CONFIG) needs a config: "
                + "; ".join(f"'{spec.name}' ({spec.about})" for spec in CONFIGS.values())
            )
        folder = _folder_of(config_kwargs.get("data_dir"), config_kwargs.get("revision"))
        specs, owner = (CONFIGS, SOCO) if folder is None else (folder.specs, folder.benchmark)
        if config_name not in specs:
            known = find_benchmark(owner)
            raise unknown_name(f"config of {known.title if known else owner}", config_name, specs)
        for name in config_kwargs:
            if name not in _OPTIONS:
                raise unknown_name("option of load_dataset('soco')", name, _OPTIONS)
        min_shared = config_kwargs.get("min_shared", 3)
        if type(min_shared) is not int or min_shared < 1:
            raise UsageError(f"min_shared must be a whole number of at least 1, got {min_shared!r}.")
        if "min_shared" in config_kwargs and not specs[config_name].has_all:
            raise UsageError(f"min_shared is about the split 'all', which the config '{config_name}' does not have.")
        if given := [name for name in _STYLE_FIELDS if name in config_kwargs]:
            if config_name != LVLM_CONFIG:
                raise UsageError(f"{given[0]} is about the config '{LVLM_CONFIG}', not '{config_name}'.")
            MarkerStyle(**{_STYLE_FIELDS[name]: config_kwargs[name] for name in given})  # raises for unknown names
        config: tuple[SocoConfig, str] = super()._create_builder_config(
            config_name=config_name, custom_features=custom_features, config_id=config_id, **config_kwargs
        )
        return config

    def _info(self) -> datasets.DatasetInfo:
        folder = _folder_of(self.config.data_dir, self.config.revision)
        specs = CONFIGS if folder is None else folder.specs
        benchmark = find_benchmark(SOCO if folder is None else folder.benchmark)
        spec = specs[self.config.name]
        return datasets.DatasetInfo(
            description=f"{benchmark.title}, {benchmark.about} A row is {spec.about}." if benchmark else spec.about,
            citation=benchmark.citation if benchmark else "",
            homepage=benchmark.homepage if benchmark else "",
            license=benchmark.license if benchmark else "",
            features=joined_features(spec.name, specs),
        )

    def _use(self, folder: DatasetFolder) -> None:
        name = self.config.name
        names = split_names(folder, name)
        if not names:
            raise DataNotFoundError(
                f"{folder.path} has no config '{name}': its release brings nothing for it. "
                f"It has: {', '.join(folder.configs)}."
            )
        rows = {split: split_rows(folder, name, split, self.config.min_shared) for split in names}
        self._folder = folder
        self.info.splits = SplitDict.from_split_dict(
            [SplitInfo(name=split, num_examples=n) for split, n in rows.items()], dataset_name=self.dataset_name
        )

    def _opened(self, rebuild: bool = False, images: bool = True) -> DatasetFolder:
        if self._folder is None or rebuild:
            path = resolve_data(self.config.data_dir, revision=self.config.revision, rebuild=rebuild, images=images)
            self._use(open_folder(path))
        assert self._folder is not None  # _use has set it
        return self._folder

    def download_and_prepare(
        self,
        output_dir: str | None = None,
        download_config: Any = None,
        download_mode: Any = None,
        verification_mode: Any = None,
        **kwargs: Any,
    ) -> None:
        """Find the data, and build it where nothing is built yet. With `output_dir`, also write plain shards there."""
        mode = datasets.DownloadMode(download_mode or datasets.DownloadMode.REUSE_DATASET_IF_EXISTS)
        folder = self._opened(rebuild=mode == datasets.DownloadMode.FORCE_REDOWNLOAD)
        if verification_mode is not None and VerificationMode(verification_mode) == VerificationMode.ALL_CHECKS:
            folder.verify()
        if output_dir is not None:
            splits = self.info.splits
            checks = VerificationMode.NO_CHECKS  # they compare with all splits, `all` included, which is not written
            super().download_and_prepare(output_dir, download_config, mode, verification_mode=checks, **kwargs)
            self.info.splits = splits

    def _build_single_dataset(
        self, split: str | datasets.ReadInstruction | datasets.Split, in_memory: bool = False
    ) -> datasets.Dataset:
        """A split, a slice of one or a sum of them; `all` is a split here, not the union of the others."""
        folder = self._opened()
        known = split_names(folder, self.config.name)
        instruction = split if isinstance(split, datasets.ReadInstruction) else _instruction(str(split))
        names = list(dict.fromkeys(part.splitname for part in instruction._relative_instructions))
        for name in names:
            if name not in known:
                raise unknown_name(f"split of config '{self.config.name}'", name, known)
        if ALL in names and len(names) > 1:
            raise UsageError(f"The split 'all' holds the pairs of every other split already: {split!s} is not a split.")
        whole = {name: self._whole_split(folder, name, in_memory) for name in names}
        parts = []
        for part in instruction.to_absolute({name: len(dataset) for name, dataset in whole.items()}):
            dataset = whole[part.splitname]
            is_all = (part.from_, part.to) == (0, len(dataset))
            parts.append(dataset if is_all else dataset.select(range(part.from_, part.to)))
        joined = parts[0] if len(parts) == 1 else datasets.concatenate_datasets(parts)
        joined._split = datasets.NamedSplit(str(split))
        return joined

    def _whole_split(self, folder: DatasetFolder, split: str, in_memory: bool) -> datasets.Dataset:
        return load_split(
            folder,
            self.config.name,
            split,
            cache=self._index_dir(),
            info=self.info,
            options=SplitOptions(self.config.min_shared, in_memory, (self.config.marker, self.config.marker_color)),
        )

    def _index_dir(self) -> Path:
        """Where index files and results of `map` go: in the cache, but not where `datasets` looks for prepared data.

        It takes any folder `CACHE/soco/CONFIG/VERSION/HASH` for a dataset called "soco" that it has prepared itself.
        """
        return Path(self._cache_dir_root) / "soco-datasets" / f"{self.config.name}-{self.hash[:16]}"

    def as_dataset(
        self, split: Any = None, in_memory: bool = False
    ) -> datasets.Dataset | datasets.DatasetDict | dict[str, datasets.Dataset] | list[datasets.Dataset]:
        """A `Dataset` for a split, a `DatasetDict` of all splits for None; see `datasets.DatasetBuilder.as_dataset`."""
        if split is None:
            split = {name: name for name in split_names(self._opened(), self.config.name)}
        built = datasets.utils.py_utils.map_nested(
            lambda one: self._build_single_dataset(one, in_memory), split, map_tuple=True, disable_tqdm=True
        )
        return SocoDatasetDict(built) if isinstance(built, dict) else built

    def as_streaming_dataset(
        self, split: Any = None, base_path: str | None = None
    ) -> datasets.IterableDataset | datasets.IterableDatasetDict:
        """The same as `as_dataset`, to iterate over; rows are derived and images decoded as they come.

        From a published folder on the Hub, an image is fetched by itself when a row shows it.
        """
        self._opened(images=False)
        built = self.as_dataset(split)
        streams = datasets.utils.py_utils.map_nested(_stream, built, map_tuple=True, disable_tqdm=True)
        return datasets.IterableDatasetDict(streams) if isinstance(streams, dict) else streams

    def _split_generators(self, dl_manager: Any) -> list[datasets.SplitGenerator]:
        """Splits to write to an `output_dir` (`datasets` allows no `all` there); before there is data, all names."""
        if self._folder is None:
            spec = CONFIGS[self.config.name]
            names = [*spec.splits, ALL] if spec.has_all else list(spec.splits)
        else:
            names = [name for name in split_names(self._folder, self.config.name) if name != ALL]
        return [datasets.SplitGenerator(name=name, gen_kwargs={"split": name}) for name in names]

    def _generate_tables(self, split: str) -> Iterator[tuple[int, pa.Table]]:
        dataset = self._build_single_dataset(split).with_format("arrow")
        yield from enumerate(dataset.iter(batch_size=1000))


def _folder_of(data_dir: str | None, revision: str | None) -> DatasetFolder | None:
    """The built folder that is there without building or downloading, None where there is none."""
    found = find_data(data_dir, revision)
    return None if found is None else open_folder(found)


def _instruction(split: str) -> datasets.ReadInstruction:
    try:
        return datasets.ReadInstruction.from_spec(split)
    except ValueError as error:
        raise UsageError(f"{error}. Give a split such as 'test', 'test[:10%]' or 'train+test'.") from None


def _stream(dataset: datasets.Dataset) -> datasets.IterableDataset:
    features = value_features(dataset.features)
    if len(dataset) == 0:
        return datasets.IterableDataset.from_generator(_nothing, features=features, split=dataset.split)
    stream = dataset.to_iterable_dataset(num_shards=min(_STREAM_SHARDS, len(dataset)))
    info = dataset.info.copy()
    info.features = features
    return adopt_stream(datasets.IterableDataset(stream._ex_iterable, info=info, split=dataset.split))


def _nothing() -> Iterator[dict[str, Any]]:
    yield from ()
