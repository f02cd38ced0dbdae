"""`soco publish-metric`, and `evaluate.load` of the Space with the real client."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from helpers.hub_clients import run_python, run_soco
from helpers.loopback_hub import LoopbackHub
from helpers.loopback_store import front_matter

PAIR = {
    "pair_id": "intra/car/1",
    "pair_group": "car",
    "target_size": [200, 100],
    "target_bbox": [0, 0, 100, 80],
    "keypoints": ["left_wheel", "roof"],
    "target_points": [[[50, 60]], [[90, 10]]],
}


@pytest.fixture
def hub():
    with LoopbackHub() as made:
        made.add_account("hf_alice", "alice", orgs=("lab",))
        yield made


def test_the_space_is_published_once_and_loads(hub: LoopbackHub, tmp_path: Path) -> None:
    repo = "lab/pck_of_parts"  # the module takes the name of the Space, which is where `evaluate` looks for it
    run_soco(hub, tmp_path, "publish-metric", "--repo", repo, token="hf_alice")
    files = hub.files("space", repo)
    assert set(files) == {"README.md", "app.py", "requirements.txt", "pck_of_parts.py"}
    card = files["README.md"].decode()
    assert front_matter(card)["sdk"] == "gradio"
    assert f'evaluate.load("{repo}")' in card
    again = run_soco(hub, tmp_path, "publish-metric", "--repo", repo, token="hf_alice")
    assert "nothing to send" in again.stdout
    assert len(hub.requests_of("POST", "/commit/")) == 1
    space = tmp_path / "app"  # where the files of a running Space lie
    space.mkdir()
    for path, data in files.items():
        (space / path).write_bytes(data)
    script = f"""
    import sys
    import evaluate
    metric = evaluate.load({repo!r})
    scores = metric.compute(predictions=[[[55, 60], [20, 10]]], references=[{PAIR!r}], alphas=[0.1])
    sys.path.insert(0, {str(space)!r})
    import app
    form = app.score(json.dumps(app.EXAMPLE_PREDICTIONS), json.dumps(app.EXAMPLE_REFERENCES))
    print(json.dumps([scores["pck@0.1"], scores["keypoints"], form["pck@0.1"]]))
    """
    assert json.loads(run_python(hub, tmp_path, script).stdout) == [0.5, 2, 0.5]


@pytest.mark.parametrize(
    ("repo", "token", "said"),
    [
        ("lab/soco-pck", "hf_alice", "must be a Python name"),
        ("lab/soco_pck", None, "No Hub token"),
        ("lab/taken", "hf_alice", "The name is taken"),
    ],
)
def test_faults_say_what_to_do(hub: LoopbackHub, tmp_path: Path, repo: str, token: str | None, said: str) -> None:
    hub.add_repo("space", "lab/taken", {"index.html": b"x"})
    done = run_soco(hub, tmp_path, "publish-metric", "--repo", repo, token=token, check=False)
    assert done.returncode == 2
    assert said in done.stderr
    assert not hub.requests_of("POST", "/commit/")
