"""A browser source for OBS: python obs_source.py [SOURCE [MODEL.onnx]]; the address it prints is the source's. Ctrl-C ends it."""

import sys

from reaging.runtime.filter import open_filter
from reaging.runtime.live import interrupts, play
from reaging.runtime.sinks.web import Web
from reaging.runtime.sources import open_source

source = sys.argv[1] if sys.argv[1:] else "camera:0"
face_filter = open_filter(sys.argv[2] if sys.argv[2:] else None, age=70, live=True)
camera = open_source(source, say=print)
with Web("127.0.0.1", 0) as web, interrupts() as stop:
    print(web.url, flush=True)
    play(camera, face_filter, face_filter, web, stop=stop)
