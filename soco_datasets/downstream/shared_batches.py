"""Batches that several trainings take side by side, so that each image is decoded and forwarded once for all."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from ..errors import SocoError

T = TypeVar("T")


class SharedBatches:
    """Batches of the same steps for trainings in threads of one process.

    A training waits while another one is behind it by more than a batch, so one batch is held at a time. Trainings
    that resume from different steps come together: the one behind goes alone until it has caught up.

    Args:
        members: names of the trainings.
    """

    def __init__(self, members: list[str]) -> None:
        self._change = threading.Condition()
        self._next = dict.fromkeys(members, -1)  # the step each one is at; -1 = not begun
        self._held: dict[tuple[Hashable, int], Any] = {}
        self._making: set[tuple[Hashable, int]] = set()
        self._stopped = False

    def take(self, member: str, kind: Hashable, step: int, make: Callable[[], Any]) -> Any:
        """The batch of a step.

        Args:
            member: the training that asks; its steps rise.
            kind: what the batch holds; equal kinds are shared.
            step: number of the batch over the whole training.
            make: makes it; called for one of the members.

        Raises:
            SocoError: `stop` was called.
        """
        key = (kind, step)
        with self._change:
            self._next[member] = step
            self._forget()
            self._change.notify_all()
            while not self._stopped and (key in self._making or self._is_far_ahead(member, step)):
                self._change.wait()
            if self._stopped:
                raise SocoError("The training was stopped, because another one that shares its batches failed.")
            if key in self._held:
                return self._held[key]
            self._making.add(key)
        try:
            found = make()
            with self._change:
                self._held[key] = found
        finally:
            with self._change:
                self._making.discard(key)
                self._change.notify_all()
        return found

    def leave(self, member: str) -> None:
        """Say that a training takes no more batches."""
        with self._change:
            self._next.pop(member, None)
            self._forget()
            self._change.notify_all()

    def stop(self) -> None:
        """End all trainings at their next batch."""
        with self._change:
            self._stopped = True
            self._change.notify_all()

    def _is_far_ahead(self, member: str, step: int) -> bool:
        return any(place < step - 1 for name, place in self._next.items() if name != member)

    def _forget(self) -> None:
        """Drop batches that every training is past."""
        slowest = min(self._next.values(), default=None)
        for key in [key for key in self._held if slowest is None or key[1] < slowest]:
            del self._held[key]


def run_together(work: Mapping[str, Callable[[], T]], shared: SharedBatches) -> dict[str, T]:
    """Results of functions that take batches from `shared`, each in a thread with as many torch threads as this one.

    Args:
        work: name of a member -> what it does.
        shared: left by each member at its end, stopped where one fails.

    Raises:
        BaseException: the first that a function raised, after all have ended.
    """
    import torch

    threads = torch.get_num_threads()
    failed: list[BaseException] = []

    def guarded(member: str) -> T | None:
        torch.set_num_threads(threads)  # torch keeps the number per thread
        try:
            return work[member]()
        except BaseException as error:
            failed.append(error)
            shared.stop()
            return None
        finally:
            shared.leave(member)

    with ThreadPoolExecutor(len(work)) as pool:
        futures = {member: pool.submit(guarded, member) for member in work}
        try:
            found = {member: future.result() for member, future in futures.items()}
        except BaseException:  # an interrupt of this thread
            shared.stop()
            raise
    if failed:
        raise failed[0]
    return {member: value for member, value in found.items() if value is not None}
