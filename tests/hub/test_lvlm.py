"""Vision-language models on the leaderboard: submit, verify, rank, with the real client against the loopback Hub."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pyarrow as pa
import pytest
import yaml
from helpers.hub_clients import run_soco
from helpers.hub_results import BENCHMARK, board_files, make_result, published
from helpers.loopback_hub import LoopbackHub
from helpers.lvlm_results import CREATED, make_lvlm_result
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from soco_datasets.cli import main
from soco_datasets.data.folder import open_folder
from soco_datasets.data.questions.markers import MarkerStyle
from soco_datasets.errors import PredictionsError, UsageError
from soco_datasets.hub.eval_yaml import benchmark, render_eval_yaml
from soco_datasets.hub.hosted_leaderboard import board_of, rules_of
from soco_datasets.hub.leaderboard import paper_entries
from soco_datasets.hub.local_entries import local_entries
from soco_datasets.hub.recompute import ResultFiles
from soco_datasets.hub.submission import Checksums, SubmissionError, entries_yaml, make_entries, parse_entries
from soco_datasets.hub.submit import prepare
from soco_datasets.hub.verify import Verdict, check_submission
from soco_datasets.lvlm.answer_table import ANSWERS_HEADER_KEY, read_answers_table, write_answers
from soco_datasets.lvlm.lvlm_record import LvlmResult, answers_beside, record_from_answers
from soco_datasets.records.registry import find_ranked_task, ranked_types
from soco_datasets.utils.files import sha256_file

TOKEN = "hf_bobSecretToken1234"
MODEL, ARTIFACTS = "lab/vlm", "bob/results"
YAML_FILE = ".eval_results/soco_lvlm.yaml"


@pytest.fixture(scope="module")
def result(built_mini: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_lvlm_result(built_mini, tmp_path_factory.mktemp("vlm"))


@pytest.fixture
def hub(built_mini: Path):
    with LoopbackHub() as made:
        made.add_account(TOKEN, "bob")
        made.add_repo("dataset", BENCHMARK, board_files(built_mini))
        made.add_repo("model", MODEL, {"README.md": b"# model"})
        yield made


def submitted(hub: LoopbackHub, tmp_path: Path, record: Path, *options: str) -> str:
    own = ("--model-repo", MODEL, "--dataset-repo", BENCHMARK, "--artifacts", ARTIFACTS)
    return run_soco(hub, tmp_path, "submit", record, *own, *options, token=TOKEN).stdout


def test_from_dry_run_to_a_verified_place_on_the_leaderboard(
    hub: LoopbackHub, tmp_path: Path, built_mini: Path, result: Path
) -> None:
    dry = submitted(hub, tmp_path, result, "--dry-run")
    assert not hub.repo("model", MODEL).discussions
    submitted(hub, tmp_path, result)
    model = hub.repo("model", MODEL)
    sent = model.changed_by(1)[YAML_FILE].data.decode()
    assert dry.endswith(f"file {YAML_FILE}:\n\n{sent}")
    files = hub.files("dataset", ARTIFACTS)
    assert sorted(Path(name).name for name in files) == ["answers.parquet", "record.json"]
    for name, data in files.items():
        assert f"   {name}  {len(data):,} bytes  sha256 " in dry

    stated = LvlmResult.read(result)
    entries = {entry["dataset"]["task_id"]: entry for entry in yaml.safe_load(sent)}
    assert list(entries) == ["lvlm_vis", "lvlm_vis_desc", "lvlm_desc"]
    for setting in ("vis", "vis_desc", "desc"):
        entry = entries[f"lvlm_{setting}"]
        assert entry["value"] == round(100 * stated.overall("paper", setting)["circular"], 4)
        assert entry["dataset"]["revision"] == hub.repo("dataset", BENCHMARK).resolve("main").oid
        assert entry["date"] == CREATED
        assert entry["source"]["url"].startswith(f"{hub.endpoint}/datasets/{ARTIFACTS}/tree/main/lab--vlm/")
    notes = entries["lvlm_vis"]["notes"]
    for part in (
        "circular accuracy in percent (parser paper) over 4 orderings",
        "provider soco_hf",
        "template blink",
        "red arrow",
        "1003520 pixels",
        "bfloat16",
    ):
        assert part in notes
    assert f"answers sha256 {sha256_file(answers_beside(result))}" in notes

    data = ("--data", built_mini, "--dataset-repo", BENCHMARK)
    proposed = run_soco(hub, tmp_path, "verify", f"{MODEL}@refs/pr/1", *data, home="reviewer").stdout
    assert proposed.rstrip().endswith("match")
    assert "parsers/paper/settings/vis/overall/circular" in proposed
    model.merge(1)
    ranked = run_soco(hub, tmp_path, "leaderboard", *data, "--check", "--task", "lvlm_vis", "--json", home="reader")
    (place,) = json.loads(ranked.stdout)
    assert (place["model"], place["status"], place["percent"]) == (MODEL, "recomputed", entries["lvlm_vis"]["value"])
    assert "verify" not in ranked.stderr

    name = next(name for name in files if name.endswith(".parquet"))
    spoiled = files[name][:-1] + bytes([files[name][-1] ^ 1])
    hub.commit(hub.repo("dataset", ARTIFACTS), {name: spoiled})
    again = run_soco(hub, tmp_path, "verify", place["url"], *data, home="another", check=False)
    assert again.returncode == 1
    assert "MISMATCH" in again.stderr


def test_a_model_may_have_results_of_both_kinds(
    hub: LoopbackHub, tmp_path: Path, built_mini: Path, result: Path
) -> None:
    pck = make_result(built_mini, tmp_path / "pck", resamples=0)
    submitted(hub, tmp_path, pck)
    submitted(hub, tmp_path, result)
    model = hub.repo("model", MODEL)
    assert sorted(pull.title for pull in model.discussions.values()) == sorted(kind.title for kind in ranked_types())
    model.merge(1)
    model.merge(2)
    both = run_soco(hub, tmp_path, "verify", MODEL, "--data", built_mini).stdout
    assert "soc/pair/0.1 " in both
    assert "parsers/paper/settings/desc/overall/circular" in both
    assert both.rstrip().endswith("match")
    shown = run_soco(hub, tmp_path, "leaderboard", "--dataset-repo", BENCHMARK, "--source", "hub").stdout
    assert [line.split()[1] for line in shown.splitlines() if MODEL in line] == [MODEL, MODEL]
    assert "PCK@0.1 in percent, overall" in shown
    assert "circular accuracy in percent, overall" in shown


def with_prompt(tmp_path: Path) -> Path:
    path = tmp_path / "own.toml"
    path.write_text('name = "blink"\n[prompt]\ntext = "{question} {A} {B} {C} {D}?"\n')
    return path


@pytest.mark.parametrize(
    ("fields", "options", "said"),
    [
        ({"limit": 10}, ["--partial"], "vis is incomplete: 238 of 240 questions lack an answer to an ordering"),
        ({"limit": 10}, ["--partial"], r"vis g_index 2 \(index 10, 11\)"),
        ({"style": MarkerStyle("circle", "blue")}, [], "the marker blue circle, the leaderboard's is red arrow"),
        ({"template": with_prompt}, [], "another wording"),
    ],
    ids=["partial", "partial named", "marker", "wording"],
)
def test_answers_that_do_not_fit_are_refused_with_the_reason(
    fields, options, said: str, tmp_path: Path, built_mini: Path
) -> None:
    made = {name: value(tmp_path) if callable(value) else value for name, value in fields.items()}
    record = make_lvlm_result(built_mini, tmp_path, *options, settings=("vis",), **made)
    with pytest.raises(SubmissionError, match=said):
        prepare(record, MODEL, ARTIFACTS, published(built_mini))


def changed(path: Path, name: str, change) -> pa.Table:
    """The answers table at `path` with one column changed."""
    table = read_answers_table(path)
    place = table.column_names.index(name)
    values = change(table[name].to_pylist())
    return table.set_column(place, table.schema.field(name), pa.array(values, table[name].type))


def copied(result: Path, tmp_path: Path) -> Path:
    record = tmp_path / "vlm.json"
    record.write_bytes(result.read_bytes())
    answers_beside(record).write_bytes(answers_beside(result).read_bytes())
    return record


def store(record: Path, table: pa.Table) -> None:
    """Write answers, and the record they give."""
    write_answers(answers_beside(record), table)
    record_from_answers(table, resamples=20).write(record)


def test_questions_left_out_of_the_file_are_missed(result: Path, built_mini: Path, tmp_path: Path) -> None:
    record = copied(result, tmp_path)
    store(record, read_answers_table(answers_beside(record)).slice(4))
    with pytest.raises(SubmissionError, match="vis is incomplete: it has 956 of the 960 rows"):
        prepare(record, MODEL, ARTIFACTS, published(built_mini))


def test_other_questions_on_the_same_data_are_refused(result: Path, built_mini: Path) -> None:
    files = board_files(built_mini)
    manifest = json.loads(files["manifest.json"])
    manifest["lvlm"]["hash"] = "f" * 64
    board = board_of(BENCHMARK, "1" * 40, {**files, "manifest.json": json.dumps(manifest).encode()})
    with pytest.raises(SubmissionError, match="asked other questions"):
        prepare(result, MODEL, ARTIFACTS, board)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda text: text.replace('"average": 0.', '"average": 0.00000000001', 1), "is not what its answers give"),
        (lambda text: text.replace('"soco_lvlm_scores": 2', '"soco_lvlm_scores": 1'), "soco_lvlm_scores is 1"),
        (lambda text: text.replace('"seed": 0', '"seed": 0.5'), "seed 0.5"),
        (lambda text: re.sub(r'"average": 0\.([1-9]\d)', r'"average": \1.0', text), "wrong unit"),
    ],
    ids=["number", "version", "seed", "percent"],
)
def test_a_record_that_is_not_what_its_answers_give(spoil, said: str, result: Path, built_mini, tmp_path) -> None:
    record = copied(result, tmp_path)
    record.write_text(spoil(record.read_text()))
    with pytest.raises(PredictionsError, match=said):
        prepare(record, MODEL, ARTIFACTS, published(built_mini))


class Sent:
    """A submission as it lies on the Hub; `verdict` is what `soco verify` says of it."""

    def __init__(self, folder: Path, record: Path) -> None:
        self.folder, self.record, self.answers = folder, record, answers_beside(record)
        self.board = published(folder)
        self.submit()

    def submit(self) -> None:
        stated = LvlmResult.read(self.record)
        pins = Checksums(sha256_file(self.record), sha256_file(self.answers))
        self.entries = make_entries(stated, self.board, MODEL, ARTIFACTS, pins)

    def verdict(self) -> Verdict:
        entries = parse_entries(entries_yaml(self.entries).encode(), "it")
        files, folder = ResultFiles(LvlmResult, self.record, self.answers), open_folder(self.folder)
        return check_submission("it", files, entries, model_repo=MODEL, board=self.board, folder=folder)


def alter_reply(sent: Sent, draw: st.DataObject) -> None:
    """One reply; the record as it was, or made to fit, with the file pinned as it was."""
    row = draw.draw(st.integers(0, 2879), label="row")

    def other(replies: list) -> list:
        return [*replies[:row], f"{replies[row]}!", *replies[row + 1 :]]

    table = changed(sent.answers, "response", other)
    write_answers(sent.answers, table)
    if draw.draw(st.booleans(), label="record too"):
        store(sent.record, table)


def alter_right_letters(sent: Sent, draw: st.DataObject) -> None:
    """The right letters of one question moved on by one, and everything else made to fit: only the dataset tells."""
    first = 4 * draw.draw(st.integers(0, 719), label="question")

    def moved(letters: list) -> list:
        part = letters[first : first + 4]
        return [*letters[:first], *part[1:], part[0], *letters[first + 4 :]]

    store(sent.record, changed(sent.answers, "answer", moved))
    sent.submit()


def alter_record(sent: Sent, draw: st.DataObject) -> None:
    """One number or statement of the record, pinned anew."""
    fields = json.loads(sent.record.read_text())
    what = draw.draw(st.sampled_from(["share", "count", "device", "created", "wording"]))
    if what == "share":
        fields["parsers"]["paper"]["settings"]["vis"]["overall"]["circular"] += 1e-12
    elif what == "count":
        fields["counts"]["vis"]["refused"] += 1
    elif what == "device":
        fields["device"]["provider"] = "openai"
    elif what == "created":
        fields["created"] = "2026-03-01T12:00:00+00:00"
    else:
        fields["protocol"]["settings"]["desc"]["template_hash"] = "0" * 64
    sent.record.write_text(json.dumps(fields))
    sent.submit()


def alter_entries(sent: Sent, draw: st.DataObject) -> None:
    """A value, a revision, a note, or an entry left out."""
    fields = draw.draw(
        st.sampled_from([{"value": 99.0}, {"dataset_revision": "f" * 40}, {"notes": "parser strict"}, None])
    )
    if fields is None:
        sent.entries.pop()
    else:
        for name, value in fields.items():
            setattr(sent.entries[1], name, value)


ALTERATIONS = [alter_reply, alter_right_letters, alter_record, alter_entries]


@pytest.mark.parametrize("alter", ALTERATIONS, ids=lambda alter: alter.__name__)
@settings(max_examples=5, suppress_health_check=list(HealthCheck))
@given(draw=st.data())
def test_whatever_is_altered_is_caught(alter, built_mini: Path, result: Path, tmp_path_factory, draw) -> None:
    sent = Sent(built_mini, copied(result, tmp_path_factory.mktemp("altered")))
    alter(sent, draw)
    assert not sent.verdict().matches


def test_what_was_submitted_matches(built_mini: Path, result: Path) -> None:
    verdict = Sent(built_mini, result).verdict()
    assert verdict.matches
    assert verdict.references
    assert len(verdict.checks) > 500


def test_a_wording_that_was_not_used_is_told_by_the_prompts(result: Path, tmp_path: Path, built_mini, capsys) -> None:
    record = copied(result, tmp_path)
    for text in ("red", "blue"):
        table = read_answers_table(answers_beside(record))
        stated = {ANSWERS_HEADER_KEY: table.schema.metadata[ANSWERS_HEADER_KEY].replace(b'"red"', f'"{text}"'.encode())}
        write_answers(answers_beside(record), table.replace_schema_metadata(stated))
        record.write_text(record.read_text().replace('"color": "red"', f'"color": "{text}"'))
        assert main(["verify", str(record), "--data", str(built_mini)]) == int(text != "red")
    assert "2880 answer(s) are to another wording or other markers" in capsys.readouterr().out


def test_local_records_are_ranked_with_their_supercategories(built_mini: Path, result: Path, tmp_path: Path) -> None:
    copied(result, tmp_path)
    found = local_entries(tmp_path, published(built_mini), check=True, data=str(built_mini))
    assert found.remarks == ()
    (entry,) = found.entries
    assert (entry.model, entry.label, entry.date) == (MODEL, "recomputed", CREATED)
    assert ("lvlm_desc", "animals") in entry.scores
    (remark,) = local_entries(tmp_path, None).remarks
    assert "evaluated on mini, not on SOCO" in remark


def test_the_papers_table_three() -> None:
    entries = {entry.model: entry.scores for entry in paper_entries([LvlmResult])}
    assert len(entries) == 10
    assert entries["Qwen3-VL-8B"] == {
        ("lvlm_vis", "overall"): 34.2,
        ("lvlm_vis_desc", "overall"): 30.8,
        ("lvlm_desc", "overall"): 54.0,
    }


def test_every_task_of_the_benchmark_is_of_one_kind() -> None:
    tasks = benchmark()["tasks"]
    lvlm = {task["id"]: (task["config"], task["split"]) for task in tasks if task["config"] == "lvlm"}
    assert lvlm == {f"lvlm_{setting}": ("lvlm", setting) for setting in ("vis", "vis_desc", "desc")}
    for task in tasks:
        known = find_ranked_task(task["id"])
        assert known is not None
        assert sum(known[0] in kind.tasks for kind in ranked_types()) == 1
    assert (
        len({kind.yaml_file for kind in ranked_types()})
        == len({kind.data_file() for kind in ranked_types()})
        == len(ranked_types())
    )


def test_tasks_of_settings_that_a_dataset_lacks_are_left_out() -> None:
    part = yaml.safe_load(render_eval_yaml({"lvlm": ["vis"], "soc": ["test"]}))
    assert [task["id"] for task in part["tasks"] if task["config"] == "lvlm"] == ["lvlm_vis"]
    assert {task["config"] for task in part["tasks"]} == {"lvlm", "soc"}


def test_rules_of_further_kinds_stand_under_their_name() -> None:
    rules = rules_of(b'{"image_size": 518, "lvlm": {"parser": "strict", "marker": "circle"}}')
    assert (rules["pck"].image_size, rules["lvlm"].parser, rules["lvlm"].marker) == (518, "strict", "circle")
    for wrong in (b'{"lvlm": {"parser": "loose"}}', b'{"lvlm": {"parsers": "paper"}}', b'{"lvlm": 3}', b'{"vqa": {}}'):
        with pytest.raises(UsageError, match="malformed"):
            rules_of(wrong)
