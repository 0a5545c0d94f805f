"""A face that grows older through a clip: python filter_clip.py IN.mp4 OUT.mp4 [MODEL.onnx [YUNET.onnx]]"""

import sys
from pathlib import Path

from reaging.runtime.filter import open_filter
from reaging.runtime.sinks import open_sink
from reaging.runtime.sources import open_source

source, target, *files = sys.argv[1:]
model, detector = (*files, None, None)[:2]
face_filter = open_filter(model, detector=detector)
clip = open_source(source)
with open_sink(target, clip.fps, audio_from=Path(source)) as video:
    for frame, time, name in clip:
        face_filter.age = min(100, 10 + 20 * time)  # years: 20 more every second
        video.write(face_filter(frame, time), time, name)
