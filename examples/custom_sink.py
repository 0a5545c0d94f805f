"""A sink of one's own, here a meter in the terminal: python custom_sink.py SOURCE [MODEL.onnx]"""

import sys

from reaging.runtime.filter import open_filter
from reaging.runtime.live import play
from reaging.runtime.sinks.base import Null
from reaging.runtime.sources import open_source


class Meter(Null):
    """Prints how bright each frame is; ``closed = True`` would end the loop."""

    def write(self, frame, time, name):
        print(f"{time:7.3f} s {name} {'#' * round(frame.mean() / 4)}")


face_filter = open_filter(sys.argv[2] if sys.argv[2:] else None, age=20)
frames = play(open_source(sys.argv[1]), face_filter, face_filter, Meter(), max_frames=50)
print(f"{frames} frames, {face_filter.faces_seen} faces")
