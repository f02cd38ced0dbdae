from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from helpers.report_records import record
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from soco_datasets.errors import UsageError
from soco_datasets.reporting import plots
from soco_datasets.reporting.plots_errors import draw_swap_matrix
from soco_datasets.reporting.style import css_names, series_color
from soco_datasets.reporting.svg import inline_svg, picture
from soco_datasets.utils.text import clean

CATEGORIES = ["car", "ピアノ", "$x_1$", "_hidden", "tea & <b>coffee</b>", "car2"]
PARENTS = {"car": "transportation", "car2": "transportation", "ピアノ": "hand-held"}


@pytest.fixture(scope="module")
def results() -> list:
    models = (("one", 0.7), ("_two $a$", 0.4))
    return [record(CATEGORIES, name, hit=hit, seed=i, supercategories=PARENTS) for i, (name, hit) in enumerate(models)]


def texts(figure: object) -> list[str]:
    root = ElementTree.fromstring(inline_svg(figure, "c1", "a chart"))
    return [element.text or "" for element in root.iter("text")]


def test_categories_are_sorted_and_have_their_scores(results: list) -> None:
    found = texts(plots.plot_categories(results[:1], "soc"))
    scores = results[0].metrics["soc"]["pair"]["0.1"]["per_category"]
    order = sorted(CATEGORIES, key=lambda name: (-scores[name]["pck"], sorted(CATEGORIES).index(name)))
    assert [text for text in found if text in CATEGORIES] == order
    for name in CATEGORIES:
        assert f"{100 * scores[name]['pck']:.0f}" in found


def test_charts_side_by_side_may_share_their_scale(results: list) -> None:
    alone = [plots.plot_categories(results, categories=[name]).axes[0].get_xlim() for name in CATEGORIES]
    assert len(set(alone)) > 1
    assert len({plots.plot_categories(results, categories=[n], top=99).axes[0].get_xlim() for n in CATEGORIES}) == 1


def test_every_chart_names_every_model_whatever_the_name(results: list) -> None:
    figures = [
        plots.plot_categories(results), plots.plot_supercategories(results), plots.plot_thresholds(results),
        plots.plot_drops(results),
    ]  # fmt: skip
    for figure in figures:
        found = texts(figure)
        assert "one" in found
        assert "_two $a$" in found
    assert {"transportation", "hand-held"} <= set(texts(figures[1]))
    assert {"CC", "SOC", "Cross-SOC"} <= set(texts(figures[3]))


def test_azimuth_anatomy_and_swaps() -> None:
    bins = [(0.0, 30.0, 0.5), (30.0, 60.0, None), (60.0, 90.0, 0.25)]
    assert {"0°", "90°", "a model", "another"} <= set(texts(plots.plot_azimuth({"a model": bins, "another": bins})))
    curve = plots.plot_azimuth({"without": [], "a model": bins}, "soc").axes[0].lines[0]
    assert curve.get_color() == series_color(1)  # a model has one color in all charts
    shares = {"hit": 0.4, "swap": 0.35, "background": 0.25}
    assert {"40", "35", "25", "near miss", "SOC"} <= set(texts(plots.plot_anatomy({"SOC": shares})))
    names = ["wheel_front_left_center", "wheel_rear_left_center"]
    found = texts(draw_swap_matrix(names, [[0.8, 0.2], [np.nan, np.nan]], heading="wheel_center"))
    assert found.count("front") == found.count("rear") == 2
    assert {"80", "20", "wheel_center"} <= set(found)


def test_only_the_most_swapped_of_many_instances_are_drawn() -> None:
    shares = np.eye(20)
    shares[7, 13] = 0.9
    found = texts(draw_swap_matrix([f"p_{i}" for i in range(20)], shares, largest=3))
    assert "90" in found
    assert found.count("7") == found.count("13") == 2


def test_wrong_use_is_named(results: list) -> None:
    with pytest.raises(UsageError, match=r"Unknown task of these results 'sco'\. Did you mean 'soc'"):
        plots.plot_categories(results, "sco")
    with pytest.raises(UsageError, match="at least one result"):
        plots.plot_thresholds([])
    with pytest.raises(UsageError, match="must be square"):
        draw_swap_matrix(["a"], [[0.5, 0.5]])
    with pytest.raises(UsageError, match="got miss"):
        plots.plot_anatomy({"SOC": {"miss": 1.0}})
    with pytest.raises(UsageError, match="No pair has known poses"):
        plots.plot_azimuth({"a": [(0.0, 30.0, None)]})
    with pytest.raises(UsageError, match="needs two of the tasks"):
        plots.plot_drops(results, tasks=("cc",))


