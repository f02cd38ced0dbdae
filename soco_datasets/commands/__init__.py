"""One file a command: `add` declares its arguments, `run` parses nothing and decides nothing, it only calls.

To add a command: a file here, and its name in `COMMANDS`, in the order the help shows them.
"""

COMMANDS = (
    "build",
    "info",
    "benchmarks",
    "demo",
    "evaluate",
    "score",
    "compare",
    "view",
    "report",
    "correlate",
    "probe",
    "downstream",
    "study",
    "annotate",
    "lvlm",
    "models",
    "cache",
    "convert",
    "publish",
    "publish_metric",
    "submit",
    "verify",
    "leaderboard",
)
