from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import pytest

pytest.importorskip("inspect_ai", reason="runs of questions need inspect-ai (extra lvlm)")

from helpers import tiny_vlm
from helpers.small_questions import small_asked
from helpers.tiny_vlm import FAMILIES
from inspect_ai.model import ChatMessageSystem, ChatMessageUser, ContentAudio, ContentImage, ContentText, get_model
from PIL import Image

from soco_datasets.errors import BackboneError, SocoError, UsageError
from soco_datasets.lvlm import hf_provider
from soco_datasets.lvlm.hf_model import (
    Chat,
    Reply,
    Sampling,
    VisionLanguageModel,
    enlarge,
    load_vision_language_model,
    shrink,
)
from soco_datasets.lvlm.hf_provider import Batches, chat_of
from soco_datasets.lvlm.model_choice import ModelOptions, open_model
from soco_datasets.lvlm.prompted import data_uri
from soco_datasets.lvlm.protocols import apply_protocol
from soco_datasets.lvlm.run import AskOptions, run_questions

pytestmark = pytest.mark.lvlm


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("models")
    return {name: save(root / name) for name, save in FAMILIES.items()}


@pytest.fixture(scope="session")
def qwen(folders: dict[str, Path]) -> VisionLanguageModel:
    return load_vision_language_model(folders["qwen2_5_vl"], device="cpu")


def picture(seed: int, size: tuple[int, int] = (90, 70)) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))


CHATS = [
    Chat((picture(0), picture(1, (60, 100)), "Which of the points A, B, C and D?")),
    Chat((picture(2), picture(3), "Which?")),
    Chat((picture(4), "One picture only: which of them?")),
    Chat((picture(5), "One picture only: which of them?")),
]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_batch_answers_as_one_by_one(folders: dict[str, Path], family: str) -> None:
    model = load_vision_language_model(folders[family], device="cpu")
    together = model.answer(CHATS, 6)
    assert together == [model.answer([chat], 6)[0] for chat in CHATS]
    assert len({reply.text for reply in together}) == len(CHATS)
    assert all(0 < reply.output_tokens <= 6 for reply in together)
    assert model.record["model_type"] == family
    assert {"dtype": "float32", "device": "cpu", "decoding": "greedy"}.items() <= model.record.items()
    assert model.record["processor"]["image_processor"].endswith("Pil")
    json.dumps(model.record)


@pytest.mark.parametrize("family", FAMILIES)
def test_pictures_reach_the_model(folders: dict[str, Path], family: str) -> None:
    import torch

    model = load_vision_language_model(folders[family], device="cpu")
    inputs = [model._inputs([Chat((picture(seed), "Which?"))]) for seed in (0, 1)]
    assert inputs[0]["input_ids"].equal(inputs[1]["input_ids"])
    with torch.inference_mode():
        logits = [model.model(**part).logits[0, -1] for part in inputs]
    assert not torch.allclose(logits[0], logits[1], atol=1e-6)


def test_inputs_are_those_of_the_released_processor_class(qwen: VisionLanguageModel) -> None:
    """By hand: 90x84 becomes 84x84 of 14-pixel patches, merged by four: 9 tokens in place of one."""
    inputs = qwen._inputs([Chat((picture(0, (90, 84)), "Which?"))])
    assert inputs["image_grid_thw"].tolist() == [[1, 6, 6]]
    pad = qwen.processor.tokenizer.convert_tokens_to_ids("<|image_pad|>")
    assert int((inputs["input_ids"] == pad).sum()) == 9
    assert type(qwen.processor).__name__ == "Qwen2_5_VLProcessor"


def test_greedy_is_plain(folders: dict[str, Path], tmp_path: Path, qwen: VisionLanguageModel) -> None:
    folder = tmp_path / "sampling"
    shutil.copytree(folders["qwen2_5_vl"], folder)
    path = folder / "generation_config.json"
    own = json.loads(path.read_text())
    path.write_text(json.dumps({**own, "do_sample": True, "temperature": 5.0, "repetition_penalty": 9.0}))
    assert load_vision_language_model(folder, device="cpu").answer(CHATS, 6) == qwen.answer(CHATS, 6)


