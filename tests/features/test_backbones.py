"""Loading: what a user may give, what is refused and what the message says."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from soco_datasets.errors import BackboneError, MissingExtraError, UsageError
from soco_datasets.features import backbones
from soco_datasets.features.backbones import load_backbone
from soco_datasets.features.device import bf16_support, fastest_dtype
from soco_datasets.features.extractor import DenseFeatureExtractor
from soco_datasets.features.families import ADAPTERS, family_of

SaveModel = Callable[..., Path]


def change_json(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_the_table_of_adapters_agrees_with_the_adapters() -> None:
    for model_type in ADAPTERS:
        family = family_of(model_type, "test")
        assert {other for other in ADAPTERS if ADAPTERS[other] == ADAPTERS[model_type]} == set(family.model_types)


def test_identity_of_a_folder(save_model: SaveModel) -> None:
    folder = save_model("dinov2", name="my dino")
    backbone = load_backbone(str(folder))
    assert (backbone.name, backbone.family, backbone.revision) == ("my dino", "dinov2", None)
    assert backbone.weights_hash == hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    assert backbone.config_hash == hashlib.sha256((folder / "config.json").read_bytes()).hexdigest()
    assert (backbone.patch_size, backbone.channels, backbone.num_layers, backbone.layer) == (14, 32, 3, -1)


def test_sharded_weights_load_as_one_file(save_model: SaveModel, tmp_path: Path) -> None:
    folder = save_model("vit")
    from transformers import ViTModel

    sharded = tmp_path / "sharded"
    ViTModel.from_pretrained(folder).save_pretrained(sharded, max_shard_size="40KB")
    shutil.copy(folder / "preprocessor_config.json", sharded)
    shards = sorted(sharded.glob("model-*.safetensors"))
    assert len(shards) > 1
    pixels = torch.rand(1, 3, 48, 48)
    whole, parts = load_backbone(folder), load_backbone(sharded)
    assert torch.equal(whole.forward(pixels), parts.forward(pixels))
    assert parts.weights_hash == hashlib.sha256(b"".join(path.read_bytes() for path in shards)).hexdigest()
    shards[1].unlink()
    with pytest.raises(BackboneError, match=f"half downloaded.*{shards[1].name}"):
        load_backbone(sharded)


def test_released_dino_v1_layout_and_classifier_load(save_model: SaveModel) -> None:
    """Hub checkpoints of ViT name their blocks `encoder.layer.N...`; classifiers prefix `vit.` and add a head."""
    folder = save_model("vit")
    pixels = torch.rand(1, 3, 48, 48)
    expected = load_backbone(folder).forward(pixels)
    path = folder / "model.safetensors"
    old = load_file(path)
    assert any(name.startswith("encoder.layer.0.attention.attention.query") for name in old)
    assert any(name.startswith("pooler.") for name in old)
    save_file({f"vit.{name}": tensor for name, tensor in old.items()} | {"classifier.bias": torch.zeros(2)}, path)
    assert torch.equal(load_backbone(folder).forward(pixels), expected)


def test_unknown_name_gives_the_closest() -> None:
    with pytest.raises(UsageError, match=r"Did you mean 'dinov2_b14'.*Hub id"):
        load_backbone("dinov2_b41")


@pytest.mark.parametrize("path", ["./nowhere", "/no/such/folder", "~/no/such", "a/b/c"])
def test_absent_folder(path: str) -> None:
    with pytest.raises(BackboneError, match="There is no model folder"):
        load_backbone(path)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"norm": "layer"}, "Unknown norm 'layer'"),
        ({"statistics": "imagnet"}, "Did you mean 'imagenet'"),
        ({"dtype": "fp16"}, "Unknown dtype"),
        ({"layer": "last"}, "`layer` is the number"),
        ({"device": "gpu"}, "Unknown device 'gpu'"),
        ({"revision": "main"}, "`revision` is for models of the Hub"),
    ],
)
def test_wrong_options(save_model: SaveModel, options: dict[str, Any], text: str) -> None:
    with pytest.raises(UsageError, match=text):
        load_backbone(save_model("vit"), **options)


@pytest.mark.parametrize("layer", [3, -4, 100])
def test_layer_out_of_range_says_how_many(save_model: SaveModel, layer: int) -> None:
    with pytest.raises(BackboneError, match=f"no layer {layer}: it has 3 blocks, 0 to 2"):
        load_backbone(save_model("dinov2"), layer=layer)


class TestBadFolder:
    def test_no_config(self, save_model: SaveModel) -> None:
        folder = save_model("vit")
        (folder / "config.json").unlink()
        with pytest.raises(BackboneError, match=r"no config\.json.*save_pretrained"):
            load_backbone(folder)

    def test_config_is_not_json(self, save_model: SaveModel) -> None:
        folder = save_model("vit")
        (folder / "config.json").write_text('{"model_type": ')
        with pytest.raises(BackboneError, match=r"config\.json cannot be read"):
            load_backbone(folder)

    def test_no_weights(self, save_model: SaveModel) -> None:
        folder = save_model("vit")
        (folder / "model.safetensors").unlink()
        with pytest.raises(BackboneError, match=r"no weights \(model\.safetensors\)"):
            load_backbone(folder)

    @pytest.mark.parametrize("name", ["pytorch_model.bin", "dino.pth"])
    def test_pickle_only(self, save_model: SaveModel, name: str) -> None:
        folder = save_model("vit")
        torch.save(load_file(folder / "model.safetensors"), folder / name)
        (folder / "model.safetensors").unlink()
        with pytest.raises(BackboneError, match=rf"only a pickle \({name}\).*save_pretrained"):
            load_backbone(folder)

    @pytest.mark.parametrize("keep", [0, 5, 200, -1])
    def test_truncated_weights(self, save_model: SaveModel, keep: int) -> None:
        path = save_model("vit") / "model.safetensors"
        path.write_bytes(path.read_bytes()[:keep])
        with pytest.raises(BackboneError, match=r"model\.safetensors is truncated or damaged.*Download it again"):
            load_backbone(path.parent)

    def test_garbage_weights(self, save_model: SaveModel) -> None:
        path = save_model("vit") / "model.safetensors"
        path.write_bytes((100).to_bytes(8, "little") + b"x" * 500)
        with pytest.raises(BackboneError, match="not that of a safetensors file"):
            load_backbone(path.parent)

    def test_git_lfs_pointer(self, save_model: SaveModel) -> None:
        path = save_model("vit") / "model.safetensors"
        path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n")
        with pytest.raises(BackboneError, match="git lfs pull"):
            load_backbone(path.parent)

    @pytest.mark.parametrize(("model_type", "says"), [("bert", "model_type 'bert'"), (None, "no model_type")])
    def test_unknown_family(self, save_model: SaveModel, model_type: str | None, says: str) -> None:
        folder = save_model("vit")
        change_json(folder / "config.json", model_type=model_type)
        with pytest.raises(BackboneError, match=f"{says}.*dinov2, dinov2_with_registers, .*vit.*model=function"):
            load_backbone(folder)

    @pytest.mark.parametrize(
        ("kind", "changes", "text"),
        [
            ("dinov2", {"num_hidden_layers": 5}, r"layer\.[34].*is missing"),
            ("dinov2", {"num_hidden_layers": 2}, "does not load as Dinov2Model: out_features"),
            ("vit", {"num_hidden_layers": 2}, r"layers\.2.*is not in the model"),
            ("dinov2", {"hidden_size": 64}, "where the config asks for"),
            ("vit", {"patch_size": 16}, "where the config asks for"),
            ("vit", {"num_hidden_layers": 4}, r"is missing"),
            ("vit", {"num_attention_heads": 3}, "where the config asks for"),
            ("vit", {"hidden_act": "nonsense"}, "does not load as ViTModel"),
        ],
    )
    def test_config_disagrees_with_weights(
        self, save_model: SaveModel, kind: str, changes: dict[str, Any], text: str
    ) -> None:
        folder = save_model(kind)
        change_json(folder / "config.json", **changes)
        with pytest.raises(BackboneError, match=text):
            load_backbone(folder)

    def test_a_lost_tensor_is_never_random(self, save_model: SaveModel) -> None:
        path = save_model("dinov2") / "model.safetensors"
        tensors = load_file(path)
        lost = next(name for name in tensors if name.endswith("mlp.fc1.weight"))
        del tensors[lost]
        save_file(tensors, path, metadata={"format": "pt"})
        with pytest.raises(BackboneError, match=rf"1 place\(s\)(.|\n)*{lost} is missing"):
            load_backbone(path.parent)

    def test_the_mask_token_may_be_lost(self, save_model: SaveModel) -> None:
        path = save_model("dinov2") / "model.safetensors"
        tensors = load_file(path)
        del tensors["embeddings.mask_token"]
        save_file(tensors, path, metadata={"format": "pt"})
        assert load_backbone(path.parent).channels == 32


class TestStatistics:
    def test_from_the_checkpoint(self, save_model: SaveModel) -> None:
        folder = save_model("vit", preprocessor={"image_mean": [0.1, 0.2, 0.3], "image_std": 0.4, "do_rescale": True})
        statistics = load_backbone(folder).statistics
        assert (statistics.mean, statistics.std) == ((0.1, 0.2, 0.3), (0.4, 0.4, 0.4))
        assert statistics.source == "checkpoint"

    def test_from_a_nested_processor_file(self, save_model: SaveModel) -> None:
        folder = save_model("vit")
        nested = {"image_processor": {"image_mean": [0.1, 0.2, 0.3], "image_std": [0.4, 0.5, 0.6]}}
        (folder / "processor_config.json").write_text(json.dumps(nested))
        (folder / "preprocessor_config.json").unlink()
        assert load_backbone(folder).statistics.std == (0.4, 0.5, 0.6)

    @pytest.mark.parametrize("nested", ["ViTImageProcessor", ["image_mean"]])
    def test_a_nested_processor_file_without_settings(self, save_model: SaveModel, nested: Any) -> None:
        folder = save_model("vit")
        (folder / "processor_config.json").write_text(json.dumps({"image_processor": nested}))
        (folder / "preprocessor_config.json").unlink()
        with pytest.raises(BackboneError, match="no settings below `image_processor`"):
            load_backbone(folder)

    def test_named_sets_win(self, save_model: SaveModel) -> None:
        statistics = load_backbone(save_model("vit"), statistics="clip").statistics
        assert statistics.source == "clip"
        assert statistics.mean[0] == 0.48145466

    def test_do_normalize_false(self, save_model: SaveModel) -> None:
        statistics = load_backbone(save_model("vit", preprocessor={"do_normalize": False})).statistics
        assert (statistics.mean, statistics.std, statistics.source) == ((0, 0, 0), (1, 1, 1), "none")

    def test_missing_file_asks_for_a_named_set(self, save_model: SaveModel) -> None:
        folder = save_model("vit")
        (folder / "preprocessor_config.json").unlink()
        with pytest.raises(BackboneError, match="statistics='imagenet' or 'clip' or 'half'"):
            load_backbone(folder)
        assert load_backbone(folder, statistics="half").statistics.source == "half"

    @pytest.mark.parametrize(
        ("preprocessor", "text"),
        [
            ({"rescale_factor": 1 / 127.5}, "rescale_factor is 0.0078"),
            ({"do_rescale": False}, "do_rescale is false"),
            ({"image_mean": [0.5, 0.5]}, "three numbers"),
            ({"image_std": [0.5, 0.5, 0.0]}, "std above 0"),
            ({"image_std": None}, "three numbers"),
            ({"image_mean": [123.7, 116.3, 103.5], "image_std": [58.4, 57.1, 57.4]}, r"pixels in 0\.\.1"),
            ({"do_flip_channel_order": True}, "asks for images in BGR"),
        ],
    )
    def test_unusual_files(self, save_model: SaveModel, preprocessor: dict[str, Any], text: str) -> None:
        usual = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}
        with pytest.raises(BackboneError, match=text):
            load_backbone(save_model("vit", preprocessor={**usual, **preprocessor}))


def test_missing_packages_name_the_extra(save_model: SaveModel, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = save_model("vit")
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingExtraError, match=r"'transformers'.*soco-datasets\[models\]"):
        load_backbone(folder)
    monkeypatch.undo()
    monkeypatch.setitem(sys.modules, "kornia", None)
    with pytest.raises(MissingExtraError, match=r"'kornia'.*soco-datasets\[models\]"):
        load_backbone("dense_sift")


COMMIT = "0123456789abcdef0123456789abcdef01234567"


class TestHub:
    """The real Hub client, against its own cache layout and a small local server."""

    @pytest.fixture(autouse=True)
    def cache(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        from huggingface_hub import constants

        cache = tmp_path / "hub"
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
        return cache

    def put_in_cache(self, cache: Path, hub_id: str, folder: Path) -> None:
        repository = cache / f"models--{hub_id.replace('/', '--')}"
        (repository / "refs").mkdir(parents=True)
        (repository / "refs" / "main").write_text(COMMIT)
        shutil.copytree(folder, repository / "snapshots" / COMMIT)

    def test_a_cached_model_loads_offline_with_its_commit(self, cache: Path, save_model: SaveModel) -> None:
        self.put_in_cache(cache, "someone/tiny", save_model("dinov2_reg"))
        backbone = load_backbone("someone/tiny")
        assert (backbone.name, backbone.revision) == ("someone/tiny", COMMIT)
        assert backbone.num_prefix_tokens == 5

    @pytest.mark.parametrize("asked", ["dinov2_s14", "facebook/dinov2-small"])
    def test_a_listed_model_loads_by_name_and_by_id(self, cache: Path, save_model: SaveModel, asked: str) -> None:
        self.put_in_cache(cache, "facebook/dinov2-small", save_model("dinov2"))
        assert load_backbone(asked).name == "dinov2_s14"

    def test_offline_and_not_cached(self) -> None:
        with pytest.raises(BackboneError, match="Run `hf download facebook/dinov2-base`"):
            load_backbone("dinov2_b14")

    def test_unreachable(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from huggingface_hub import constants

        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:1")
        monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)  # the client's back-off
        with pytest.raises(BackboneError, match=r"the Hub cannot be reached.*or give a folder"):
            load_backbone("dinov2_b14")

    def test_half_cached(self, cache: Path, save_model: SaveModel) -> None:
        folder = save_model("dinov2")
        (folder / "model.safetensors").unlink()
        self.put_in_cache(cache, "someone/tiny", folder)
        with pytest.raises(BackboneError, match="not in the local cache"):
            load_backbone("someone/tiny")

    @pytest.fixture
    def hub(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, tuple[int, str]]]:
        """Answers of a Hub that has `config.json` of nothing: repository -> (status, error code)."""
        from huggingface_hub import constants

        answers: dict[str, tuple[int, str]] = {}

        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                status, code = next((a for name, a in answers.items() if name in self.path), (404, "RepoNotFound"))
                self.send_response(status)
                self.send_header("X-Error-Code", code)
                self.send_header("X-Error-Message", code)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def do_GET(self) -> None:
                self.do_HEAD()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        address = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setattr(constants, "ENDPOINT", address)
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}"
        )
        yield answers
        server.shutdown()
        server.server_close()

    @pytest.mark.parametrize(
        ("status", "code", "text"),
        [
            (403, "GatedRepo", r"is gated\. Accept its license at https://huggingface\.co/some/one.*hf auth login"),
            (404, "RepoNotFound", "There is no model 'some/one' on the Hub"),
            (404, "RevisionNotFound", "has no revision 'v9'"),
            (404, "EntryNotFound", "has no config.json on the Hub"),
        ],
    )
    def test_refusals(self, hub: dict[str, tuple[int, str]], status: int, code: str, text: str) -> None:
        hub["some/one"] = (status, code)
        with pytest.raises(BackboneError, match=text):
            load_backbone("some/one", revision="v9")


@pytest.mark.parametrize("fastest", ["float32", "bfloat16"])
def test_the_fastest_dtype_is_named_as_a_choice(
    fastest: str, save_model: SaveModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = save_model("dinov2")
    plain = DenseFeatureExtractor(load_backbone(folder), 28).describe()
    monkeypatch.setattr(backbones, "fastest_dtype", lambda device: fastest)
    chosen = DenseFeatureExtractor(load_backbone(folder, dtype="auto"), 28).describe()
    assert (chosen["dtype"], chosen["dtype_choice"]) == (fastest, "auto")
    assert plain["dtype"] == "float32"
    assert "dtype_choice" not in plain


@pytest.mark.parametrize(
    ("amx", "avx", "units"), [(True, True, "AMX"), (False, True, "AVX512-BF16"), (False, False, None)]
)
def test_bf16_is_chosen_where_the_processor_multiplies_it(
    amx: bool, avx: bool, units: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx, raising=False)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx, raising=False)
    assert bf16_support("cpu") == units
    assert fastest_dtype("cpu") == ("float32" if units is None else "bfloat16")
