"""Faces in a frame: found, followed, aligned and cut out.  numpy, OpenCV and ONNX Runtime only."""
