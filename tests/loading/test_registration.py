"""How the names resolve, in processes of their own: the order of imports and the current folder matter here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.tiny_folder import IMAGE_IDS

from soco_datasets.data.schema import CONFIGS

LOAD = """
ds = load_dataset("soco", "soc", split="test", data_dir={folder!r})
print(len(ds), ds[0]["source_image"].size)
"""
METRIC = """
import evaluate
metric = evaluate.load("soco_pck")
pair = {"pair_id": "a", "pair_group": "car", "keypoints": ["x"], "target_size": [100, 100],
        "target_bbox": [0, 0, 100, 100], "target_points": [[[50, 50]]]}
print(metric.name, metric.compute(predictions=[[[50, 51]]], references=[pair])["pck@0.1"])
"""


@pytest.mark.parametrize("order", ["import datasets, soco_datasets", "import soco_datasets, datasets"])
def test_either_order_of_imports(run_python: Callable[..., str], folder: Path, order: str) -> None:
    out = run_python(f"{order}\nfrom datasets import load_dataset\n{LOAD.format(folder=str(folder))}")
    assert out.split("\n")[0] == "3 (48, 32)"


SNAPSHOT = """
import datasets, evaluate, fsspec, PIL.Image, PIL.JpegImagePlugin, PIL.ImageFile, pyarrow, pyarrow.parquet, sys, types
import datasets.inspect, datasets.load, datasets.features.image, datasets.features.features, datasets.table
import evaluate.evaluation_suite

def snapshot():
    found = {}
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in ("datasets", "evaluate", "fsspec", "PIL", "pyarrow") and module is not None:
            for attribute, value in list(vars(module).items()):
                found[name, attribute] = value
                if isinstance(value, type) and value.__module__ == name:
                    found |= {(name, attribute, inner): part for inner, part in list(vars(value).items())}
    return found

def changed(before, after):
    same_modules = {key: value for key, value in before.items() if key in after}
    return sorted(
        ".".join(key) for key, value in same_modules.items()
        if after[key] is not value and not key[1].startswith("_") and not isinstance(value, (int, str, float))
    ) + sorted(".".join(key) for key in before.keys() - after.keys())
"""


def test_nothing_of_the_libraries_changes_but_the_two_factories(run_python: Callable[..., str], folder: Path) -> None:
    code = f"""{SNAPSHOT}
before = snapshot()
features = dict(datasets.features.features._FEATURE_TYPES)
import soco_datasets
print(changed(before, snapshot()))
from datasets import load_dataset
print(load_dataset("soco", "soc", split="all", data_dir={str(folder)!r})[0]["source_image"].mode)
evaluate.load("soco_pck")
load_dataset("soco", "soc", split="test", data_dir={str(folder)!r}).select([0]).to_pandas()
print(changed(before, snapshot()))
for name, function in (("accuracy-of-nobody", evaluate.load), ("nobody/nothing", load_dataset)):
    try:
        function(name)
    except Exception as error:
        print(type(error).__name__)
soco_datasets.unregister()
print(changed(before, snapshot()), features == datasets.features.features._FEATURE_TYPES)
try:
    load_dataset("soco", "soc")
except Exception as error:
    print(type(error).__name__)
print(len(soco_datasets.load_dataset("soc", split="test", data_dir={str(folder)!r})), soco_datasets.load_metric().name)
print(changed(before, snapshot()))
soco_datasets.register()
print(len(load_dataset("soco", "soc", split="all", data_dir={str(folder)!r})))
"""
    factories = [
        "datasets.inspect.dataset_module_factory",
        "datasets.load.dataset_module_factory",
        "evaluate.evaluation_suite.evaluation_module_factory",
        "evaluate.inspect.evaluation_module_factory",
        "evaluate.loading.evaluation_module_factory",
    ]
    assert run_python(code).splitlines() == [
        str(factories), "RGB", str(factories), "FileNotFoundError", "ConnectionError", "[] True", "ConnectionError",
        "3 soco_pck", "[]", "15",
    ]  # fmt: skip


def test_libraries_imported_after_unregister_stay_as_they_are(run_python: Callable[..., str], folder: Path) -> None:
    code = f"""
