"""Ages the faces of a photo: python age_photo.py IN.jpg OUT.jpg AGE [MODEL.onnx [YUNET.onnx]]"""

import sys

import cv2

from reaging.runtime.filter import open_filter
from reaging.runtime.sources.photo import read_photo

source, target, age, *files = sys.argv[1:]
model, detector = (*files, None, None)[:2]
face_filter = open_filter(model, age=float(age), detector=detector)
cv2.imwrite(target, face_filter(read_photo(source)))
print(f"{len(face_filter.faces)} faces aged to {age}")