def test_a_question_that_does_not_fit(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = tiny_vlm.qwen2_5_vl(tmp_path / "short", max_position_embeddings=60)
    model = load_vision_language_model(folder, device="cpu")
    long, *others = model.answer(CHATS, 6)
    assert (long.text, long.stop, long.output_tokens) == ("", "model_length", 0)
    assert long.input_tokens > 54
    assert [reply.stop for reply in others] != ["model_length"] * 2
    assert others == model.answer(CHATS[1:], 6)
    with pytest.raises(SocoError, match="No question fits in the context"):
        run_questions([small_asked()], ModelOptions(str(folder), device="cpu"), tmp_path, AskOptions(max_tokens=100))
    record = json.loads((tmp_path / "short" / "vis.run.json").read_text())
    assert record["counts"]["no_context"] == 8


def test_max_pixels(folders: dict[str, Path]) -> None:
    assert shrink(picture(0, (100, 50)), 1250).size == (50, 25)
    assert shrink(picture(0, (3, 1)), 1).size == (1, 1)
    assert shrink(picture(0).convert("L"), None).mode == "RGB"
    model = load_vision_language_model(folders["qwen2_5_vl"], device="cpu", max_pixels=28 * 28)
    assert model._inputs(CHATS[:1])["image_grid_thw"].prod(dim=1).tolist() == [4, 4]
    assert model.record["max_pixels"] == 784


def test_memory_that_runs_out_halves_the_batch(qwen: VisionLanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    whole, sizes = qwen.answer(CHATS[:3], 4), []
    real = VisionLanguageModel._answer

    def limited(self: VisionLanguageModel, chats: Sequence[Chat], max_tokens: int, sampling: Sampling) -> list[Reply]:
        sizes.append(len(chats))
        if len(chats) > room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(self, chats, max_tokens, sampling)

    monkeypatch.setattr(VisionLanguageModel, "_answer", limited)
    room = 1
    assert qwen.answer(CHATS[:3], 4) == whole
    assert sizes == [3, 1, 2, 1, 1]
    room = 0
    with pytest.raises(BackboneError, match="--max-pixels"):
        qwen.answer(CHATS[:1], 4)


@pytest.mark.parametrize("family", ["qwen2_5_vl", "llava_onevision"])
def test_a_run_of_three_settings(folders: dict[str, Path], tmp_path: Path, family: str) -> None:
    asked = [small_asked(setting) for setting in ("vis", "vis_desc", "desc")]
    options = ModelOptions(str(folders[family]), device="cpu", batch_size=3)
    results = run_questions(asked, options, tmp_path, AskOptions(max_tokens=4))
    for result in results:
        counts = result.record["counts"]
        assert counts["answered"] + counts["empty"] == 8
        assert result.record["model"]["weights_hash"]
        assert result.record["model"]["batch_size"] == 3
    lines = [result.answers.read_text() for result in results]
    cut = results[0].answers.read_text().splitlines(keepends=True)[:4]
    results[0].answers.write_text("".join(cut) + '{"key": "torn')
    resumed = run_questions(asked, options, tmp_path, AskOptions(max_tokens=4))
    assert [sorted(result.answers.read_text().splitlines()) for result in resumed] == [
        sorted(text.splitlines()) for text in lines
    ]
    with pytest.raises(UsageError, match="another run"):
        run_questions(asked, ModelOptions(str(folders[family]), device="cpu", max_pixels=900), tmp_path)


def test_inspect_asks_the_provider_with_images(folders: dict[str, Path], qwen: VisionLanguageModel) -> None:
    model = open_model(ModelOptions(str(folders["qwen2_5_vl"]), device="cpu", batch_size=2))
    message = ChatMessageUser(content=[ContentImage(image=data_uri(picture(0))), ContentText(text="Which?")])
    output = anyio.run(model.generate, [message])
    reply = qwen.answer([Chat((picture(0), "Which?"))], hf_provider.DEFAULT_MAX_TOKENS)[0]
    assert (output.completion, output.stop_reason) == (reply.text, reply.stop)
    assert output.usage is not None
    assert (output.usage.input_tokens, output.usage.output_tokens) == (reply.input_tokens, reply.output_tokens)
    model.api.close()


@pytest.mark.parametrize(
    ("message", "error"),
    [
        (ChatMessageSystem(content="Be brief."), "role 'system'"),
        (ChatMessageUser(content=[ContentImage(image="https://example.org/a.png")]), "data URIs"),
        (ChatMessageUser(content=[ContentImage(image="data:image/png;base64,AAAA")]), "cannot be decoded"),
        (ChatMessageUser(content=[ContentAudio(audio="data:audio/wav;base64,AAAA", format="wav")]), "got audio"),
    ],
)
def test_messages_that_are_no_question(message: Any, error: str) -> None:
    with pytest.raises(SocoError, match=error):
        chat_of([message])


def test_batches_hold_at_most_their_size_and_errors_stay_with_their_questions() -> None:
    sizes: list[int] = []
    started = threading.Event()

    def answer(chats: Sequence[Chat], max_tokens: int) -> list[Reply]:
        started.wait()
        sizes.append(len(chats))
        if any("bad" in chat.parts for chat in chats):
            raise ValueError("no")
        return [Reply(str(chat.parts[0]), "stop", max_tokens, 1) for chat in chats]

    batches = Batches(answer, 4)
    futures = [batches.submit(Chat((str(number),)), 7) for number in range(10)]
    started.set()
    assert [future.result().text for future in futures] == [str(number) for number in range(10)]
    assert max(sizes) <= 4
    with pytest.raises(ValueError, match="no"):
        batches.submit(Chat(("bad",)), 7).result()
    assert batches.submit(Chat(("good",)), 7).result().text == "good"
    batches.close()


def spoil(folders: dict[str, Path], out: Path, **changes: Any) -> Path:
    """A copy with another config.json; a change to None removes that file."""
    shutil.copytree(folders["qwen2_5_vl"], out)
    for name, value in changes.items():
        if value is None:
            (out / name).unlink()
        else:
            config = json.loads((out / "config.json").read_text())
            (out / "config.json").write_text(json.dumps({**config, name: value}))
    return out


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "bert"}, "takes no image input"),
        ({"model_type": "internvl_chat", "auto_map": {"AutoConfig": "x.Y"}}, "never run.*-HF"),
        ({"chat_template.jinja": None}, "no chat template"),
        ({"preprocessor_config.json": None}, "processor .* cannot be loaded"),
        ({"tokenizer.json": None}, "cannot be loaded"),
        ({"model.safetensors": None}, "no weights"),
    ],
)
def test_folders_that_are_no_such_model(
    folders: dict[str, Path], tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    folder = spoil(folders, tmp_path / "spoilt", **changes)
    with pytest.raises(BackboneError, match=message):
        open_model(ModelOptions(str(folder), device="cpu"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dtype": "float8"}, "Unknown dtype"),
        ({"max_pixels": 0}, "at least 1"),
        ({"batch_size": 0}, "at least one question"),
        ({"revision": "main"}, "is a folder"),
        ({"device": "cuda:99"}, "cannot be used here|no CUDA support"),
        ({"base_url": "http://localhost/v1"}, "--base-url is for a remote model"),
    ],
)
def test_options_that_make_no_sense(folders: dict[str, Path], changes: dict[str, Any], message: str) -> None:
    name = f"soco_hf/{folders['qwen2_5_vl']}"
    with pytest.raises(UsageError, match=message):
        open_model(ModelOptions(**{"model": name, "device": "cpu", **changes}))


@pytest.mark.parametrize("settings", [("vis",), ("vis", "desc")])
def test_a_model_is_loaded_once(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: tuple[str, ...]
) -> None:
    """inspect-ai builds the provider again, with a placeholder key and default options, to look up facts of it."""
    from inspect_ai.model import get_model_info

    loads = count_loads(monkeypatch)
    options = ModelOptions(str(folders["qwen2_5_vl"]), device="cpu", max_pixels=2000)
    get_model_info(f"soco_hf/{folders['qwen2_5_vl']}")
    run_questions([small_asked(setting, 1) for setting in settings], options, tmp_path, AskOptions(max_tokens=2))
    assert loads == [str(folders["qwen2_5_vl"])]


def test_inspect_eval_loads_a_model_once(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from inspect_ai import eval as evaluate

    from soco_datasets.lvlm.inspect_task import make_task

    loads = count_loads(monkeypatch)
    tasks = [make_task(small_asked(setting, 1)) for setting in ("vis", "desc")]
    arguments = {"device": "cpu", "batch_size": 2}
    logs = evaluate(
        tasks, model=f"soco_hf/{folders['internvl']}", model_args=arguments, log_dir=str(tmp_path), display="none",
        max_tokens=2,
    )  # fmt: skip
    assert [log.status for log in logs] == ["success", "success"]
    assert len(loads) == 1


def count_loads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    from transformers import AutoModelForImageTextToText

    loads: list[str] = []
    real = AutoModelForImageTextToText.from_pretrained

    def counted(folder: Any, **arguments: Any) -> Any:
        loads.append(str(folder))
        return real(folder, **arguments)

    monkeypatch.setattr(AutoModelForImageTextToText, "from_pretrained", counted)
    return loads


def test_pixel_limits_reach_the_processor_that_has_them(folders: dict[str, Path]) -> None:
    """By hand: 60x45 enlarged by sqrt(12544 / 2700) is 129.3x97.0."""
    chat = Chat((picture(0, (60, 45)), "Which?"))
    limits = {"min_pixels": 28 * 28 * 16, "max_pixels": 28 * 28 * 64}
    qwen = load_vision_language_model(folders["qwen2_5_vl"], device="cpu", **limits)
    grid = qwen._inputs([chat])["image_grid_thw"].tolist()[0]
    assert grid[1] * grid[2] >= 16 * 4
    assert qwen.record["processor"]["size"] == {"shortest_edge": 28 * 28 * 16, "longest_edge": 28 * 28 * 64}
    assert limits.items() <= qwen.record.items()
    other = load_vision_language_model(folders["internvl"], device="cpu", **limits)
    assert enlarge(picture(0, (60, 45)), limits["min_pixels"]).size == (130, 97)
    assert other.record["min_pixels"] == 28 * 28 * 16
    with pytest.raises(UsageError, match="larger than"):
        load_vision_language_model(folders["internvl"], min_pixels=9, max_pixels=8)


def test_the_protocol_of_the_paper_on_local_families(tmp_path: Path) -> None:
    """The released settings of Qwen2.5-VL and InternVL3.5; answers cut short, which the record says."""
    for family, save in (("qwen2_5_vl", tiny_vlm.qwen2_5_vl), ("internvl", tiny_vlm.internvl)):
        options = {"max_position_embeddings": 16384} if family == "qwen2_5_vl" else {}
        model = ModelOptions(str(save(tmp_path / family, **options)), device="cpu", batch_size=1)
        applied = apply_protocol("paper", model, AskOptions(max_tokens=2), ["max_tokens"])
        asked = replace(small_asked("vis", 1), template=applied.template)
        (result,) = run_questions([asked], applied.model, tmp_path / "out", applied.options)
        record = result.record
        assert record["asked"]["protocol"]["changed"] == ["max_tokens"]
        assert record["asked"]["template"] == applied.template.name
        if family == "qwen2_5_vl":
            assert record["model"]["min_pixels"] == 1280 * 28 * 28
            assert (record["asked"]["temperature"], record["model"]["decoding"]) == (0.01, "sampling")
            assert record["tokens"]["input_tokens"] > 4 * 2 * 1280  # two pictures of at least 1,280 tokens each
        else:
            assert (record["asked"]["temperature"], record["model"]["decoding"]) == (0.0, "greedy")
            labels = [part for part in asked.content(0) if isinstance(part, str)]
            assert labels[:2] == ["Image-1: ", "\nImage-2: "]
            assert labels[2].startswith("\nQuestion 0?\nA. Point A")
            assert labels[2].endswith("Answer with the option's letter from the given choices directly.")


def test_two_families_point(folders: dict[str, Path], tmp_path: Path) -> None:
    from helpers.small_release import make_release

    from soco_datasets.benchmarks.build import build_dataset
    from soco_datasets.data.folder import open_folder
    from soco_datasets.lvlm.point_run import PointOptions, run_pointing
    from soco_datasets.lvlm.subsets import SubsetOptions

    build_dataset(make_release(tmp_path / "release"), tmp_path / "built")
    for family, frame in (("qwen2_5_vl", "resized"), ("internvl", "thousandths")):
        options = PointOptions(("vis", "desc"), SubsetOptions(limit=1), dots=2)
        model = ModelOptions(str(folders[family]), device="cpu", batch_size=2)
        found = run_pointing(open_folder(tmp_path / "built"), model, tmp_path, AskOptions(max_tokens=2), options)
        assert found.frame == frame  # random weights find no dot: the declared frame stays
        assert found.evaluation.result.counts["keypoints"] == 2


def test_sampled_answers_repeat_with_their_seed(qwen: VisionLanguageModel) -> None:
    hot = [Sampling(5.0, top_p=0.99, top_k=50, seed=seed) for seed in (1, 1, 2)]
    texts = [[reply.text for reply in qwen.answer(CHATS, 6, sampling)] for sampling in hot]
    assert texts[0] == texts[1] != texts[2]
    assert qwen.answer(CHATS, 6, Sampling(0.01, top_p=0.001, top_k=1)) == qwen.answer(CHATS, 6)


def test_the_provider_is_found_by_name(folders: dict[str, Path]) -> None:
    model = get_model(f"soco_hf/{folders['internvl']}", memoize=False, device="cpu", batch_size=1)
    assert isinstance(model.api, hf_provider.SocoHuggingFaceAPI)
    assert model.api.max_connections() == 2
    model.api.close()
