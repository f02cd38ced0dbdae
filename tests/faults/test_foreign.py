"""Text of strangers: one reader refuses what expands, overflows, nests, doubles or is no character, wherever it comes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers.pair_tables import small_table

from soco_datasets.annotation.yaml_lines import ProjectError, parse_yaml
from soco_datasets.cli import main
from soco_datasets.errors import PredictionsError
from soco_datasets.hub.local_entries import local_entries
from soco_datasets.hub.submission import SubmissionError, parse_entries
from soco_datasets.records.evaluation import EvaluationResult, record_from_predictions, write_evaluation
from soco_datasets.records.header import Header
from soco_datasets.records.predictions import HEADER_KEY, read_predictions
from soco_datasets.utils.foreign import ForeignTextError, read_json_text
from soco_datasets.utils.parquet_files import BoundsError, read_bounded

BAD_JSON = {
    "nested": "[" * 5000 + "]" * 5000,
    "nested a little": '{"a": ' * 80 + "1" + "}" * 80,
    "nan": '{"a": NaN}',
    "infinity": '{"a": -Infinity}',
    "too large": '{"a": 1e999}',
    "400 digits": '{"a": 1' + "0" * 400 + "}",
    "5000 digits": '{"a": 1' + "0" * 5000 + "}",
    "half a character": '{"a": "\\ud800"}',
    "half a character as a name": '{"\\udfff": 1}',
    "doubled": '{"a": 1, "a": 2}',
    "cut": '{"a": ',
    "nothing": "",
}


@pytest.mark.parametrize("text", BAD_JSON.values(), ids=BAD_JSON)
def test_one_reader_refuses_json(text: str) -> None:
    for form in (text, text.encode()):
        with pytest.raises(ForeignTextError):
            read_json_text(form)
    with pytest.raises(PredictionsError):
        EvaluationResult.from_json(text)
    with pytest.raises(PredictionsError):
        Header.from_json(text)


@pytest.mark.parametrize("data", [b'{"a": "\xed\xa0\x80"}', b'{"a": "\xff"}'])
def test_bytes_that_are_no_text_are_refused(data: bytes) -> None:
    with pytest.raises(ForeignTextError):
        read_json_text(data)


def test_what_is_sound_is_read_as_json_reads_it() -> None:
    text = json.dumps({"a": [1, 2.5, None, True, "\U0001f600", "\u20ac"], "b": {"c": -(10**18), "d": 1e300}})
    for form in (text, text.encode(), text.encode("utf-16"), b"\xef\xbb\xbf" + text.encode()):
        assert read_json_text(form) == json.loads(text)
    assert read_json_text('{"a": NaN}', finite=False)["a"] != 0
    doubled: list[str] = []
    assert read_json_text('{"a": 1, "a": 2}', on_double=doubled.append) == {"a": 2}
    assert doubled == ["a"]


def aliases(levels: int) -> str:
    lines = ['a0: &a0 ["x","x","x","x","x","x","x","x","x"]']
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, levels)]
    return "\n".join(lines)


BAD_YAML = {
    "aliases": f"- dataset: {{id: a/b, task_id: soc}}\n  value: 1\n{aliases(9)}",
    "aliased list": "- dataset: {id: a/b, task_id: soc, revision: &r [x, x]}\n  value: 1\n  date: *r",
    "list": "- dataset: {id: a/b, task_id: soc, revision: [x, [y, z]]}\n  value: 1",
    "mapping": "- dataset: {id: a/b, task_id: soc, revision: {x: y}}\n  value: 1",
    "huge number": f"- dataset: {{id: a/b, task_id: soc}}\n  value: 0x{'f' * 6000}",
    "a set": "- dataset: {id: a/b, task_id: soc}\n  value: !!set {a, b}",
    "nested": "[" * 3000,
    "object": "- !!python/object/apply:os.system ['true']",
}


@pytest.mark.parametrize("text", BAD_YAML.values(), ids=BAD_YAML)
def test_yaml_that_is_not_plain_is_refused_at_once(text: str) -> None:
    with pytest.raises(SubmissionError):
        parse_entries(text.encode(), "it")


def test_yaml_of_a_project_expands_as_little() -> None:
    with pytest.raises(ProjectError, match="line 1: not valid YAML"):
        parse_yaml(aliases(9), "project.yaml")


def spoil(change: Callable[[dict], object]) -> Callable[[Path], None]:
    def apply(path: Path) -> None:
        fields = json.loads(path.read_text())
        change(fields)
        path.write_text(json.dumps(fields))

    return apply


BAD_RECORDS = {
    "alphas": spoil(lambda f: f["protocol"].update(alphas=[10**400])),
    "many alphas": spoil(lambda f: f["protocol"].update(alphas=[n / 1e5 for n in range(1, 5000)])),
    "soft_beta": spoil(lambda f: f["protocol"].update(soft_beta=10**400)),
    "nan": spoil(lambda f: f["metrics"]["soc"]["pair"]["0.1"]["overall"].update(pck=float("nan"))),
    "reductions": spoil(lambda f: f["protocol"].update(reductions=5)),
    "version": spoil(lambda f: f.update(schema_version=True)),
    "nested": lambda path: path.write_text("[" * 10**5) and None,
    "half a character": spoil(lambda f: f["model"].update(name="\ud800")),
}


@pytest.mark.parametrize("change", BAD_RECORDS.values(), ids=BAD_RECORDS)
def test_one_bad_record_is_left_out_and_the_others_are_shown(tmp_path: Path, change: Callable[[Path], None]) -> None:
    record = record_from_predictions(small_table(), resamples=0)
    record.write(tmp_path / "a.json")
    change(tmp_path / "a.json")
    record.write(tmp_path / "b.json")
    found = local_entries(tmp_path, None)
    assert "a.json is left out" in found.remarks[0]
    assert len(found.entries) + len(found.remarks) == 2
    with pytest.raises(PredictionsError):
        EvaluationResult.read(tmp_path / "a.json")


def test_whatever_a_record_raises_the_loop_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record_from_predictions(small_table(), resamples=0).write(tmp_path / "a.json")
    monkeypatch.setattr(EvaluationResult, "violations", lambda self, board: 1 / 0)
    monkeypatch.setattr("soco_datasets.hub.local_entries._violations_of_soco", lambda record: 1 / 0)
    found = local_entries(tmp_path, None)
    assert found.entries == ()
    assert "ZeroDivisionError" in found.remarks[0]


@pytest.mark.parametrize("header", ["[" * 5000, '{"a": NaN}', '{"format_version": true}', "\ud800"])
@pytest.mark.parametrize("command", ["verify", "score"])
def test_a_hostile_header_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], header: str, command: str
) -> None:
    table = small_table()
    _, path = write_evaluation(tmp_path, table, record_from_predictions(table, resamples=0))
    spoilt = table.replace_schema_metadata({HEADER_KEY: header.encode("utf-8", "surrogatepass")})
    pq.write_table(spoilt, path)
    assert main([command, str(path)]) == 1
    assert "header" in "".join(capsys.readouterr())


def test_texts_stored_once_and_read_many_times_are_bounded(tmp_path: Path) -> None:
    text = pa.DictionaryArray.from_arrays(pa.array([0] * 20_000, pa.int32()), pa.array(["x" * 900_000]))
    pq.write_table(pa.table({"task": text}), tmp_path / "t.parquet", compression="zstd")
    assert (tmp_path / "t.parquet").stat().st_size < 100_000
    with pytest.raises(BoundsError):
        read_bounded(tmp_path / "t.parquet")
    with pytest.raises(PredictionsError, match=r"unpacked|too long|of its size"):
        read_predictions(tmp_path / "t.parquet")


def test_a_text_or_rows_without_end_are_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"task": ["x" * 2_000_000]}), tmp_path / "long.parquet", compression="zstd")
    with pytest.raises(BoundsError, match="2,000,000 bytes"):
        read_bounded(tmp_path / "long.parquet")
    pq.write_table(pa.table({"n": pa.array([0] * 6_000_000, pa.int8())}), tmp_path / "rows.parquet", compression="zstd")
    with pytest.raises(BoundsError, match="6,000,000 rows"):
        read_bounded(tmp_path / "rows.parquet")


def test_only_the_columns_that_are_known_are_read(tmp_path: Path) -> None:
    table = small_table()
    path = tmp_path / "p.parquet"
    pq.write_table(table.append_column("extra", pa.array(["x" * 2_000_000] * len(table))), path, compression="zstd")
    assert read_predictions(path).equals(
        read_predictions(write_evaluation(tmp_path / "w", table, record_from_predictions(table, resamples=0))[1])
    )
