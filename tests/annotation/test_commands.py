"""The commands that docs/howto/annotation.md shows but does not run: in this process, through the command line's `main`."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from annotation.helpers import NAMES, cup_project, token_of

from soco_datasets.annotation.opened import open_project
from soco_datasets.annotation.simulation import Habits, simulate
from soco_datasets.annotation.starting import first_owner_link
from soco_datasets.cli import main

POINTS = {NAMES[0]: (30.0, 40.0), NAMES[2]: (60.0, 50.0), NAMES[3]: (150.0, 52.0)}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "cups"
    with cup_project(folder, annotators_per_image=1) as bench:
        simulate(bench, {1: POINTS, 2: POINTS}, {"Ada": Habits(noise=0)})
        token_of(bench, "Rae", "reviewer")
    return folder


def test_people(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["annotate", "invite", str(project), "Bob", "Cleo", "--url", "https://a.example"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("\t")[0] for line in lines] == ["Bob", "Cleo"]
    assert all(line.split("\t")[1].startswith("https://a.example/annotate#soco-") for line in lines)
    assert main(["annotate", "invite", str(project), "Ada", "--role", "reviewer"]) == 2
    assert "is invited as annotator" in capsys.readouterr().err
    assert main(["annotate", "invite", str(project), "<b>", "--role", "reviewer"]) == 2
    assert main(["annotate", "people", str(project), "--pause", "Adda"]) == 2
    assert "Did you mean 'Ada'" in capsys.readouterr().err
    assert main(["annotate", "people", str(project), "--pause", "Ada"]) == 0
    capsys.readouterr()
    assert main(["annotate", "people", str(project)]) == 0
    assert "Ada\tannotator\tpaused\t2 images" in capsys.readouterr().out
    assert main(["annotate", "mturk", str(project), "--public-url", "https://a.example"]) == 0
    assert "/mturk?key=" in (ElementTree.fromstring(capsys.readouterr().out)[0].text or "")


def test_results(project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["annotate", "aggregate", str(project)]) == 0
    images = json.loads(capsys.readouterr().out)
    assert [image["points"][NAMES[0]]["x"] for image in images] == [30.0, 30.0]
    assert main(["annotate", "aggregate", str(project), "--at", "2020-01-01"]) == 0
    assert json.loads(capsys.readouterr().out) == []
    assert main(["annotate", "aggregate", str(project), "--at", "yesterday"]) == 2
    assert main(["annotate", "review", str(project)]) == 0
    assert '"judged": 0' in capsys.readouterr().out
    for name in ("coco", "label-studio", "csv"):
        out = tmp_path / f"points.{name}"
        assert main(["annotate", "export", str(project), "--format", name, "--out", str(out)]) == 0
        arguments = ["annotate", "import", str(project), str(out), "--format", name, "--as", f"annotator:{name}"]
        assert main(arguments) == 0
    assert "2 images" in capsys.readouterr().out
    assert main(["annotate", "backup", str(project), "--out", str(tmp_path / "b.sqlite")]) == 0
    assert main(["annotate", "backup", str(project), "--out", str(tmp_path / "b.sqlite")]) == 2
    assert main(["annotate", "export", str(project), "--format", "voc", "--out", str(tmp_path / "x")]) == 2
    assert main(["annotate", "export", str(project), "--out", str(tmp_path / "r"), "--zip"]) == 0
    assert sorted(path.name for path in (tmp_path / "r").iterdir()) == [
        "Images.zip", "KeypointAnnotations.zip", "Metadata", "PairAnnotations.zip",
    ]  # fmt: skip
    assert main(["annotate", "report", str(tmp_path / "none")]) == 1
    assert "soco annotate init" in capsys.readouterr().err


def test_a_first_owner_gets_a_link_once(project: Path) -> None:
    with open_project(project) as bench:
        assert "/owner#soco-" in (first_owner_link(bench, "http://127.0.0.1:8000") or "")
        assert first_owner_link(bench, "http://127.0.0.1:8000") is None
