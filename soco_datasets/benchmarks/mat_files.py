"""MATLAB 5 files: numeric arrays by name, through scipy (extra `benchmarks`)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import missing_extra
from ..utils.compressed import check_mat
from .assembly import Assembly

if TYPE_CHECKING:
    from numpy.typing import NDArray

_VERSION_73 = b"MATLAB 7.3"


def read_mat(assembly: Assembly, path: Path, names: Sequence[str]) -> dict[str, NDArray[Any]] | None:
    """The arrays of these names; None and an error in the findings for a file that does not hold them.

    Raises:
        MissingExtraError: scipy is not installed.
    """
    try:
        from scipy.io import loadmat
    except ImportError as error:
        raise missing_extra("Reading .mat files", "benchmarks", "scipy") from error
    where = assembly.relative(path)
    try:
        with path.open("rb") as file:
            if file.read(len(_VERSION_73)) == _VERSION_73:
                message = "is a MATLAB 7.3 (HDF5) file, which this benchmark does not use"
                assembly.findings.error(where, "", "bad_mat", message, "get the original file")
                return None
        check_mat(path)
        content: dict[str, NDArray[Any]] = loadmat(str(path), variable_names=list(names))
    except Exception as error:
        # damaged files raise many kinds of error in scipy (ValueError, TypeError, zlib.error, OSError, ...)
        message = f"cannot be read: {type(error).__name__}: {error}"
        assembly.findings.error(where, "", "bad_mat", message, "get the file again: it may be truncated")
        return None
    missing = [name for name in names if name not in content or content[name].dtype.kind not in "iuf"]
    if missing:
        message = f"has no numeric array {', '.join(missing)}"
        assembly.findings.error(where, missing[0], "bad_mat", message, "get the file again: it may be truncated")
        return None
    return {name: content[name] for name in names}
