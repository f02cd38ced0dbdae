"""One file a command: `add` declares it, its function parses nothing and decides nothing, it only calls.

To add a command: a file here, and its name in `COMMANDS`, in the order the help shows them. `options` turns a function
into a command; options that several commands share are the dataclasses of `*_options`.
"""

COMMANDS = (
    "build",
    "info",
    "benchmarks",
    "demo",
    "evaluate",
    "score",
    "compare",
    "probe",
    "correlate",
    "models",
    "convert",
    "cache",
    "view",
    "report",
    "publish",
    "publish_metric",
    "submit",
    "verify",
    "leaderboard",
    "lvlm",
    "downstream",
    "study",
    "annotate",
)

DATA, EVALUATE, LOOK, PUBLISH = "Data", "Evaluate", "Look", "Publish"
LANGUAGE, DOWNSTREAM, ANNOTATE = "Vision-language", "Downstream", "Annotate"