import soco_datasets
soco_datasets.unregister()
import datasets.inspect, datasets.load
print(type(datasets.load.dataset_module_factory).__name__, type(datasets.inspect.dataset_module_factory).__name__)
pairs = soco_datasets.load_dataset("soc", "test", {str(folder)!r})
print(pairs[0]["source_image"].mode, sorted(soco_datasets.load_dataset("soc", data_dir={str(folder)!r})))
print(next(iter(soco_datasets.load_dataset("soc", "all", {str(folder)!r}, streaming=True)))["source_image"].mode)
print(len(soco_datasets.load_dataset("soc", "all", {str(folder)!r}, min_shared=6, keep_in_memory=True)))
"""
    out = run_python(code).splitlines()
    assert out[:3] == ["function function", "RGB ['all', 'test']", "RGB"]
    assert int(out[3]) < 15


def test_the_forgotten_import_after_a_good_load(run_python: Callable[..., str], folder: Path) -> None:
    load = f'load_dataset("soco", "soc", split="test", data_dir={str(folder)!r})'
    assert run_python(f"import soco_datasets\nfrom datasets import load_dataset\nprint(len({load}))") == "3\n"
    code = f"""
from datasets import load_dataset
try:
    {load}
except Exception as error:
    print(type(error).__name__, "soco" in str(error))
"""
    assert run_python(code) == "ConnectionError True\n"


def test_importing_is_light(run_python: Callable[..., str]) -> None:
    out = run_python(
        """
import sys
import soco_datasets
print([name for name in ("torch", "transformers", "evaluate", "datasets", "pyarrow") if name in sys.modules])
import datasets, soco_datasets.loading.feature_types
print([name for name in ("torch", "transformers", "evaluate") if name in sys.modules])
"""
    )
    assert out.splitlines() == ["[]", "[]"]


@pytest.mark.parametrize("first", ["soco_datasets.data.schema", "soco_datasets.loading.feature_types"])
def test_any_module_may_be_imported_first(run_python: Callable[..., str], folder: Path, first: str) -> None:
    code = f"import {first}\nfrom datasets import load_dataset\n{LOAD.format(folder=str(folder))}"
    assert run_python(code).startswith("3 ")


def test_folders_that_could_be_mistaken_for_the_dataset(
    run_python: Callable[..., str], folder: Path, tmp_path: Path
) -> None:
    script, data = tmp_path / "with script", tmp_path / "with data"
    (script / "soco").mkdir(parents=True)
    (script / "soco" / "soco.py").write_text("raise SystemExit('the wrong file was run')\n")
    (data / "soco").mkdir(parents=True)
    (data / "soco" / "train.jsonl").write_text('{"a": 1}\n')
    load = LOAD.format(folder=str(folder))
    code = f"import os, soco_datasets\nfrom datasets import load_dataset\n{load}\nos.chdir({str(data)!r})\n{load}"
    assert run_python(code, cwd=script) == "3 (48, 32)\n" * 2


def test_relative_data_dir_survives_a_change_of_folder(run_python: Callable[..., str], folder: Path) -> None:
    code = """
import os, soco_datasets
from datasets import load_dataset
ds = load_dataset("soco", "soc", split="all", data_dir="SOCO!")
os.chdir("/")
print(ds[0]["source_image"].mode)
"""
    assert run_python(code, cwd=folder.parent) == "RGB\n"


def test_other_names_go_to_the_library_untouched(run_python: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "train.jsonl").write_text('{"a": 1}\n{"a": 2}\n')
    code = """
