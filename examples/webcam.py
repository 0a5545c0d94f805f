"""A webcam in a window with slider and keys: python webcam.py [SOURCE [MODEL.onnx]]"""

import sys

from reaging.runtime.controls import Controls
from reaging.runtime.filter import open_filter
from reaging.runtime.live import play
from reaging.runtime.sinks.window import Window
from reaging.runtime.sources import open_source

source = sys.argv[1] if sys.argv[1:] else "camera:0"
face_filter = open_filter(sys.argv[2] if sys.argv[2:] else None, age=70, live=True)
controls = Controls(face_filter, mirror=True)
camera = open_source(source, say=print)
with Window(controls) as window:
    frames = play(camera, face_filter, controls, window)
print(f"{frames} frames, {face_filter.stages.recent('delay'):.0f} ms from camera to screen")
