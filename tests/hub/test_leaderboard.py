"""`soco leaderboard`: the Hub's entries, results here and the paper's models in one table."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from helpers.hub_clients import run_soco
from helpers.hub_results import BENCHMARK, board_files, make_result, published
from helpers.loopback_hub import LoopbackHub
from hypothesis import given
from hypothesis import strategies as st

from soco_datasets.benchmarks.soco.paper import headline
from soco_datasets.cli import main
from soco_datasets.errors import UsageError
from soco_datasets.hub.leaderboard import (
    Entry,
    all_standings,
    leaderboard_csv,
    paper_entries,
    standings,
    table_rows,
    tasks_in,
    text_tables,
    to_json,
)
from soco_datasets.hub.local_entries import local_entries
from soco_datasets.records.evaluation import EvaluationResult

EVIL = "<img src=x onerror=alert(1)>\u202e\x1b[31m=1+1"


def entry_yaml(task: str, value: object, notes: str = "n", revision: str = "") -> str:
    about = {"id": BENCHMARK, "task_id": task, **({"revision": revision} if revision else {})}
    return json.dumps({"dataset": about, "value": value, "notes": notes, "source": {"url": "https://example.org/run"}})


def results_file(*entries: str) -> dict[str, bytes]:
    return {".eval_results/x.yaml": f"[{', '.join(entries)}]".encode()}


@pytest.fixture
def hub(built_mini: Path):
    with LoopbackHub() as made:
        files = board_files(built_mini)
        soco = files["manifest.json"].replace(b'"id": "mini"', b'"id": "GenIntelLab/SOCO"')
        made.add_repo("dataset", BENCHMARK, {**files, "manifest.json": soco})
        made.add_account("hf_bob", "bob")
        yield made


def test_the_papers_forty_models_are_there() -> None:
    entries = paper_entries([EvaluationResult])
    assert len(entries) == 40
    for entry in entries:
        assert {task: percent for (task, part), percent in entry.scores.items() if part == "overall"} == headline(
            entry.model
        )
    dinov2 = next(entry for entry in entries if entry.model == "dinov2_b14")
    assert dinov2.scores["cc", "animals"] == 83.1


def test_one_table_of_all_three_sources(hub: LoopbackHub, tmp_path: Path, built_mini: Path) -> None:
    make_result(built_mini, tmp_path / "results", name="mine")
    (tmp_path / "results" / "notes.json").write_text('{"not": "a record"}')
    hub.add_repo(
        "model",
        "lab/good",
        results_file(entry_yaml("cc", 99.0), entry_yaml("soc", 98.5), entry_yaml("soc_animals", 7.0)),
    )
    hub.add_repo("model", "lab/wrong", results_file(entry_yaml("cc", 12345), entry_yaml("soc", -1)))
    hub.add_repo("model", "läb/näme", results_file(entry_yaml("cc", 97.0)))
    hub.add_repo("model", "lab/other", {".eval_results/y.yaml": b"- {dataset: {id: a/b, task_id: cc}, value: 5}"})
    proposed = hub.add_repo("model", "lab/proposed")
    pull = proposed.open_pull_request("results", "bob")
    hub.commit(proposed, results_file(entry_yaml("cc", 50.0), entry_yaml("soc", 40.0)), pull.ref)
    arguments = ("leaderboard", "--dataset-repo", BENCHMARK, "--local", tmp_path / "results")
    shown = run_soco(hub, tmp_path, *arguments)
    table, questions = shown.stdout.split("\n\n")
    lines = {line.split()[1]: line.split() for line in table.splitlines()[2:]}
    assert len(lines) == 40 + 1 + 2
    assert lines["lab/good"] == ["1", "lab/good", "99.00", "98.50", "-", "claimed", "hub"]
    assert lines["lab/proposed"][4:] == ["-", "proposed", "hub"]
    assert lines["mine"][-2:] == ["local", "2026-01-31"]
    assert lines["dinov2_l14"][3:] == ["62.40", "56.94", "from", "paper", "paper", "2026-05"]
    ranks = [int(line.split()[0]) for line in table.splitlines()[2:]]
    assert ranks == sorted(ranks)
    assert questions.startswith("circular accuracy in percent, overall, ranked by LVLM Vis.\n")
    assert [line.split()[1] for line in questions.splitlines()[2:5]] == ["DINOv2", "Qwen3-VL-8B", "GPT4o"]
    assert len(questions.splitlines()) == 2 + 10
    assert "lab/wrong, cc: left out, 12345 is in the wrong unit" in shown.stderr
    assert "notes.json is left out, not a result record" in shown.stderr
    assert "läb/näme is left out: 'läb/näme' is not the name of a Hub repository" in shown.stderr
    one = run_soco(hub, tmp_path, *arguments, "--task", "soc", "--supercategory", "animals", "--json")
    records = json.loads(one.stdout)
    assert {record["task"] for record in records} == {"soc"}
    assert len(records) == 14 + 1 + 1
    assert next(r for r in records if r["model"] == "lab/good")["percent"] == 7.0


def test_faults_of_the_hub_are_told(hub: LoopbackHub, tmp_path: Path) -> None:
    hub.add_repo("model", "lab/good", results_file(entry_yaml("cc", 99.0)))
    hub.add_repo("model", "lab/better", results_file(entry_yaml("cc", 99.5)))
    hub.fail("GET", "/api/models/lab/better", 404, code="RepoNotFound", times=9)
    shown = run_soco(hub, tmp_path, "leaderboard", "--dataset-repo", BENCHMARK, "--task", "cc", "--source", "hub")
    assert [line.split()[1] for line in shown.stdout.splitlines()[2:]] == ["lab/good"]
    assert "lab/better is left out" in shown.stderr
    hub.fail("GET", "/leaderboard", 400, skip=1)
    first = run_soco(hub, tmp_path, "leaderboard", "--dataset-repo", BENCHMARK, "--task", "cc", "--source", "hub")
    assert "lab/good" in first.stdout
    assert "models that have only results of lvlm_vis may be left out" in first.stderr
    no_board = hub.fail("GET", f"/api/datasets/{BENCHMARK}/leaderboard$", 404, times=9)
    others = run_soco(hub, tmp_path, "leaderboard", "--dataset-repo", BENCHMARK, "--task", "cc")
    assert "the Hub has no leaderboard of lab/soco" in others.stderr
    assert "allow-list" in others.stderr
    assert "dinov2_l14" in others.stdout
    hub.faults.remove(no_board)
    hub.fail("GET", "/leaderboard", 403, times=9)
    refused = run_soco(hub, tmp_path, "leaderboard", "--dataset-repo", BENCHMARK, check=False)
    assert refused.returncode == 1
    assert refused.stdout == ""
    assert "Cannot read the leaderboard of lab/soco" in refused.stderr
    missing = run_soco(hub, tmp_path, "leaderboard", "--dataset-repo", "lab/none", check=False)
    assert "no dataset of this name exists" in missing.stderr


def test_local_results_that_do_not_fit_are_left_out_with_the_reason(built_mini: Path, tmp_path: Path) -> None:
    make_result(built_mini, tmp_path, name="mini")
    (tmp_path / "mine.probe.json").write_text("{}")  # what `soco evaluate --protocol paper` writes too
    alone = local_entries(tmp_path, None)
    assert not any("probe" in remark for remark in alone.remarks)
    assert alone.entries == ()
    assert "evaluated on mini, not on SOCO" in alone.remarks[0]
    (apart,) = local_entries(tmp_path, None, unranked=True).entries
    assert apart.label == "unranked"
    assert "evaluated on mini" in apart.verified
    (looked_at,) = local_entries(tmp_path, None, check=True, data=str(built_mini), unranked=True).entries
    assert looked_at.label == "unranked, claimed"
    paper = paper_entries([EvaluationResult])
    rows = table_rows([*paper, apart], ["cc", "soc"], sort="soc")
    (place,) = [number for number, row in enumerate(rows) if row[1] == "mini"]
    assert rows[place][0] == "-"
    assert rows[:place] + rows[place + 1 :] == table_rows(paper, ["cc", "soc"], sort="soc")
    assert float(rows[place][3]) >= float(rows[place + 1][3])  # it stands where its number puts it
    assert (all_standings([apart])[0].rank, standings([apart], "soc")) == (None, [])
    assert str(tmp_path) not in str((alone, apart))
    ((_, table),) = text_tables([*paper, apart], "soc")
    lines = table.text().splitlines()
    assert [lines[row].split()[1] for (row, column), style in table.styles.items() if column is None] == ["mini"]
    odd = Entry(
        "odd", "local", {("soc", "overall"): 3.0, ("cross_cc", "overall"): 4.0}, unranked="the image size is 140"
    )
    (_, wide), *_ = text_tables([*paper, odd])
    head = wide.text(70).splitlines()[0].split()
    assert "Cross-SOC" in head
    assert "Cross-CC" not in head  # nobody who is ranked has it: hidden before the others
    starts = {line.index(line.split()[1]) for line in lines}
    assert len(starts) == 1  # names begin in one column
    with_board = local_entries(tmp_path, published(built_mini), check=True, data=str(built_mini))
    assert [entry.label for entry in with_board.entries] == ["claimed"]
    assert with_board.remarks == ()


def test_results_of_one_model_are_named_by_what_differs(built_mini: Path, tmp_path: Path) -> None:
    first = make_result(built_mini, tmp_path, name="mini")
    fields = json.loads(first.read_text())
    for number, (layer, size) in enumerate(((-1, 285), (0, 285))):
        fields["protocol"] |= {"layer": layer, "image_size": size}
        (tmp_path / f"{number}.json").write_text(json.dumps(fields))
    found = local_entries(tmp_path, None, unranked=True).entries
    assert [entry.model for entry in found] == [
        "mini (285 px, last layer)", "mini (285 px, layer 0)", "mini (800 px, last layer)",
    ]  # fmt: skip


def test_an_altered_local_result_is_marked(built_mini: Path, tmp_path: Path) -> None:
    record = make_result(built_mini, tmp_path)
    fields = json.loads(record.read_text())
    fields["metrics"]["soc"]["pair"]["0.1"]["overall"]["pck"] = 0.99
    record.write_text(json.dumps(fields))
    found = local_entries(tmp_path, published(built_mini), check=True, data=str(built_mini))
    assert [entry.status for entry in found.entries] == ["mismatch"]
    assert "does not match" in found.remarks[0]


@given(st.lists(st.floats(0, 100), min_size=1, max_size=12))
def test_ranks_are_one_plus_the_number_of_better_ones(values: list[float]) -> None:
    entries = [Entry(f"m{place}", "hub", {("soc", "overall"): v}) for place, v in enumerate(values)]
    for standing in standings(entries, "soc"):
        assert standing.rank == 1 + sum(value > standing.value for value in values)


def test_names_and_notes_stay_data() -> None:
    evil = Entry(EVIL, "hub", {("soc", "overall"): 50.0}, date=EVIL, notes=f"={EVIL}")
    rows = table_rows([evil], ["soc"], sort="soc")
    assert not any(char in "".join(rows[1]) for char in "\u202e\x1b\n")
    (line,) = csv.DictReader(io.StringIO(leaderboard_csv(all_standings([evil]))))
    assert line["notes"].startswith("'=")
    assert "\x1b" not in line["model"]
    assert json.loads(to_json(all_standings([evil])))[0]["model"] == EVIL


def test_entries_without_the_ranked_task_come_last() -> None:
    entries = [
        Entry("only cc", "hub", {("cc", "overall"): 90.0}),
        Entry("both", "hub", {("cc", "overall"): 10.0, ("soc", "overall"): 5.0}),
    ]
    rows = table_rows(entries, tasks_in(entries), sort="soc")
    assert [row[:4] for row in rows[1:]] == [["1", "both", "10.00", "5.00"], ["-", "only cc", "90.00", "-"]]


def test_wrong_choices_are_refused(tmp_path: Path, capsys) -> None:
    with pytest.raises(UsageError, match="Did you mean 'cross_soc'"):
        standings([], "cros_soc")
    assert main(["leaderboard", "--supercategory", "animal"]) == 2
    assert "Did you mean 'animals'" in capsys.readouterr().err
    assert main(["leaderboard", "--local", str(tmp_path / "none")]) == 2
    assert main(["leaderboard", "--no-paper"]) == 1
    assert "There are no entries" in capsys.readouterr().err