@settings(max_examples=12)
@example(["a_name_of_23_characters"])
@given(st.lists(st.text(min_size=1, max_size=24), min_size=1, max_size=3, unique=True))
def test_any_name_is_only_text(names: list[str]) -> None:
    rows = {name: {"hit": 1.0} for name in names}
    root = ElementTree.fromstring(inline_svg(plots.plot_anatomy(rows), "c1", names[0]))
    assert root.attrib["aria-label"] == clean(names[0])
    assert {element.tag for element in root.iter()} <= {"svg", "g", "path", "text", "use", "defs", "clipPath", "rect"}
    found = squeezed("".join(element.text or "" for element in root.iter("text")))  # long names are in several lines
    assert all(squeezed(clean(name)) in found for name in names)


def squeezed(text: str) -> str:
    return "".join(text.split())


def test_an_inline_chart_follows_the_page(results: list) -> None:
    svg = inline_svg(plots.plot_supercategories(results), "c7", "x")
    root = ElementTree.fromstring(svg)
    ids = [element.attrib["id"] for element in root.iter() if "id" in element.attrib]
    assert ids
    assert len(ids) == len(set(ids))
    assert all(name.startswith("c7-") for name in ids)
    assert not [color for color in css_names() if color in svg]
    assert "var(--s1)" in svg
    assert "font-family" not in svg
    assert svg == inline_svg(plots.plot_supercategories(results), "c7", "x")


def test_a_saved_svg_names_fonts_of_every_system_and_leaves_names_alone() -> None:
    name = "font-family: x;"
    root = ElementTree.fromstring(picture(plots.plot_anatomy({name: {"hit": 1.0}}), "svg"))
    written = [e for e in root.iter() if e.tag.endswith("text")]
    assert name in "".join(e.text or "" for e in written)
    assert all("Arial, Helvetica" in e.attrib["style"] for e in written)


def test_figures_need_no_pyplot_and_show_themselves() -> None:
    code = (
        "import sys; from soco_datasets.reporting.plots import plot_anatomy; assert 'matplotlib' not in sys.modules;"
        "figure = plot_anatomy({'SOC': {'hit': 1.0}}); assert figure._repr_png_()[:4] == b'\\x89PNG';"
        "assert 'matplotlib.pyplot' not in sys.modules; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def row(targets: list) -> dict:
    image = Image.new("RGB", (200, 100), "#777777")
    return {
        "source_image": image, "target_image": image, "source_image_id": "car/$1$", "target_image_id": "car/2",
        "keypoints": ["wheel", "roof"], "source_points": [[10, 10], [50, 50]], "target_points": targets,
        "target_size": [200, 100], "target_bbox": None,
    }  # fmt: skip


def test_plot_pair_counts_hits_as_pck_does() -> None:
    pair = row([[[100.0, 50.0]], [[20.0, 20.0], [160.0, 80.0]]])
    figure = plots.plot_pair(pair, [[119, 50], [160, 59]], alpha=0.1)  # radius 20: 19 px off, 21 px off
    assert {"1 of 2 hits", "car/$1$ to car/2", "hit", "miss"} <= set(texts(figure))
    some = texts(plots.plot_pair(pair, {"roof": [161, 80]}))
    assert "1 of 1 hits" in some
    assert "miss" not in some
    assert not [text for text in texts(plots.plot_pair(pair)) if "hits" in text]
    assert picture(figure, "png")[:4] == b"\x89PNG"


def test_plot_pair_says_what_does_not_fit() -> None:
    pair = row([[[100.0, 50.0]], [[20.0, 20.0]]])
    with pytest.raises(UsageError, match=r"must have shape \(2, 2\)"):
        plots.plot_pair(pair, [[1, 2]])
    with pytest.raises(UsageError, match="no query 'door'; its queries are wheel, roof"):
        plots.plot_pair(pair, {"door": [1, 2]})
    del pair["target_image"]
    with pytest.raises(UsageError, match="lacks target_image"):
        plots.plot_pair(pair)
