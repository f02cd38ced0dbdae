from __future__ import annotations

from helpers.pair_tables import build, oracle_protocol, oracle_tasks, small_table
from helpers.shared_data import ORACLE

from soco_datasets.config import Protocol, ScoringConfig
from soco_datasets.records.evaluation import record_from_predictions
from soco_datasets.reporting.terminal_tables import format_metrics_table
from soco_datasets.utils.text_table import TextTable, display_width


def test_the_whole_text_of_a_small_result():
    protocol = Protocol(ScoringConfig(convention="centered", alphas=(0.1, 0.05)))
    text = format_metrics_table(
        record_from_predictions(small_table(protocol=protocol)), per_supercategory=True, per_category=True
    )
    assert text == (
        "tiny on made-up: PCK in percent, convention centered\n"
        "task  pair @0.1  pair @0.05  keypoint @0.1  keypoint @0.05  pairs  keypoints\n"
        "SOC       87.50       75.00          83.33           66.67      3          4\n"
        "CC       100.00      100.00         100.00          100.00      1          2\n"
        "\n"
        "SOC by supercategory\n"
        "supercategory   pair @0.1  pair @0.05  keypoint @0.1  keypoint @0.05  pairs  keypoints\n"
        "hand-held               -           -              -               -      0          0\n"
        "transportation      75.00       50.00          66.67           33.33      2          3\n"
        "\n"
        "CC by supercategory\n"
        "supercategory   pair @0.1  pair @0.05  keypoint @0.1  keypoint @0.05  pairs  keypoints\n"
        "transportation     100.00      100.00         100.00          100.00      1          2\n"
        "\n"
        "SOC by category\n"
        "category  pair @0.1  pair @0.05  keypoint @0.1  keypoint @0.05  pairs  keypoints\n"
        "car           75.00       50.00          66.67           33.33      2          3\n"
        "cup               -           -              -               -      0          0\n"
        "ピアノ       100.00      100.00         100.00          100.00      1          1\n"
        "\n"
        "CC by category\n"
        "category  pair @0.1  pair @0.05  keypoint @0.1  keypoint @0.05  pairs  keypoints\n"
        "car          100.00      100.00         100.00          100.00      1          2\n"
    )


def test_the_oracle_in_a_table():
    result = record_from_predictions(build(oracle_tasks(ORACLE / "SOCOv1", ORACLE / "expected"), oracle_protocol()))
    lines = format_metrics_table(result).splitlines()
    rows = {line.split()[0]: line.split()[1:] for line in lines[2:]}
    assert rows["SOC"][:3] == ["31.30", "16.38", "5.31"]
    assert rows["CC"][:3] == ["29.91", "19.14", "7.16"]
    by_category = format_metrics_table(result, per_category=True)
    assert len({display_width(line) for line in by_category.split("\n\n")[1].splitlines()[1:]}) == 1


def test_columns_line_up_by_display_width():
    text = TextTable([["category", "n"], ["ピアノ", "10"], ["the\u0301ie\u0300re", "7"]]).text()
    assert text == "category   n\nピアノ    10\nthe\u0301ie\u0300re    7\n"
    assert {display_width(line) for line in text.splitlines()} == {12}
