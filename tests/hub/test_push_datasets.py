"""Pushing loaded datasets with `datasets` itself: what arrives on the Hub needs neither this package nor the folder."""

from __future__ import annotations

from pathlib import Path

from helpers.hub_clients import run_python
from helpers.loopback_hub import LoopbackHub

PUSH = """
import sys
import numpy as np
import soco_datasets
from datasets import load_dataset

questions = load_dataset("soco", "lvlm", split="vis", data_dir={data!r}).select(range(3))
questions.push_to_hub("alice/questions")
pairs = load_dataset("soco", "cross_soc", split="all", data_dir={data!r}).shuffle(seed=0).select(range(3))
pairs.push_to_hub("alice/pairs")
splits = load_dataset("soco", "soc", data_dir={data!r})
for name in splits:
    splits[name] = splits[name].select(range(2))
splits.push_to_hub("alice/soc")
try:
    splits["all"].push_to_hub("alice/more", split="all")
except ValueError as error:
    assert "all_pairs" in str(error)
else:
    raise SystemExit("pushed under a name that nobody can load")
for row in [*questions, *pairs, *splits["test"], *splits["all"]]:
    print(row.get("pair_id", row.get("question_id")), [int(np.asarray(row[name], dtype=int).sum()) for name in ("source_image", "target_image")])
"""
READ = """
import sys
import numpy as np
from datasets import load_dataset

loaded = [load_dataset("alice/questions", split="vis"), load_dataset("alice/pairs", split="all_pairs")]
loaded += [load_dataset("alice/soc", split=name) for name in ("test", "all_pairs")]
for rows in loaded:
    for row in rows:
        print(row.get("pair_id", row.get("question_id")), [int(np.asarray(row[name], dtype=int).sum()) for name in ("source_image", "target_image")])
assert "soco_datasets" not in sys.modules
"""


def test_questions_pairs_and_all_splits_arrive_with_their_images(built_mini: Path, tmp_path: Path) -> None:
    with LoopbackHub() as hub:
        hub.add_account("hf_alice", "alice")
        pushed = run_python(hub, tmp_path, PUSH.format(data=str(built_mini)), token="hf_alice", home="one").stdout
        read = run_python(hub, tmp_path, READ, token="hf_alice", home="other").stdout
    ours, theirs = pushed.splitlines(), read.splitlines()
    assert len(ours) == len(theirs) == 10
    assert theirs[3:] == ours[3:]
    for one, other in zip(ours[:3], theirs[:3], strict=True):  # drawn pictures are compressed once more
        assert one.split(" ")[0] == other.split(" ")[0]
