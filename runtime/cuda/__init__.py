"""CUDA: the driver check, buffers for TensorRT, and the frame kernels."""
