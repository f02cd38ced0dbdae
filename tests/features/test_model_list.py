"""The list of backbones against the paper, loading by name, and what is said before weights are downloaded."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from helpers.hub_clients import run_python
from helpers.loopback_hub import LoopbackHub
from helpers.shared_data import DATA
from helpers.tiny_models import TOKEN_MODELS

from soco_datasets.benchmarks.soco.paper import headline, paper_scores
from soco_datasets.errors import BackboneError, UsageError
from soco_datasets.features.backbones import load_backbone, own_statistics, preflight
from soco_datasets.features.families import ADAPTERS, family_of
from soco_datasets.features.model_list import BACKBONES, ID_CHECKED, BackboneSpec, listed
from soco_datasets.features.preprocess import NAMED_STATISTICS

# Table r5 of the paper.
NAMES = [
    "c_radio_3_b",
    "clip_b16",
    "clip_b16_laion",
    "clip_l14",
    "croco",
    "dift",
    "dino_b16",
    "dino_s16",
    "dinov2_b14",
    "dinov2_b14_reg",
    "dinov2_l14",
    "dinov2_s14",
    "dinov3_vitb16",
    "dinov3_vitl16",
    "dinov3_vits16plus",
    "dune_vitb14",
    "dune_vits14",
    "ibot_b16",
    "ibot_b16_in22k",
    "ibot_l16",
    "ibot_l16_in22k",
    "ibot_s16",
    "ijepa",
    "mae_b16",
    "metaclip2_vitb16",
    "metaclip2_vitl14",
    "metaclip2_vits16",
    "openclip_vitb16_datacomp",
    "openclip_vitl14_datacomp",
    "openclip_vitl14_laion2b",
    "perception",
    "pixio_vitb16",
    "pixio_vitl16",
    "qwen_vl",
    "radio",
    "sam_base",
    "siglip_b16",
    "siglip_l16",
    "vjepa2_1_base",
    "vjepa2_1_large",
]
# The names of tables 2 and r1 to r4, and of r10 where it says them differently.
PAPER_NAMES = {
    "DINOv1": "dino_b16",
    "DINOv2": "dinov2_b14",
    "DINOv3": "dinov3_vitb16",
    "iBOT": "ibot_b16",
    "I-JEPA": "ijepa",
    "C-RADIOv3": "c_radio_3_b",
    "DUNE": "dune_vitb14",
    "SD 2.1": "dift",
    "CroCov2": "croco",
    "MAE": "mae_b16",
    "PIXIO": "pixio_vitb16",
    "CLIP": "clip_b16",
    "PE-Spatial": "perception",
    "QWEN-L": "qwen_vl",
}
R10 = {"QWEN-L": "Qwen2.5-VL"}
every_entry = pytest.mark.parametrize("spec", BACKBONES, ids=lambda spec: spec.name)


def test_every_model_of_the_paper_is_listed_once() -> None:
    assert len(NAMES) == 40
    assert sorted(spec.name for spec in BACKBONES) == sorted([*NAMES, "dense_sift"])
    hub_ids = [spec.hub_id for spec in BACKBONES if spec.hub_id]
    assert len(set(hub_ids)) == len(hub_ids)
    assert {spec.paper_name: spec.name for spec in BACKBONES if spec.paper_name} == PAPER_NAMES
    assert {spec.paper_name: spec.r10_name for spec in BACKBONES if spec.r10_name} == R10


@every_entry
def test_an_entry_is_whole(spec: BackboneSpec) -> None:
    assert spec.license
    assert spec.id_checked in ID_CHECKED
    assert (spec.id_checked == "none") == (spec.hub_id is None)
    assert spec.paper_statistics in ("", "none", *NAMED_STATISTICS)
    assert spec.size_multiple % spec.patch == 0
    assert (spec.availability == "plug-in") == (spec.model_type == "")
    if spec.availability == "plug-in":
        assert spec.hub_id is None
        assert spec.checked == "plug-in, user supplied"
    else:
        assert spec.model_type in ADAPTERS
        has_weights = family_of(spec.model_type, spec.name).has_weights
        assert has_weights == bool(spec.hub_id or spec.source)
    assert bool(spec.source) or spec.availability not in ("plug-in", "conversion")
    assert listed(spec.name) is spec


class TestPaper:
    def test_headlines(self) -> None:
        assert headline("dinov2_b14") == {"cc": 78.9, "soc": 60.43, "cross_soc": 54.98}
        assert headline("dense_sift") == {}
        assert {spec.name for spec in BACKBONES if headline(spec.name)} == set(NAMES)

    def test_every_number_is_a_percentage_of_a_listed_model(self) -> None:
        assert {score.model for score in paper_scores()} == {*NAMES, ""}
        assert all(score.table == "r4" for score in paper_scores() if not score.model)
        assert all(0 < score.percent < 100 for score in paper_scores())
        keys = [(s.table, s.label, s.task, s.subset, s.protocol, s.reduction, s.alpha) for s in paper_scores()]
        assert len(set(keys)) == len(keys)

    def test_tables_agree_where_they_print_the_same_quantity(self) -> None:
        exact = {(s.model, s.task): s.percent for s in paper_scores() if s.table == "r5"}
        for score in paper_scores():
            usual = (score.subset, score.protocol, score.reduction, score.alpha) == ("overall", "nearest", "pair", 0.1)
            if usual and (score.model, score.task) in exact:
                assert abs(score.percent - exact[score.model, score.task]) < 0.0501, score

    def test_scores_equal_the_papers_tables(self) -> None:
        found = {
            (s.table, s.label, s.task, s.subset, s.protocol, s.reduction, s.alpha): s.percent for s in paper_scores()
        }
        wanted = dict(expected_scores())
        assert len(wanted) > 500
        assert found == wanted

    def test_table_r10_names_the_same_models(self) -> None:
        assert {row["model"] for row in table("table_r10_models")} == {R10.get(name, name) for name in PAPER_NAMES}


def table(name: str) -> list[dict[str, str]]:
    return list(csv.DictReader((DATA / "paper" / f"{name}.csv").read_text().splitlines()))


def expected_scores() -> Iterator[tuple[tuple[str, str, str, str, str, str, float | None], float]]:
    """The shared tables, cell by cell, in the terms of `PaperScore`."""
    usual = ("nearest", "pair", 0.1)
    for row in table("table_r5_all_models"):
        for task in ("cc", "soc", "cross_soc"):
            yield ("r5", row["model"], task, "overall", *usual), float(row[task])
    for row in table("table2_main_results"):
        for column, value in row.items():
            if column != "model":
                supercategory = column.startswith("soc_")
                task = "soc" if supercategory else {"avg": "mean"}.get(column, column)
                subset = column.removeprefix("soc_") if supercategory else "overall"
                yield ("2", row["model"], task, subset, *usual), float(value)
    words = {"trans": "transportation", "hand": "hand_held", "furn": "furniture", "animals": "animals"}
    for row in table("table_r1_supercategories"):
        for column, value in row.items():
            if column != "model":
                subset, task = column.split("_")
                yield ("r1", row["model"], task, words[subset], *usual), float(value)
    for row in table("table_r2_protocols"):
        for column, protocol, reduction in (
            ("soc_soft_eval", "soft", "pair"),
            ("soc_linear", "linear", "keypoint"),
            ("soc_geo", "geo", "keypoint"),
        ):
            yield ("r2", row["model"], "soc", "overall", protocol, reduction, 0.1), float(row[column])
    for row in table("table_r3_thresholds"):
        for column, value in row.items():
            if column != "model":
                reduction, task, alpha = column.split("_")
                yield ("r3", row["model"], task, "overall", "nearest", reduction, float(alpha)), float(value)
    for row in table("table_r4_correspondence_methods"):
        yield ("r4", row["model"], "soc", "overall", "", "", None), float(row["soc"])


class TestByName:
    @pytest.mark.parametrize("spec", [s for s in BACKBONES if s.availability == "plug-in"], ids=lambda spec: spec.name)
    def test_a_model_that_only_a_plug_in_can_bring(self, spec: BackboneSpec) -> None:
        for use in (load_backbone, preflight):
            with pytest.raises(BackboneError, match=rf"{spec.name} is not loaded by name.*model=function"):
                use(spec.name)

    def test_a_model_that_must_be_converted(self) -> None:
        with pytest.raises(BackboneError, match=r"soco convert ibot FILE --out FOLDER.*github\.com/bytedance/ibot"):
            load_backbone("ibot_b16")

    def test_a_converted_folder_is_found_by_the_listed_name(
        self, save_model: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Of a name that the Hub has no weights for; any other stays the Hub's, whatever folders lie about."""
        folder = save_model("vit", name="ibot_b16")
        save_model("dinov2", name="dinov2_b14")
        monkeypatch.chdir(folder.parent)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        backbone = load_backbone("ibot_b16")
        assert (backbone.name, backbone.revision, backbone.num_layers) == ("ibot_b16", None, 3)
        assert load_backbone("ibot_b16", statistics="paper").statistics.source == "imagenet"
        assert preflight("ibot_b16").weights == ("model.safetensors",)
        with pytest.raises(BackboneError, match="facebook/dinov2-base"):
            load_backbone("dinov2_b14")

    @pytest.mark.parametrize(("typo", "meant"), [("dinov3_vitb14", "dinov3_vitb16"), ("clip-b16", "clip_b16")])
    def test_a_mistyped_name(self, typo: str, meant: str) -> None:
        with pytest.raises(UsageError, match=f"Did you mean .*'{meant}'.*Hub id.*plug-in"):
            load_backbone(typo)

    @pytest.fixture
    def cache(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        from huggingface_hub import constants

        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
        return tmp_path / "hub"

    def put(self, cache: Path, name: str, kind: str) -> Path:
        spec = listed(name)
        assert spec is not None
        assert spec.hub_id is not None
        repository = cache / f"models--{spec.hub_id.replace('/', '--')}"
        (repository / "refs").mkdir(parents=True)
        (repository / "refs" / "main").write_text("0" * 40)
        return TOKEN_MODELS[kind](repository / "snapshots" / ("0" * 40))

    def test_the_papers_norm_is_the_default_and_an_option_wins(self, cache: Path) -> None:
        self.put(cache, "pixio_vitb16", "pixio")
        self.put(cache, "dinov2_b14", "dinov2")
        assert load_backbone("pixio_vitb16").norm == "final"
        assert load_backbone("facebook/pixio-vitb16").norm == "final"
        assert load_backbone("pixio_vitb16", norm="none").norm == "none"
        assert load_backbone("dinov2_b14").norm == "none"

    def test_a_folder_has_no_norm_of_the_paper(self, tmp_path: Path) -> None:
        assert load_backbone(TOKEN_MODELS["pixio"](tmp_path / "pixio_vitb16")).norm == "none"

    def test_statistics_of_the_paper_and_of_the_checkpoint(self, cache: Path) -> None:
        folder = self.put(cache, "siglip_b16", "siglip")
        assert load_backbone("siglip_b16").statistics == NAMED_STATISTICS["imagenet"]
        assert load_backbone("siglip_b16", recipe="checkpoint").statistics.std == (0.5, 0.5, 0.5)
        assert load_backbone("siglip_b16", statistics="checkpoint").statistics.std == (0.5, 0.5, 0.5)
        assert load_backbone("siglip_b16", statistics="paper").statistics == NAMED_STATISTICS["imagenet"]
        assert own_statistics("siglip_b16").mean == (0.5, 0.5, 0.5)
        with pytest.raises(UsageError, match="Which statistics the paper takes"):
            load_backbone(folder, statistics="paper")

    def test_a_model_that_normalizes_pixels_itself(self, cache: Path) -> None:
        self.put(cache, "c_radio_3_b", "radio")
        for statistics in ("auto", "paper"):
            assert load_backbone("c_radio_3_b", statistics=statistics).statistics.source == "none"
        assert own_statistics("c_radio_3_b").source == "none"


class TestPreflight:
    """Against a Hub on loopback, through the real client."""

    WEIGHTS = b"x" * 5000

    @pytest.fixture(scope="class")
    def hub(self) -> Iterator[LoopbackHub]:
        def config(model_type: str) -> bytes:
            return json.dumps({"model_type": model_type}).encode()

        with LoopbackHub() as hub:
            good = {"config.json": config("dinov2"), "model.safetensors": self.WEIGHTS}
            hub.add_repo("model", "lab/good", good)
            hub.add_repo("model", "lab/gated", good, gated=True)
            hub.add_repo("model", "lab/text", {**good, "config.json": config("bert")})
            hub.add_repo("model", "lab/pickle", {"config.json": config("dinov2"), "pytorch_model.bin": self.WEIGHTS})
            index = json.dumps({"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}).encode()
            shards = {f"model-{number}.safetensors": self.WEIGHTS for number in (1, 2)}
            sharded = {"config.json": config("vit"), "model.safetensors.index.json": index, **shards}
            hub.add_repo("model", "lab/sharded", sharded)
            hub.add_repo("model", "lab/torn", {**sharded, "model-2.safetensors": b""})
            yield hub

    def test_it_says_what_is_there_and_downloads_no_weights_and_no_torch(
        self, hub: LoopbackHub, tmp_path: Path
    ) -> None:
        script = """
            import sys
            from soco_datasets.errors import BackboneError
            from soco_datasets.features.backbones import preflight
            found = {}
            for name in ("good", "sharded", "gated", "text", "pickle", "absent"):
                try:
                    seen = preflight(f"lab/{name}")
                    found[name] = [list(seen.weights), seen.download]
                except BackboneError as error:
                    found[name] = str(error)
            found["torch"] = "torch" in sys.modules
            print(json.dumps(found))
        """
        found = json.loads(run_python(hub, tmp_path, script).stdout)
        assert found["good"] == [["model.safetensors"], 5000]
        assert found["sharded"] == [["model-1.safetensors", "model-2.safetensors"], 10_000]
        assert "is gated. Accept its license" in found["gated"]
        assert "model_type 'bert'" in found["text"]
        assert "plug-in" in found["text"]
        assert "only safetensors are loaded" in found["pickle"]
        assert "There is no model 'lab/absent'" in found["absent"]
        assert found["torch"] is False
        assert not hub.requests_of("GET", r"\\.(safetensors|bin)$")

    def test_loading_stops_before_the_weights_of_a_wrong_family(self, hub: LoopbackHub, tmp_path: Path) -> None:
        script = """
            from soco_datasets.errors import BackboneError
            from soco_datasets.features.backbones import load_backbone
            for name in ("lab/text", "lab/gated"):
                try:
                    load_backbone(name)
                except BackboneError as error:
                    print(error)
        """
        said = run_python(hub, tmp_path, script).stdout
        assert "model_type 'bert'" in said
        assert "is gated" in said
        assert not hub.requests_of("GET", r"safetensors$")

    def test_a_folder_and_a_name_without_weights(self, tmp_path: Path) -> None:
        folder = TOKEN_MODELS["vit"](tmp_path / "model")
        seen = preflight(folder)
        assert (seen.commit, seen.weights, seen.download) == (None, ("model.safetensors",), 0)
        assert preflight("dense_sift").weights == ()
        assert preflight("some_module:features").download == 0  # not imported
        (folder / "model.safetensors").unlink()
        with pytest.raises(BackboneError, match="no weights"):
            preflight(folder)
        shutil.rmtree(folder)
        with pytest.raises(BackboneError, match="no model folder"):
            preflight(folder)
        with pytest.raises(UsageError, match="Unknown model"):
            preflight("dinov2")
        with pytest.raises(UsageError, match="`revision` is for models of the Hub"):
            preflight("dense_sift", revision="main")
