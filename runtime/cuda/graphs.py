"""Work on a stream that is recorded as a CUDA graph and replayed: one launch in place of many.

pycuda has no stream capture, so this is NVIDIA's own binding (cuda-bindings); without it the work is queued anew every time.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any

MOST = 8  # graphs that are kept; a new shape beyond them drops the oldest


def import_bindings() -> Any:
    """cuda.bindings.driver, or None where it is not installed."""
    try:
        from cuda.bindings import driver
    except ImportError:
        return None
    return driver


class Replay:
    """Queues work by key: as it is the first time, recorded the second, replayed from then on.

    The work must do the same on the same addresses whenever it has the same key.  ``note`` says why nothing is recorded, if so.
    """

    def __init__(self, stream: Any, bindings: Any = None):
        self._stream, self._driver = stream, bindings
        self._graphs: OrderedDict[Hashable, Any] = OrderedDict()  # None: queued once, not yet recorded
        self.note = "" if bindings is not None else "cuda-bindings is not installed"

    def __call__(self, key: Hashable, work: Callable[[], None]) -> None:
        graph = self._graphs.get(key)
        if graph is None and key in self._graphs and not self.note:
            graph = self._graphs[key] = self._recorded(work)
        if graph is not None:
            self._check(self._driver.cuGraphLaunch(graph, self._handle()))
            return
        work()
        self._graphs[key] = None
        while len(self._graphs) > MOST:
            _, oldest = self._graphs.popitem(last=False)
            self._destroy(oldest)

    @property
    def recorded(self) -> int:
        """How many graphs there are."""
        return sum(graph is not None for graph in self._graphs.values())

    def forget(self) -> None:
        """Drops every graph: addresses have changed."""
        while self._graphs:
            self._destroy(self._graphs.popitem()[1])

    def _handle(self) -> Any:
        return self._driver.CUstream(int(self._stream.handle))

    def _recorded(self, work: Callable[[], None]) -> Any:
        """A graph of the work, which is not done yet; None, and a note, where the driver or TensorRT refuses to record it."""
        driver, failed, handle = self._driver, None, self._handle()
        try:
            # thread-local: what torch or ONNX Runtime do meanwhile in their threads does not disturb
            self._check(driver.cuStreamBeginCapture(handle, driver.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL))
            try:
                work()
            except Exception as error:  # pycuda's own stand straight below Exception
                failed = error
            (graph,) = self._check(driver.cuStreamEndCapture(handle))  # also after an error: the stream must be usable again
            if failed is None:
                (executable,) = self._check(driver.cuGraphInstantiate(graph, 0))
                driver.cuGraphDestroy(graph)
                return executable
        except RuntimeError as error:
            failed = failed or error
        self.note = f"not recorded: {' '.join(str(failed).split())[:200]}"
        return None

    def _destroy(self, graph: Any) -> None:
        if graph is not None:
            self._stream.synchronize()
            self._check(self._driver.cuGraphExecDestroy(graph))

    def _check(self, answer: tuple[Any, ...]) -> tuple[Any, ...]:
        code, *values = answer
        if int(code) != 0:
            raise RuntimeError(f"the CUDA driver refuses a graph: {code!r}")
        return tuple(values)
