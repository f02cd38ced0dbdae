"""The SOCO leaderboard as a page: ranking, charts, and pairs with the matches of two models.

    SOCO_LEADERBOARD=lab/soco SOCO_LEADERBOARD_RESULTS=results SOCO_LEADERBOARD_DATA=soco python app.py

All three are optional: without them the page shows the paper's models and the built-in data. Names, notes and addresses
from submissions are shown in table cells of type "str", which never become markup, or escaped (`views`, `pair_views`).
"""

from __future__ import annotations

from typing import Any

import gradio as gr
import page_texts
import views
from pair_views import ANNOTATION, NOBODY, Pairs, open_pairs
from views import Board

from soco_datasets.hub.leaderboard import SOURCES, tasks_in
from soco_datasets.records.ranking import OVERALL, RANKED_SUBSETS

_NAMED = 8  # models in a chart at first
_TABLE: dict[str, Any] = {
    "interactive": False, "wrap": True, "line_breaks": False, "buttons": [], "elem_classes": "soco-table",
}  # fmt: skip


def build_app(board: Board, pairs: Pairs) -> gr.Blocks:
    """The page."""
    tabs = {
        "Leaderboard": lambda: _ranking_tab(board),
        "Score and size": lambda: _size_tab(board),
        "Score drop": lambda: _drop_tab(board),
        "Supercategories": lambda: _subsets_tab(board),
        "Downstream": lambda: _downstream_tab(board),
        "Pairs": lambda: _pairs_tab(pairs),
        "About": lambda: gr.Markdown(page_texts.ABOUT),
        "How to submit": lambda: gr.Markdown(page_texts.SUBMIT),
        "Cite": lambda: gr.Markdown(page_texts.CITE),
    }
    with gr.Blocks(title="SOCO leaderboard", analytics_enabled=False) as page:
        gr.Markdown(page_texts.HEAD)
        for name, fill in tabs.items():
            with gr.Tab(name):
                fill()
    return page


def _ranking_tab(board: Board) -> None:
    tasks = tasks_in(board.collected.entries)
    first = "soc" if "soc" in tasks else tasks[0]
    choices = views.column_choices(board.collected)
    chosen = views.chosen_at_first(board.collected)
    with gr.Row():
        task = gr.Dropdown(_titled(tasks), value=first, label="Rank by", min_width=140)
        supercategory = gr.Dropdown(_subsets(), value=OVERALL, label="Supercategory", min_width=140)
        search = gr.Textbox(label="Model", placeholder="part of a name", min_width=140)
        sources = gr.CheckboxGroup(list(SOURCES), value=list(SOURCES), label="Sources", min_width=200)
    with gr.Accordion("Columns", open=False):
        columns = gr.CheckboxGroup(choices, value=chosen, show_label=False, container=False)
    filters = [task, supercategory, sources, search, columns]

    def update(*choice: Any) -> gr.Dataframe:
        found = views.ranking(board.collected, *choice)
        return gr.Dataframe(
            found["table"], datatype=found["datatype"], column_widths=found["widths"], show_label=False,
            max_height=680, pinned_columns=2, **{**_TABLE, "elem_classes": ["soco-table", "soco-ranking"]},
        )  # fmt: skip

    table = update(first, OVERALL, SOURCES, "", chosen)
    about = gr.HTML("Click a row of the table.", label="Model details", show_label=True, container=True, padding=True)
    for control in filters:
        control.change(update, filters, table)

    def tell(event: gr.SelectData) -> str:
        row = event.row_value or []
        return views.details(board.collected, str(row[1])) if len(row) > 1 else ""

    table.select(tell, None, about)
    again = gr.Button("Reload", size="sm")
    remarks = gr.Textbox(views.notes(board.collected), label="Notes", interactive=False, max_lines=8)

    def reread(*choice: Any) -> tuple[gr.Dataframe, str]:
        board.refresh()
        return update(*choice), views.notes(board.collected)

    again.click(reread, filters, [table, remarks])


def _titled(tasks: list[str]) -> list[tuple[str, str]]:
    return list(zip(views.titles_of(tasks), tasks, strict=True))


def _subsets() -> list[tuple[str, str]]:
    return [(name.replace("_", " "), name) for name in RANKED_SUBSETS]


def _models(board: Board) -> gr.Dropdown:
    names = views.chart_choices(board.collected)
    return gr.Dropdown(names, value=names[:_NAMED], multiselect=True, label="Labeled models", scale=3, min_width=300)


def _connect(controls: list[Any], draw: Any, shown: Any) -> None:
    """Draw again when a control changes."""
    for control in controls:
        control.change(draw, controls, shown)


