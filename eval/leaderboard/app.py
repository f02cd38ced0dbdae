"""The SOCO leaderboard as a page: ranking, the drop from task to task, and pairs with their matches.

    SOCO_LEADERBOARD=lab/soco SOCO_LEADERBOARD_RESULTS=results SOCO_LEADERBOARD_DATA=soco-data python app.py

All three are optional: without them the page shows the paper's models and the built-in data. Names, notes and addresses
from submissions are shown in text fields and table cells of type "str" alone, which never become markup.
"""

from __future__ import annotations

from typing import Any

import gradio as gr
from views import ANNOTATION, Board, Pairs, as_table, chart, chart_choices, details, open_pairs, ranking

from soco_datasets.hub.leaderboard import SOURCES, tasks_in
from soco_datasets.records.ranking import OVERALL, RANKED_SUBSETS
from soco_datasets.utils.text import clean

_SHOWN = 8  # models in the chart at first
_TEXTS = ("model", "status", "source", "date")
_TABLE: dict[str, Any] = {
    "interactive": False,
    "max_height": 640,
    "label": "models",
    "wrap": True,
    "line_breaks": False,
}
_WIDTHS = {"rank": 60, "model": 400, "LVLM Vis.+Desc.": 160, "status": 130, "source": 90}  # pixels; long names wrap
_WIDTH = 105  # of the other columns
_HEIGHT = 520  # pixels of a picture
_ABOUT = """# SOCO leaderboard
Does this vision model understand object parts? **CC**: any point of the same concept. **SOC**: the same keypoint.
**Cross-SOC**: the same keypoint on another category. These numbers are PCK at 0.1 in percent. **LVLM**: questions for
vision-language models, right in all four orderings, in percent. Higher is better."""


def build_app(board: Board, pairs: Pairs) -> gr.Blocks:
    """The page."""
    with gr.Blocks(title="SOCO leaderboard", analytics_enabled=False) as page:
        gr.Markdown(_ABOUT)
        with gr.Tab("Leaderboard"):
            _ranking_tab(board)
        with gr.Tab("Drop from task to task"):
            _chart_tab(board)
        with gr.Tab("Pairs and matches"):
            _pairs_tab(pairs)
    return page


def _ranking_tab(board: Board) -> None:
    tasks = tasks_in(board.collected.entries)
    first = "soc" if "soc" in tasks else tasks[0]
    with gr.Row():
        task = gr.Dropdown(tasks, value=first, label="rank by")
        supercategory = gr.Dropdown(list(RANKED_SUBSETS), value=OVERALL, label="supercategory")
        sources = gr.CheckboxGroup(list(SOURCES), value=list(SOURCES), label="sources")
        search = gr.Textbox(label="model", placeholder="part of a name")
    filters = [task, supercategory, sources, search]

    def update(*choice: Any) -> gr.Dataframe:
        heading, rows = ranking(board.collected, *choice)
        kinds = ["str" if name in _TEXTS else "number" for name in heading]
        widths = [_WIDTHS.get(name, _WIDTH) for name in heading]
        return gr.Dataframe(as_table(heading, rows), datatype=kinds, column_widths=widths, **_TABLE)

    table = update(first, OVERALL, SOURCES, "")
    about = gr.Textbox(label="the model that was clicked", lines=4, interactive=False)
    for control in filters:
        control.change(update, filters, table)

    def tell(event: gr.SelectData) -> str:
        row = event.row_value or []
        return details(board.collected, str(row[1])) if len(row) > 1 else ""

    table.select(tell, None, about)
    again = gr.Button("read the results again", size="sm")
    remarks = gr.Textbox(_remarks(board), label="left out, or to know", interactive=False)

    def reread(*choice: Any) -> tuple[gr.Dataframe, str]:
        board.refresh()
        return update(*choice), _remarks(board)

    again.click(reread, filters, [table, remarks])


def _remarks(board: Board) -> str:
    return "\n".join(map(clean, board.collected.remarks)) or "nothing"


def _chart_tab(board: Board) -> None:
    names = chart_choices(board.collected)
    with gr.Row():
        models = gr.Dropdown(names, value=names[:_SHOWN], multiselect=True, label="models")
        supercategory = gr.Dropdown(list(RANKED_SUBSETS), value=OVERALL, label="supercategory")
    picture = _picture(chart(board.collected, names[:_SHOWN], OVERALL), "the drop")
    for control in (models, supercategory):
        control.change(lambda *choice: chart(board.collected, *choice), [models, supercategory], picture)


def _pairs_tab(pairs: Pairs) -> None:
    first = "soc" if "soc" in pairs.tasks else pairs.tasks[0]
    categories = pairs.categories(first)
    results = [*pairs.predictions, ANNOTATION]
    with gr.Row():
        result = gr.Dropdown(results, value=results[0], label="result")
        task = gr.Dropdown(pairs.tasks, value=first, label="task")
        category = gr.Dropdown(categories, value=categories[0], label="category")
        place = gr.Number(1, minimum=1, precision=0, label="pair")
        following = gr.Button("next pair", size="sm", scale=0, min_width=110)
    drawn, told = pairs.draw(first, categories[0], 1, results[0])
    picture = _picture(drawn, "source and target")
    about = gr.Textbox(told, label="pair and its queries", interactive=False)
    gr.Markdown("White circles: valid targets and their radius. Green disc: hit. Orange cross: miss.")
    asked = [task, category, place, result]
    for control in (category, place, result):
        control.change(pairs.draw, asked, [picture, about])
    task.change(lambda name: gr.Dropdown(pairs.categories(name), value=pairs.categories(name)[0]), task, category)
    task.change(pairs.draw, asked, [picture, about])
    following.click(lambda number: int(number or 0) + 1, place, place)


def _picture(image: Any, name: str) -> gr.Image:
    """A picture without buttons: they would hide its corners, and one of them sends it elsewhere."""
    return gr.Image(image, label=name, show_label=False, interactive=False, height=_HEIGHT, buttons=[], alt_text=name)


if __name__ == "__main__":
    build_app(Board(), open_pairs()).launch()
