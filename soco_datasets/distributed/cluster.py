"""The Ray cluster: found or started, and how many workers of which size it has room for."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ..errors import SocoError, UsageError, missing_extra
from ..utils.process_state import ProcessSetting

_CPUS = 4  # of a worker without a GPU, unless their number is given
_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # the default of later versions; avoids a warning
}


@dataclass(frozen=True)
class WorkerPoolSpec:
    """Workers of one size.

    Attributes:
        count: how many.
        cpus: cores of each.
        gpus: 0 or 1.
        per_machine: the most that one machine may hold.
    """

    count: int
    cpus: int
    gpus: int
    per_machine: int


@contextlib.contextmanager
def connected(address: str | None = None, workers: int | None = None) -> Iterator[None]:
    """Connect to a cluster: the current one, the one at `address`, or one on this machine that ends with the block.

    Args:
        address: "auto", "HOST:PORT" or "ray://HOST:PORT"; None = RAY_ADDRESS, else a new local cluster.
        workers: least number that a new local cluster has room for.

    Raises:
        MissingExtraError: ray is not installed.
        SocoError: there is no cluster at the address.
    """
    if importlib.util.find_spec("ray") is None:
        raise missing_extra("Running on a cluster", "ray", "ray")
    if workers is not None and workers < 1:
        raise UsageError(f"The number of workers must be positive, got {workers}.")
    with _ray_environment(), _session(address, workers):
        yield


def _set_environment() -> Callable[[], None]:
    added = {name: value for name, value in _ENVIRONMENT.items() if name not in os.environ}
    os.environ.update(added)

    def restore() -> None:
        for name in added:
            os.environ.pop(name, None)

    return restore


_ray_environment = ProcessSetting(_set_environment)


@contextlib.contextmanager
def _session(address: str | None, workers: int | None) -> Iterator[None]:
    """The connected cluster, or one that is connected to, or started, for the body."""
    import ray
    from ray.exceptions import AuthenticationError

    if ray.is_initialized():
        yield
        return
    address = address or os.environ.get("RAY_ADDRESS") or "local"
    on_sigterm = signal.getsignal(signal.SIGTERM)
    try:
        if address == "local":
            cpus = max(os.cpu_count() or 1, workers or 1)
            ray.init("local", num_cpus=cpus, include_dashboard=False, logging_level=logging.ERROR)
        else:
            ray.init(address, logging_level=logging.ERROR)
    except (AuthenticationError, ConnectionError, ValueError, RuntimeError, TimeoutError) as error:  # by its version
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise SocoError(
            f"No Ray cluster at {address}: {reason} Start one with `ray start --head` and use the address it "
            "prints, or omit --address to use this machine alone. A cluster that wants a token (see the lines above, "
            "docs/howto/distributed.md) needs the same RAY_AUTH_TOKEN here."
        ) from error
    if callable(on_sigterm) and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, on_sigterm)  # Ray's own aborts the process, which leaves temporary files
    try:
        yield
    finally:
        ray.shutdown()


def cluster_pool_spec(workers: int | None, *, device: str = "cpu", cpus: int = _CPUS) -> WorkerPoolSpec:
    """The workers for a device, by the resources of the connected cluster. See `pool_spec_for`."""
    import ray

    return pool_spec_for(
        [node["Resources"] for node in ray.nodes() if node["Alive"]], workers, device=device, cpus=cpus
    )


def room_for(spec: WorkerPoolSpec) -> int:
    """How many workers of a size the machines of the connected cluster have room for now."""
    import ray

    room = 0
    for resources in (node["Resources"] for node in ray.nodes() if node["Alive"]):
        most = resources.get("GPU", 0) if spec.gpus else resources.get("CPU", 0) // spec.cpus
        room += min(int(most), spec.per_machine)
    return room


def pool_spec_for(
    nodes: Sequence[Mapping[str, float]], workers: int | None, *, device: str = "cpu", cpus: int = _CPUS
) -> WorkerPoolSpec:
    """How many workers of which size: one per GPU, or without GPUs the requested number, sharing the cores.

    >>> pool_spec_for([{"CPU": 8.0}, {"CPU": 6.0}], None), pool_spec_for([{"CPU": 8.0}, {"CPU": 6.0}], 4)
    (WorkerPoolSpec(count=3, cpus=4, gpus=0, per_machine=2), WorkerPoolSpec(count=4, cpus=3, gpus=0, per_machine=2))
    >>> pool_spec_for([{"CPU": 32.0, "GPU": 8.0}], None, device="auto")
    WorkerPoolSpec(count=8, cpus=1, gpus=1, per_machine=8)

    Args:
        nodes: resources of each machine, as Ray names them.
        workers: how many; None = one per GPU, or one per `cpus` cores.
        device: as for `load_backbone`; "auto" = GPUs where there are any.
        cpus: cores of a worker without a GPU, unless their number is given.

    Raises:
        UsageError: more workers than there is room for, or a device index.
    """
    if device not in ("auto", "cpu", "cuda"):
        raise UsageError(f"Each worker of a cluster gets a device of its own: give cuda, cpu or auto, not {device!r}.")
    gpus = sum(int(node.get("GPU", 0)) for node in nodes)
    if device == "cuda" and not gpus:
        raise UsageError("The Ray cluster has no GPU. Take --device cpu, or start its machines with `--num-gpus`.")
    if gpus and device != "cpu":
        if workers is not None and workers > gpus:
            raise UsageError(f"{workers} workers need a GPU each, but the Ray cluster has {gpus}.")
        count = workers or gpus
        return WorkerPoolSpec(count, 1, 1, min(count, max(int(node.get("GPU", 0)) for node in nodes)))
    cores = [int(node.get("CPU", 0)) for node in nodes]
    if workers is None:
        size = min(cpus, max(cores, default=0))
        workers = sum(number // size for number in cores) if size else 0
    for size in range(max(cores, default=0), 0, -1):
        if 0 < workers <= sum(number // size for number in cores):
            return WorkerPoolSpec(workers, size, 0, min(workers, max(cores) // size))
    raise UsageError(f"{workers} workers need a core each, but the Ray cluster has {sum(cores)}.")
