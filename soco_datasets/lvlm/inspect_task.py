"""The evaluation as inspect-ai runs it: `inspect eval soco_datasets/soco_lvlm`, or this file with `@soco_lvlm`.

    inspect eval soco_datasets/soco_lvlm -T setting=vis -T data=mini --model openai/gpt-4o

`soco lvlm run` uses the same task and adds answers that survive a crash, one record per setting and `soco lvlm score`.
"""

from __future__ import annotations

from inspect_ai import Task, task
from inspect_ai.model import GenerateConfig

from soco_datasets.lvlm import hf_provider  # noqa: F401 - registers `soco_hf`
from soco_datasets.lvlm.ask_options import MAX_TOKENS
from soco_datasets.lvlm.inspect_score import letter
from soco_datasets.lvlm.inspect_solver import SolverOptions, ask, inspect_dataset
from soco_datasets.lvlm.open_questions import open_asked
from soco_datasets.lvlm.prompted import PromptedQuestions


@task
def soco_lvlm(
    setting: str = "vis",
    data: str | None = None,
    template: str | None = None,
    questions: int | None = None,
    parser: str = "strict",
    image_format: str = "png",
) -> Task:
    """SOCO's multiple-choice questions in one setting.

    Args:
        setting: "vis", "vis_desc" or "desc".
        data: a built dataset folder or "mini"; None = where `load_dataset("soco")` finds it.
        template: a TOML file with another wording.
        questions: only the first so many, each in its four orderings.
        parser: "strict" or "paper": how a letter is read from an answer.
        image_format: "png" or "jpeg".
    """
    asked = open_asked(setting, data, template=template).first(questions)
    return make_task(asked, SolverOptions(image_format=image_format), parser)


def make_task(asked: PromptedQuestions, solving: SolverOptions | None = None, parser: str = "strict") -> Task:
    """The task over given questions.

    Args:
        asked: the questions.
        solving: how they are asked and where replies go.
        parser: "strict" or "paper": how a letter is read from an answer.
    """
    return Task(
        dataset=inspect_dataset(asked),
        solver=ask(asked, solving),
        scorer=letter(parser),
        config=GenerateConfig(max_tokens=MAX_TOKENS, temperature=0.0),
        name=f"soco_lvlm_{asked.setting}",
        metadata={"setting": asked.setting, "dataset": asked.dataset, "template": asked.template.name},
    )
