"""Several sinks at once."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from types import TracebackType

from ..sources.base import Frame
from .base import Sink


class Several:
    """Writes every frame to each of its sinks, in their order; the end of any is the end of all."""

    def __init__(self, sinks: Sequence[Sink]):
        self.sinks = sinks
        self._stack = ExitStack()

    @property
    def closed(self) -> bool:
        return any(sink.closed for sink in self.sinks)

    @property
    def note(self) -> str:
        return "; ".join(sink.note for sink in self.sinks if sink.note)

    def write(self, frame: Frame, time: float, name: str) -> None:
        """Hands the frame to every sink."""
        for sink in self.sinks:
            sink.write(frame, time, name)

    def __enter__(self) -> Several:
        with ExitStack() as stack:
            for sink in self.sinks:
                stack.enter_context(sink)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.__exit__(kind, error, trace)
