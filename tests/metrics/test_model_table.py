from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from soco_datasets.errors import UsageError
from soco_datasets.metrics.model_table import read_model_table


def write(tmp_path: Path, text: str, name: str = "t.csv") -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_tables_are_joined_by_model_in_any_case(tmp_path: Path) -> None:
    a = write(tmp_path, "\ufeffmodel,family,seg\nDINOv1,ssl,1\nMAE,mim,2.5e1\n\n", "a.csv")
    b = write(tmp_path, "name\tsoc\nmae\t9\nCLIP\t-\n", "b.tsv")
    table = read_model_table([a, b])
    assert table.models == ("DINOv1", "MAE", "CLIP")
    assert list(table.columns) == ["seg", "soc"]
    np.testing.assert_array_equal(table.columns["seg"], [1, 25, np.nan])
    np.testing.assert_array_equal(table.columns["soc"], [np.nan, 9, np.nan])
    assert table.notes == ("a.csv: left out, no numbers in it: family.",)


def test_missing_cells_become_nan(tmp_path: Path) -> None:
    table = read_model_table([write(tmp_path, "m,x\na,1\nb,\nc,NaN\nd,–\ne,n/a\nf,-2\n")])
    np.testing.assert_array_equal(table.columns["x"], [1, np.nan, np.nan, np.nan, np.nan, -2])


def test_a_column_is_found_by_an_unambiguous_beginning(tmp_path: Path) -> None:
    table = read_model_table([write(tmp_path, "m,soc,soc_animals,imagenet_knn_top1\na,1,2,3\n")])
    assert table.column("soc") == "soc"
    assert table.column("IMAGENET_KNN") == "imagenet_knn_top1"
    with pytest.raises(UsageError, match="Several columns begin with 'so': soc, soc_animals"):
        table.column("so")
    with pytest.raises(UsageError, match=r"Unknown column of numbers 'sock'\. Did you mean 'soc'"):
        table.column("sock")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("m,x\na,1\nA,2\n", "the model 'A' is there twice"),
        ("m,x,x\na,1,2\n", "the column 'x' is there twice"),
        ("m,x\na,1,2\n", "line 2: 3 cells, but the header has 2"),
        ("m,x\n,1\n", "line 2: the first column must name the model"),
        ("m,x\na,1\nb,two\n", "column 'x', model 'b': 'two' is not a finite number"),
        ("m,x\na,1e999\n", "'1e999' is not a finite number"),
        ("m,x\na,1\nb,inf\n", "'inf' is not a finite number"),
        ("m,x\na,1\nb,1_0\n", "'1_0' is not a finite number"),
        ("m,x\n", "has no models"),
        ("m;x\na;1\n", "only one column"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UsageError) as error:
        read_model_table([write(tmp_path, text)])
    assert message in str(error.value)
    assert "t.csv" in str(error.value)


def test_files_that_are_no_tables(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        read_model_table([tmp_path / "none.csv"])
    (tmp_path / "b.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="not a CSV file in UTF-8"):
        read_model_table([tmp_path / "b.csv"])
    a, b = write(tmp_path, "m,x\na,1\n", "a.csv"), write(tmp_path, "m,x\na,1\n", "c.csv")
    with pytest.raises(UsageError, match="'x' is also in an earlier table"):
        read_model_table([a, b])
