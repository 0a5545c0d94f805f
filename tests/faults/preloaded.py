"""What the server of killing.py imports once, for all the processes that it forks."""

from contextlib import suppress
from importlib import import_module

import av
import cv2
import faults.children
import faults.killing
import numpy as np
import onnx
import onnxruntime
import onnxscript  # the exporter's
import PIL.Image
import pytest  # every process looks at the main module again
import torch
import torch.onnx
import tqdm

import reaging.data.cli
import reaging.data.crops
import reaging.data.prepare
import reaging.data.synthesize
import reaging.export.cli
import reaging.export.engine
import reaging.export.fp16
import reaging.export.int8
import reaging.export.onnx
import reaging.runtime.cli
import reaging.runtime.live
import reaging.runtime.sinks.video
import reaging.runtime.sources.clip
import reaging.training.cli
import reaging.training.loop
import reaging.training.step

# what these import when they are first used; a name that another version lacks is imported by every process
for late in (
    "torch.utils.tensorboard", "torch._dynamo", "torch._inductor.utils", "torch._export", "torch.export",
    "torch.onnx._internal.exporter._core",
    "torch.onnx._internal.exporter._onnx_program", "networkx", "onnxscript.rewriter", "onnxscript.function_libs.torch_lib.ops",
    "onnxscript.version_converter", "skimage.data", "skimage.io", "tifffile",
):  # fmt: skip
    with suppress(ImportError):
        import_module(late)
PIL.Image.init()
torch.set_num_threads(1)
cv2.setNumThreads(1)
__all__ = ["PIL", "av", "cv2", "faults", "np", "onnx", "onnxruntime", "onnxscript", "pytest", "reaging", "torch", "tqdm"]