import inspect, datasets
before = inspect.signature(datasets.load.dataset_module_factory)
import soco_datasets
patched = datasets.load.dataset_module_factory
soco_datasets.register()
assert datasets.load.dataset_module_factory is patched is datasets.inspect.dataset_module_factory
assert inspect.signature(patched) == before
print(datasets.load_dataset("mine", split="train")["a"][:])
for name in ("soco_other", "org/soco"):
    try:
        datasets.load_dataset(name)
    except Exception as error:
        print(type(error).__name__, name in str(error))
"""
    out = run_python(code, cwd=tmp_path).splitlines()
    assert out == ["[1, 2]", "ConnectionError True", "ConnectionError True"]


def test_watched_modules_keep_their_loader_and_can_be_looked_for(run_python: Callable[..., str]) -> None:
    code = """
import importlib.util, inspect, sys
import soco_datasets
print(importlib.util.find_spec("datasets").origin.endswith("__init__.py"), "datasets" in sys.modules)
import datasets
print(type(datasets.__loader__).__name__, datasets.__spec__.loader is datasets.__loader__)
print("def " in inspect.getsource(datasets.load))
"""
    assert run_python(code).splitlines() == ["True False", "SourceFileLoader True", "True"]


def test_metric_loads_offline_from_an_empty_folder(run_python: Callable[..., str]) -> None:
    assert run_python("import evaluate, soco_datasets" + METRIC) == "soco_pck 1.0\n"


def test_metric_of_the_current_folder_comes_first(run_python: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "soco_pck").mkdir()
    (tmp_path / "soco_pck" / "soco_pck.py").write_text(
        """
import datasets
import evaluate

class Mine(evaluate.Metric):
    def _info(self):
        features = datasets.Features({"predictions": datasets.Value("int64")})
        return evaluate.MetricInfo(description="", citation="", features=features)

    def _compute(self, predictions):
        return {"mine": len(predictions)}
"""
    )
    code = f"""
import soco_datasets
{METRIC}
import os
os.chdir({str(tmp_path)!r})
print(evaluate.load("soco_pck").compute(predictions=[1, 2]))
"""
    assert run_python(code).splitlines() == ["soco_pck 1.0", "{'mine': 2}"]


@pytest.mark.parametrize("format", ["arrow", "parquet"])
def test_plain_datasets_loads_the_folder(
    run_python: Callable[..., str], folder: Path, parquet_folder: Path, format: str
) -> None:
    root = folder if format == "arrow" else parquet_folder
    code = f"""
import sys
from datasets import Image, get_dataset_config_names, load_dataset
for config in get_dataset_config_names({str(root)!r}):
    for split, rows in load_dataset({str(root)!r}, config).items():
        print(config, split, len(rows))
pair = load_dataset({str(root)!r}, "soc", split="test")[0]
images = load_dataset({str(root)!r}, "images", split="test")
print(pair["source_image_id"], len(pair["keypoints"]) == len(pair["source_points"]), images[3]["image"].mode)
assert "soco_datasets" not in sys.modules
"""
    out = run_python(code, PYTHONPATH="").splitlines()
    assert out[-1] == "car/car_1 True RGB"
    names = {line.split(" ")[0] for line in out[:-1]}
    assert names == set(CONFIGS)
    assert f"images test {len(IMAGE_IDS)}" in out


def test_data_loader_workers_that_are_spawned(run_python: Callable[..., str], folder: Path, tmp_path: Path) -> None:
    script = tmp_path / "empty" / "script.py"
    script.parent.mkdir()
    script.write_text(
        f"""
if __name__ == "__main__":
    import soco_datasets
    from datasets import load_dataset
    from torch.utils.data import DataLoader

    for split in ("test", "all"):
        ds = load_dataset("soco", "soc", split=split, data_dir={str(folder)!r})
        loader = DataLoader(ds, batch_size=1, num_workers=1, collate_fn=list, multiprocessing_context="spawn")
        print(sum(row["source_image"].size == tuple(row["source_size"]) for batch in loader for row in batch))
"""
    )
    assert run_python("import runpy; runpy.run_path('script.py', run_name='__main__')").splitlines() == ["3", "15"]
