"""A submission computed again: what is right is found right, whatever is altered is found."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers.hub_results import BENCHMARK, make_result, predictions_beside, published
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from soco_datasets.cli import main
from soco_datasets.data.folder import open_folder
from soco_datasets.errors import UsageError
from soco_datasets.hub.recompute import ResultFiles
from soco_datasets.hub.submission import Checksums, SubmissionError, entries_yaml, make_entries, parse_entries, place_of
from soco_datasets.hub.submissions import parse_address
from soco_datasets.hub.verify import Verdict, check_files, check_submission, verify_file
from soco_datasets.records.evaluation import EvaluationResult, record_from_predictions
from soco_datasets.records.predictions import HEADER_KEY, read_predictions, write_predictions
from soco_datasets.records.registry import record_beside
from soco_datasets.utils.files import sha256_file

MODEL, ARTIFACTS = "lab/model", "alice/soco-submissions"


class Sent:
    """A submission as it lies on the Hub; `verdict` is what `soco verify` says of it."""

    def __init__(self, folder: Path, record: Path) -> None:
        self.folder, self.record, self.predictions = folder, record, predictions_beside(record)
        self.board = published(folder)
        self.stated = record_from_predictions(read_predictions(self.predictions), resamples=20)
        self.entries = make_entries(self.stated, self.board, MODEL, ARTIFACTS, self.pins)

    @property
    def pins(self) -> Checksums:
        return Checksums(sha256_file(self.record), sha256_file(self.predictions))

    def verdict(self) -> Verdict:
        return check_submission(
            "it",
            ResultFiles(EvaluationResult, self.record, self.predictions),
            parse_entries(entries_yaml(self.entries).encode(), "it"),
            model_repo=MODEL,
            board=self.board,
            folder=open_folder(self.folder),
        )


@pytest.fixture(scope="module")
def original(built_mini: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_result(built_mini, tmp_path_factory.mktemp("result"))


def copy_of(original: Path, folder: Path, tmp_path: Path) -> Sent:
    for path in (original, predictions_beside(original)):
        shutil.copy(path, tmp_path / path.name)
    return Sent(folder, tmp_path / original.name)


def test_what_was_submitted_matches(built_mini: Path, original: Path) -> None:
    verdict = Sent(built_mini, original).verdict()
    assert verdict.matches
    assert verdict.references
    assert len(verdict.checks) > 1000


def moved(table: pa.Table, row: int, by: float) -> pa.Table:
    points = table["prediction"].to_pylist()
    points[row] = [points[row][0] + by, points[row][1]]
    place = table.column_names.index("prediction")
    return table.set_column(place, table.schema.field("prediction"), pa.array(points, table["prediction"].type))


def alter_prediction(sent: Sent, draw: st.DataObject) -> None:
    """One point; the record computed again from it, or left as it is."""
    table = read_predictions(sent.predictions)
    row = draw.draw(st.integers(0, len(table) - 1), label="row")
    write_predictions(sent.predictions, moved(table, row, draw.draw(st.sampled_from([1e-9, 0.5, 300.0]), label="by")))
    if draw.draw(st.booleans(), label="record too"):
        record_from_predictions(read_predictions(sent.predictions), resamples=20).write(sent.record)


def test_local_files_are_caught_too_whatever_one_prediction_moves(
    original: Path, built_mini: Path, tmp_path: Path
) -> None:
    """Nothing pins them but the record itself; most points can move a little without a hit more or less."""
    sent = copy_of(original, built_mini, tmp_path)
    table = read_predictions(sent.predictions)
    files = ResultFiles.of(sent.record)
    assert check_files("files", files, None).matches
    for row in range(0, len(table), len(table) // 5):
        write_predictions(sent.predictions, moved(table, row, 1e-9))
        verdict = check_files("files", files, None)
        assert "predictions_sha256" in {check.name for check in verdict.checks if not check.agrees}
        assert not verdict.matches


def alter_reference(sent: Sent, draw: st.DataObject) -> None:
    """A target moved onto the prediction, and everything else made to fit: only the dataset tells."""
    table = read_predictions(sent.predictions)
    row = draw.draw(st.integers(0, len(table) - 1), label="row")
    targets = table["target_points"].to_pylist()
    targets[row][0] = table["prediction"][row].as_py()
    place = table.column_names.index("target_points")
    table = table.set_column(place, table.schema.field("target_points"), pa.array(targets, table["target_points"].type))
    metadata = {key: value for key, value in table.schema.metadata.items() if key == HEADER_KEY}
    write_predictions(sent.predictions, table.replace_schema_metadata(metadata))
    submit_again(sent)


def alter_number(sent: Sent, draw: st.DataObject) -> None:
    """One number of the record, or one value of the YAML."""
    if draw.draw(st.booleans(), label="yaml"):
        place = draw.draw(st.integers(0, len(sent.entries) - 1), label="entry")
        entry = sent.entries[place]
        value = draw.draw(st.sampled_from([entry.value + 1e-4, entry.value / 100, 99.0, str(entry.value), True]))
        sent.entries[place] = dataclasses.replace(entry, value=value)
        return
    fields = json.loads(sent.record.read_text())
    task = draw.draw(st.sampled_from(sorted(fields["metrics"])))
    by_alpha = fields["metrics"][task]["pair"][draw.draw(st.sampled_from(["0.1", "0.05", "0.02"]))]
    name = draw.draw(st.sampled_from(sorted(by_alpha["per_category"])))
    value = draw.draw(st.sampled_from([by_alpha["overall"], by_alpha["per_category"][name]]))
    if draw.draw(st.booleans(), label="count"):
        value["keypoints"] += 1
    else:
        value["pck"] = min(1.0, value["pck"] + 1e-12) if value["pck"] < 0.9 else value["pck"] - 1e-12
    sent.record.write_text(json.dumps(fields, indent=2, sort_keys=True))
    if draw.draw(st.booleans(), label="pinned"):
        repin(sent)


def alter_protocol(sent: Sent, draw: st.DataObject) -> None:
    """One choice of the protocol, in the record alone or in the predictions too, or in the notes."""
    where = draw.draw(st.sampled_from(["notes", "record", "everywhere"]), label="where")
    if where == "notes":
        old, new = draw.draw(st.sampled_from([("reference", "centered"), ("800 px", "900 px"), ("float32", "float16")]))
        sent.entries = [dataclasses.replace(e, notes=(e.notes or "").replace(old, new)) for e in sent.entries]
        return
    changes = {"convention": "centered", "image_size": 640, "normaliser": "image", "valid_area": True}
    name = draw.draw(st.sampled_from(sorted(changes)), label="field")
    if where == "record":
        fields = json.loads(sent.record.read_text())
        fields["protocol"][name] = changes[name]
        sent.record.write_text(json.dumps(fields))
        repin(sent)
        return
    table = read_predictions(sent.predictions)
    header = json.loads(table.schema.metadata[HEADER_KEY])
    header["protocol"][name] = changes[name]
    metadata = {**table.schema.metadata, HEADER_KEY: json.dumps(header)}
    write_predictions(sent.predictions, table.replace_schema_metadata(metadata))
    submit_again(sent)


def alter_revision(sent: Sent, draw: st.DataObject) -> None:
    """The revision in the YAML or in the record, or the content hash that goes with it."""
    where = draw.draw(st.sampled_from(["yaml", "one entry", "record", "content hash"]), label="where")
    if where == "yaml":  # the Hub has that revision too, with the same data: only the card changed
        sent.entries = [dataclasses.replace(e, dataset_revision="f" * 40) for e in sent.entries]
        sent.board = published(sent.folder, "f" * 40)
    elif where == "one entry":
        place = draw.draw(st.integers(0, len(sent.entries) - 1))
        sent.entries[place] = dataclasses.replace(sent.entries[place], dataset_revision="f" * 40)
    else:
        fields = json.loads(sent.record.read_text())
        fields["dataset"]["revision" if where == "record" else "content_hash"] = "f" * 40
        sent.record.write_text(json.dumps(fields))
        if draw.draw(st.booleans(), label="pinned"):
            repin(sent)


def alter_set_of_entries(sent: Sent, draw: st.DataObject) -> None:
    """An entry left out, doubled, or of another task."""
    place = draw.draw(st.integers(0, len(sent.entries) - 1))
    how = draw.draw(st.sampled_from(["out", "twice", "other task"]))
    entry = sent.entries[place]
    others = {"out": [], "twice": [entry, entry], "other task": [dataclasses.replace(entry, task_id="soc_geo")]}[how]
    sent.entries = [*sent.entries[:place], *others, *sent.entries[place + 1 :]]


def repin(sent: Sent) -> None:
    """New hashes in notes and address, the rest of the YAML as it was."""
    again = make_entries(sent.stated, sent.board, MODEL, ARTIFACTS, sent.pins)
    pinned = again[0]
    sent.entries = [dataclasses.replace(e, notes=pinned.notes, source_url=pinned.source_url) for e in sent.entries]


def submit_again(sent: Sent) -> None:
    """Everything that follows from the predictions made to fit them."""
    record = record_from_predictions(read_predictions(sent.predictions), resamples=20)
    record.write(sent.record)
    sent.entries = make_entries(record, sent.board, MODEL, ARTIFACTS, sent.pins)


ALTERATIONS = [alter_prediction, alter_reference, alter_number, alter_protocol, alter_revision, alter_set_of_entries]


@pytest.mark.parametrize("alter", ALTERATIONS, ids=lambda alter: alter.__name__)
@settings(max_examples=8, suppress_health_check=list(HealthCheck))
@given(draw=st.data())
def test_whatever_is_altered_is_caught(alter, built_mini: Path, original: Path, tmp_path_factory, draw) -> None:
    sent = copy_of(original, built_mini, tmp_path_factory.mktemp("altered"))
    alter(sent, draw)
    assert not sent.verdict().matches


def test_altered_numbers_are_named(built_mini: Path, original: Path, tmp_path: Path) -> None:
    sent = copy_of(original, built_mini, tmp_path)
    soc = next(place for place, entry in enumerate(sent.entries) if entry.task_id == "soc")
    right = sent.entries[soc].value
    sent.entries[soc] = dataclasses.replace(sent.entries[soc], value=99.5)
    (wrong,) = sent.verdict().mismatches
    assert (wrong.name, wrong.stated, wrong.found) == ("soc: value", 99.5, right)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda sent: sent.predictions.unlink(), "is missing"),
        (lambda sent: sent.predictions.write_bytes(b"PAR1"), "not a whole Parquet file"),
        (lambda sent: sent.record.write_text("{}"), "schema_version is missing"),
        (lambda sent: sent.record.write_text("[" * 10**5), "must be JSON"),
        (lambda sent: pq.write_table(pa.table({"a": [1]}), sent.predictions), "header is missing"),
    ],
)
def test_files_that_cannot_be_read_are_a_mismatch(spoil, said, built_mini, original, tmp_path: Path) -> None:
    sent = copy_of(original, built_mini, tmp_path)
    spoil(sent)
    verdict = sent.verdict()
    assert not verdict.matches
    assert any(said in problem for problem in verdict.problems)


def test_an_absurd_number_of_resamples_is_not_computed(built_mini: Path, original: Path, tmp_path: Path) -> None:
    sent = copy_of(original, built_mini, tmp_path)
    fields = json.loads(sent.record.read_text())
    fields["intervals"]["resamples"] = 10**12
    sent.record.write_text(json.dumps(fields))
    assert "resamples" in " ".join(sent.verdict().problems)


def test_the_command_says_match_number_by_number(built_mini: Path, original: Path, capsys) -> None:
    assert main(["verify", str(original), "--data", str(built_mini)]) == 0
    said = capsys.readouterr().out
    assert "soc/pair/0.1 " in said
    assert "values are identical to the last digit" in said
    assert said.rstrip().endswith("match")
    assert "MISMATCH" not in said


def test_the_command_fails_on_a_mismatch(built_mini: Path, original: Path, tmp_path: Path, capsys) -> None:
    sent = copy_of(original, built_mini, tmp_path)
    write_predictions(sent.predictions, moved(read_predictions(sent.predictions), 3, 400.0))
    assert main(["verify", str(sent.record), "--data", str(built_mini), "--json"]) == 1
    told = capsys.readouterr()
    verdict = json.loads(told.out)
    assert not verdict["match"]
    assert any(mismatch["name"].startswith("metrics/") for mismatch in verdict["mismatches"])
    assert "MISMATCH" in told.err


def test_without_the_dataset_nothing_is_called_verified(original: Path, monkeypatch, tmp_path: Path, capsys) -> None:
    monkeypatch.setenv("SOCO_CACHE", str(tmp_path))
    monkeypatch.delenv("SOCO_HOME", raising=False)
    assert main(["verify", str(original)]) == 1
    assert "NOT VERIFIED" in capsys.readouterr().err
    assert main(["verify", str(original), "--numbers-only"]) == 0


def test_another_dataset_is_a_mismatch(original: Path, tmp_path: Path) -> None:
    from helpers.small_release import make_release

    from soco_datasets.benchmarks.build import build_dataset

    build_dataset(make_release(tmp_path / "release"), tmp_path / "other")
    verdict = verify_file(str(original), str(tmp_path / "other"))
    assert not verdict.matches
    assert "made on dataset" in verdict.problems[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("lab/model", ("lab/model", "model", "main", "")),
        ("lab/model@v1", ("lab/model", "model", "v1", "")),
        ("https://huggingface.co/lab/model", ("lab/model", "model", "main", "")),
        ("https://huggingface.co/lab/model/discussions/7", ("lab/model", "model", "refs/pr/7", "")),
        (
            "https://huggingface.co/lab/model/blob/refs%2Fpr%2F7/.eval_results/soco.yaml",
            ("lab/model", "model", "refs/pr/7", ""),
        ),
        ("https://huggingface.co/datasets/a/b/tree/main/x/y", ("a/b", "dataset", "main", "x/y")),
        ("https://huggingface.co/datasets/a/b/resolve/main/x/record.json", ("a/b", "dataset", "main", "x/record.json")),
    ],
)
def test_addresses_that_are_understood(text: str, expected: tuple[str, ...]) -> None:
    assert dataclasses.astuple(parse_address(text)) == expected


@pytest.mark.parametrize(
    "text",
    ["https://example.org/lab/model", "no-such-file", "http://huggingface.co/a/b", "https://huggingface.co/spaces/a/b"],
)
def test_other_addresses_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="Give a record"):
        parse_address(text)


@pytest.mark.parametrize(
    "url",
    [
        None,
        "https://example.org/datasets/a/b/tree/main/x",
        "https://huggingface.co/datasets/a/b/tree/main/../../etc",
        "https://huggingface.co/datasets/a/b/tree/main/%2E%2E/x",
        "file:///etc/passwd",
    ],
)
def test_artifacts_are_fetched_from_dataset_repositories_of_the_hub_only(url) -> None:
    with pytest.raises(SubmissionError, match="cannot be recomputed"):
        place_of(url)


def test_a_file_that_is_neither_record_nor_predictions_is_refused() -> None:
    with pytest.raises(UsageError, match="neither a record"):
        record_beside("results/report.html")


@pytest.mark.parametrize(
    "text", [b"", b"{}", b"- 1", b"- {dataset: {id: a}}", b"\xff\xfe", b"a: [", b"- {error: x}", b"[" * 5000]
)
def test_a_malformed_file_of_results_is_refused(text: bytes) -> None:
    with pytest.raises(SubmissionError, match="not a file of evaluation results"):
        parse_entries(text, "it")


def test_the_yaml_is_read_back_as_it_was_written(built_mini: Path, original: Path) -> None:
    sent = Sent(built_mini, original)
    assert parse_entries(entries_yaml(sent.entries).encode(), "it") == sent.entries
    assert {entry.dataset_id for entry in sent.entries} == {BENCHMARK}
