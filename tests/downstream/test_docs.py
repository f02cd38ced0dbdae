"""Every command of the pages on downstream tasks and the study runs, on synthetic data in place of the real one."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.released_imagenet3d import write_released_imagenet3d
from helpers.shared_builds import built_mini
from helpers.shared_data import DATA

from soco_datasets.cli import main

pytest.importorskip("matplotlib")
pytest.importorskip("scipy")
pytestmark = pytest.mark.slow
DOCS = Path(__file__).resolve().parents[2] / "docs" / "howto"
PAGES = (
    "downstream.md",
    "downstream_study.md",
    *(f"downstream/{one.name}" for one in sorted((DOCS / "downstream").glob("*.md"))),
)
KINDS = {"ADEChallengeData2016": "ade20k", "tapvid_davis": "davis"}  # folder in the docs -> kind, where they differ


def commands(page: str) -> list[list[str]]:
    """The arguments of each `soco` line of a page's bash blocks."""
    blocks = re.findall(r"```bash\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    found = [shlex.split(line, comments=True) for line in lines]
    return [one[1:] for one in found if one and one[0] == "soco"]


def adapted(arguments: list[str], synthetic: Callable[[str], Path], root: Path) -> list[str]:
    """The same command on small data, with a tiny model and tiny heads."""

    def place(match: re.Match[str]) -> str:
        name = match[1]
        return str(root / name if name.startswith("imagenet3d") else synthetic(KINDS.get(name, name)))

    changed = [re.sub(r"/data/(\w+)", place, one).replace("facebook/dinov2-base", "tiny_dinov2") for one in arguments]
    if changed[:2] == ["downstream", "run"] or (changed[0] == "study" and "--models" in changed):
        if "--protocol" in changed:
            changed[changed.index("--protocol") + 1] = "tiny"
        else:
            changed += ["--protocol", "tiny"]
        changed += ["--subset", "4", "--device", "cpu"]
    return [*changed, "--image-size", "112"] if changed[0] == "study" and "--models" in changed else changed


def prepare(synthetic: Callable[[str], Path], root: Path) -> None:
    """The files that the pages suppose."""
    write_released_imagenet3d(root / "imagenet3d_v1")
    (root / "Omni3D").symlink_to(synthetic("omni3d") / "Omni3D")
    truth = json.loads((root / "Omni3D" / "ARKitScenes_test.json").read_text())
    found = [
        {"image_id": one["image_id"], "category_id": one["category_id"], "score": 1.0, "bbox3D": one["bbox3D_cam"]}
        for one in truth["annotations"]
    ]
    (root / "predictions.json").write_text(json.dumps(found))
    (root / "soco").symlink_to(built_mini())
    (root / "models.csv").write_text("model,dense_ssl,doubt\ntiny_dinov2,yes,\ndense_sift,no,\n")
    for name, paper in (("table2.csv", "table2_main_results.csv"), ("table_r8.csv", "table_r8_downstream.csv")):
        (root / name).write_bytes((DATA / "paper" / paper).read_bytes())


def test_there_are_commands() -> None:
    assert {page: len(commands(page)) for page in PAGES if commands(page)}.keys() >= set(PAGES) - {
        "downstream/nyu_normals.md"
    }


@pytest.mark.parametrize("page", PAGES)
def test_every_command_runs(
    page: str,
    synthetic: Callable[[str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    prepare(synthetic, tmp_path)
    if "results" in (DOCS / page).read_text():
        evaluate = ["evaluate", "--model", "tiny_dinov2", "--data", "mini", "--image-size", "112", "--out", "results"]
        assert main([*evaluate, "--device", "cpu"]) == 0
    for arguments in commands(page):
        command = [
            part
            for one in adapted(arguments, synthetic, tmp_path)
            for part in (map(str, sorted(Path().glob(one))) if "*" in one else [one])
        ]
        capsys.readouterr()
        code = main(command)
        if command[0] == "correlate":  # two models are too few
            said = capsys.readouterr().err
            assert code == 2
            assert "needs at least 3 models" in said, said
            continue
        assert code == 0, (command, capsys.readouterr().err)
