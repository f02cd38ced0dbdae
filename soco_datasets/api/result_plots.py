"""`result.plot`: the charts of `reporting.plots`, of one result or of it beside others."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..errors import unknown_name

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_PREFIX = "plot_"


class ResultPlots:
    """`plot_categories(result, ...)` as `plots.categories(...)`, and so on for every `plot_*` of `reporting.plots`.

    Each gives a new `matplotlib.figure.Figure` and needs the extra `report`.

    Args:
        result: what is drawn: one result, or a list of them.
    """

    def __init__(self, result: Any) -> None:
        self._result = result

    def __getattr__(self, name: str) -> Callable[..., Figure]:
        from ..reporting import plots

        if name.startswith("_") or f"{_PREFIX}{name}" not in plots.__all__:
            raise AttributeError(str(unknown_name("chart", name, dir(self))))
        function: Callable[..., Figure] = getattr(plots, f"{_PREFIX}{name}")
        return functools.wraps(function)(
            functools.partial(function, self._result.data if name == "keypoints" else self._result)
        )

    def __dir__(self) -> list[str]:
        from ..reporting import plots

        return [name.removeprefix(_PREFIX) for name in plots.__all__]

    def __repr__(self) -> str:
        return f"ResultPlots({self._result!r}): {', '.join(dir(self))}"
