from __future__ import annotations

import csv
import io
import re

from hypothesis import given
from hypothesis import strategies as st

from soco_datasets.reporting.export import Column, ReportTable, table_files, to_csv, to_latex, to_markdown
from soco_datasets.utils.text import clean

NAMES = st.text(max_size=12) | st.sampled_from(
    ["a|b", "a\\|b", "\\", "x & y_z", "</td>", "50 %", "$x^2$", "~#{}", "\n", "=1+1", "@a", "-b", "-1", "=1"]
)


def table(names: list[str]) -> ReportTable:
    columns = (Column("category"), Column("SOC", "percent"), Column("n", "count"))
    rows = tuple((name, None if i % 2 else 12.345, i) for i, name in enumerate(names))
    return ReportTable("some", "A title & more", "A note.", columns, rows)


def test_the_whole_text_of_a_small_table() -> None:
    small = table(["car_1", "a|b"])
    assert to_csv(small) == "category,SOC,n\ncar_1,12.345,0\na|b,,1\n"
    assert to_markdown(small) == (
        "## A title &amp; more\n\nA note.\n\n| category | SOC | n |\n| --- | --: | --: |\n"
        "| car\\_1 | 12.35 | 0 |\n| a\\|b | – | 1 |\n"
    )
    assert to_latex(small) == "\n".join(
        [
            r"\begin{table}", r"\centering", r"\caption{A title \& more. A note.}", r"\label{tab:soco-some}",
            r"\begin{tabular}{lrr}", r"\toprule", r"category & SOC & n \\", r"\midrule", r"car\_1 & 12.35 & 0 \\",
            r"a\textbar{}b & -- & 1 \\", r"\bottomrule", r"\end{tabular}", r"\end{table}", "",
        ]
    )  # fmt: skip


def test_no_negative_zero() -> None:
    columns = (Column("m"), Column("x", "percent"), Column("y", "number"))
    table = ReportTable("t", "t", "", columns, (("a", -0.001, -1e-9), ("b", -0.0, 0.25)))
    assert to_csv(table) == "m,x,y\na,-0.001,-1e-09\nb,0.0,0.25\n"
    assert "| a | 0.00 | 0.000 |\n| b | 0.00 | 0.250 |" in to_markdown(table)


def test_a_latex_table_is_ready_for_a_paper() -> None:
    score = Column("SOC", "percent", "max")
    ends = Column("SOC low", "percent", "", "low"), Column("SOC high", "percent", "", "high")
    rows = (("a", 17.2, 0.0, 40.06), ("b", 21.0, None, None), ("a: paper", 60.4, None, None))
    small = ReportTable("t", "T", "'pair' averages \"pairs\".", (Column("model"), score, *ends), rows, frozenset({2}))
    text = to_latex(small)
    assert r"\caption{T. `pair' averages ``pairs''.}" in text
    assert r"model & SOC \\" in text
    assert r"a & $17.20_{[0.0, 40.1]}$ \\" in text
    assert r"b & $\mathbf{21.00}$ \\" in text  # the paper's number is no result
    assert r"a: paper & 60.40 \\" in text
    named = to_latex(ReportTable("t", "T", "", (Column("model"),), (("lab--vlm",), ("*new",))))
    assert "lab-{}-vlm \\\\\n{*}new" in named  # neither a dash nor the star of the line break before it


def test_the_best_is_that_of_its_group_as_printed() -> None:
    columns = Column("task"), Column("model"), Column("PCK", "percent", "max"), Column("error", "number", "min")
    rows = (("CC", "a", 1.001, 0.5), ("CC", "b", 1.002, 0.7), ("SOC", "a", 9.0, None), ("SOC", "b", 8.0, None))
    assert ReportTable("t", "t", "", columns, rows).best_cells() == {(0, 2), (1, 2), (0, 3), (2, 2)}
    assert ReportTable("t", "t", "", columns, rows[:1]).best_cells() == set()


def guarded(name: str) -> str:
    number = re.fullmatch(r"[+-]\d+(\.\d+)?", name)
    return "'" + name if name[:1] in ("=", "+", "-", "@") and not number else name


def test_no_name_is_a_formula_of_a_spreadsheet() -> None:
    hostile = ReportTable("t", "t", "", (Column("m"), Column("=x")), (("=1+1", "+a"), ("@SUM(1)", "-b"), ("-1", "a=b")))
    assert to_csv(hostile) == "m,'=x\n'=1+1,'+a\n'@SUM(1),'-b\n-1,a=b\n"


def test_a_sentence_stays_legible_as_markdown() -> None:
    plain = ReportTable("t", "t", "Two of them (low, high): -1.5 + 2!", (Column("m"),), (("http://a.b",), (":x:",)))
    lines = to_markdown(plain).splitlines()
    assert lines[2] == "Two of them (low, high): -1.5 + 2!"
    assert lines[6:] == ["| http&#58;//a.b |", "| &#58;x: |"]


@given(st.lists(NAMES, min_size=1, max_size=5))
def test_csv_gives_every_name_back(names: list[str]) -> None:
    rows = list(csv.reader(io.StringIO(to_csv(table(names)), newline="")))
    assert [row[0] for row in rows[1:]] == [guarded(clean(name)) for name in names]
    assert {len(row) for row in rows} == {3}


@given(st.lists(NAMES, min_size=1, max_size=5))
def test_markdown_keeps_its_columns_and_holds_no_html(names: list[str]) -> None:
    lines = to_markdown(table(names)).split("\n")
    assert len(lines) == 4 + 2 + len(names) + 1
    for line in lines[4:-1]:
        unescaped = re.sub(r"\\[^\n]", "", line)
        assert unescaped.count("|") == 4
        assert "<" not in line


@given(st.lists(NAMES, min_size=1, max_size=5))
def test_latex_has_no_bare_special_character(names: list[str]) -> None:
    lines = to_latex(table(names)).split("\n")
    assert len(lines) == 8 + len(names) + 4
    for line in lines[8:-4]:
        assert line.endswith(r" \\")
        plain = re.sub(r"\\[a-zA-Z]+(\{\})?|\\[{}$&#%_]|\{\[\}|\{\]\}|\{\*\}|(?<=-)\{\}", "", line[: -len(r" \\")])
        assert plain.count("&") == 2
        assert not set(plain) & set("\\{}$#%_^~")


def test_every_format_is_made() -> None:
    files = table_files([table(["car"])], "tables/")
    assert sorted(files) == ["tables/some.csv", "tables/some.md", "tables/some.tex"]
    assert all(files.values())
