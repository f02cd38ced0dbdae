"""The metric as a Space: paste pair rows and predicted points as JSON, get the scores.

`evaluate.utils.launch_gradio_widget` is not used: it calls `gradio.inputs`, which gradio 4 removed.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
EXAMPLE_REFERENCES = [
    {
        "pair_id": "intra/car/00001-car_1-car_2",
        "pair_group": "car",
        "target_size": [200, 100],
        "target_bbox": [0, 0, 100, 80],
        "keypoints": ["left_wheel", "roof"],
        "target_points": [[[50, 60]], [[90, 10]]],
    }
]
EXAMPLE_PREDICTIONS = [[[55, 60], [20, 10]]]


def module_path() -> Path:
    """The metric's module: the other Python file here (a Space may have another name, and so its module)."""
    return next(path for path in sorted(HERE.glob("*.py")) if path.name != Path(__file__).name)


def score(predictions: str, references: str) -> dict[str, Any]:
    """The metric's scores for predictions and references given as JSON text; `{"error": ...}` where they are wrong."""
    import evaluate

    try:
        metric = evaluate.load(str(module_path()))
        return metric.compute(predictions=json.loads(predictions), references=json.loads(references))
    except ValueError as error:  # JSON's own errors and ours
        return {"error": str(error)}


def main() -> None:
    """Serve the form."""
    import gradio

    gradio.Interface(
        fn=score,
        inputs=[
            gradio.Textbox(json.dumps(EXAMPLE_PREDICTIONS), label="predictions (JSON)", lines=4),
            gradio.Textbox(json.dumps(EXAMPLE_REFERENCES, indent=1), label="references (JSON)", lines=12),
        ],
        outputs=gradio.JSON(label="scores"),
        title="SOCO PCK",
        article=(HERE / "README.md").read_text(encoding="utf-8").split("---\n", 2)[2],
    ).launch()


if __name__ == "__main__":
    main()