def _size_tab(board: Board) -> None:
    tasks = tasks_in(board.collected.entries)
    first = "soc" if "soc" in tasks else tasks[0]
    with gr.Row():
        task = gr.Dropdown(_titled(tasks), value=first, label="Score")
        supercategory = gr.Dropdown(_subsets(), value=OVERALL, label="Supercategory")
        models = _models(board)

    def draw(*choice: Any) -> str:
        return views.size_chart(board.collected, *choice)

    shown = gr.HTML(draw(first, OVERALL, models.value))
    _connect([task, supercategory, models], draw, shown)


def _drop_tab(board: Board) -> None:
    with gr.Row():
        models = _models(board)
        supercategory = gr.Dropdown(_subsets(), value=OVERALL, label="Supercategory")

    def draw(*choice: Any) -> str:
        return views.drop_chart(board.collected, *choice)

    shown = gr.HTML(draw(models.value, OVERALL))
    _connect([models, supercategory], draw, shown)


def _subsets_tab(board: Board) -> None:
    tasks = views.pck_tasks(board.collected) or tasks_in(board.collected.entries)
    first = "soc" if "soc" in tasks else tasks[0]
    names = views.subset_choices(board.collected)
    with gr.Row():
        task = gr.Dropdown(_titled(tasks), value=first, label="Task")
        models = gr.Dropdown(
            names, value=names[:20], multiselect=True, label="Models of the chart", scale=3, min_width=300
        )

    def draw(*choice: Any) -> str:
        return views.subsets_chart(board.collected, *choice)

    shown = gr.HTML(draw(first, names))
    _connect([task, models], draw, shown)
    shares = views.subsets_table(board.collected, first)
    table = gr.Dataframe(shares, show_label=False, column_widths=views.widths_of(shares), **_TABLE)
    task.change(lambda name: views.subsets_table(board.collected, name), task, table)


def _downstream_tab(board: Board) -> None:
    choices = views.downstream_choices(board.downstream)
    if not choices:
        gr.Markdown("No downstream results.")
        return
    with gr.Row():
        key = gr.Dropdown(choices, value=choices[0][1], label="Downstream task")
        names = sorted(board.downstream.rows)
        models = gr.Dropdown(names, value=names[:20], multiselect=True, label="Labeled models", scale=3, min_width=300)

    def draw(*choice: Any) -> str:
        return views.downstream_chart(board, *choice)

    shown = gr.HTML(draw(choices[0][1], models.value))
    _connect([key, models], draw, shown)
    rows = views.downstream_rows(board.downstream)
    gr.Dataframe(rows, show_label=False, column_widths=views.widths_of(rows), **_TABLE)
    gr.Markdown("The paper's table r8, and downstream records in the folder of results.")


def _pairs_tab(pairs: Pairs) -> None:
    first = "soc" if "soc" in pairs.tasks else pairs.tasks[0]
    categories = pairs.categories(first)
    results = [*pairs.predictions, ANNOTATION]
    second = results[1] if len(pairs.predictions) > 1 else NOBODY
    with gr.Row():
        one = gr.Dropdown(results, value=results[0], label="Model A", min_width=150)
        other = gr.Dropdown([NOBODY, *pairs.predictions], value=second, label="Model B", min_width=150)
        task = gr.Dropdown(_titled(pairs.tasks), value=first, label="Task", min_width=110)
        category = gr.Dropdown(categories, value=categories[0], label="Category", min_width=130)
    with gr.Row():
        previous = gr.Button("Previous", size="sm", min_width=90)
        place = gr.Number(1, minimum=1, precision=0, show_label=False, container=False, min_width=70)
        following = gr.Button("Next", size="sm", min_width=90)

    def draw(*choice: Any) -> tuple[str, str]:
        name, group, number, *shown = choice
        return pairs.draw(name, group, number, shown)

    markup, told = draw(first, categories[0], 1, results[0], second)
    picture = gr.HTML(markup)
    about = gr.Textbox(told, label="Pair and its queries", interactive=False)
    asked = [task, category, place, one, other]
    for control in (category, place, one, other):
        control.change(draw, asked, [picture, about])
    task.change(lambda name: gr.Dropdown(pairs.categories(name), value=pairs.categories(name)[0]), task, category)
    task.change(draw, asked, [picture, about])
    previous.click(lambda *choice: pairs.step(*choice, by=-1), [task, category, place], place)
    following.click(lambda *choice: pairs.step(*choice, by=1), [task, category, place], place)


if __name__ == "__main__":
    build_app(Board(), open_pairs()).launch(css=views.style_sheet(), footer_links=["gradio", "settings"])
