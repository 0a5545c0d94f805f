"""The generator alone, on crops of one's own finder: python use_ager.py FACE.png OUT.png [MODEL.onnx]

FACE.png is a face in the FFHQ template; OUT.png shows it at 5, 20, 40, 60 and 80 years.
"""

import sys

import cv2
import numpy as np

from reaging.runtime.ager import Ager
from reaging.runtime.backends import open_backend
from reaging.runtime.bundled import GENERATOR, bundled

ager = Ager(open_backend(sys.argv[3] if sys.argv[3:] else bundled(GENERATOR)))
crop = cv2.resize(cv2.imread(sys.argv[1]), (ager.size, ager.size), interpolation=cv2.INTER_AREA)[..., ::-1]  # RGB
change = ager(np.repeat(crop[None], 5, axis=0), [5, 20, 40, 60, 80])
aged = np.clip(np.rint(crop + change.delta * 127.5), 0, 255).astype(np.uint8)
cv2.imwrite(sys.argv[2], np.hstack([*aged])[..., ::-1])
