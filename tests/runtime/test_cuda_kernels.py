"""The CUDA frame kernels, compiled for the CPU and held against template.py and paste.py on a real face."""

import ctypes
import shutil
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest

from reaging.runtime.ager import Change
from reaging.runtime.faces.template import cut
from reaging.runtime.paste import paste

KERNELS = Path(__file__).parents[2] / "runtime" / "cuda" / "kernels.cu"
HOST = """
struct Dim { int x, y, z; };
static Dim blockIdx, blockDim = {1, 1, 1}, threadIdx;
#define __global__
#include "kernels.cu"
extern "C" void run_faces(const unsigned char *frame, int height, int width, const float *to_frame, int size, float *image, int faces) {
  for (blockIdx.z = 0; blockIdx.z < faces; ++blockIdx.z)
    for (blockIdx.y = 0; blockIdx.y < size; ++blockIdx.y)
      for (blockIdx.x = 0; blockIdx.x < size; ++blockIdx.x) faces_to_input(frame, height, width, to_frame, size, image);
}
extern "C" void run_change(unsigned char *frame, int height, int width, const float *to_crop, const float *image, const float *aged,
                           const float *mask, int size, float *taken) {
  for (blockIdx.y = 0; blockIdx.y < height; ++blockIdx.y)
    for (blockIdx.x = 0; blockIdx.x < width; ++blockIdx.x)
      change_to_frame(frame, height, width, 0, 0, to_crop, image, aged, mask, size, taken);
}
"""
SIZE = 64


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("g++ is not installed")
    folder = tmp_path_factory.mktemp("kernels")
    (folder / "host.cpp").write_text(HOST)
    library = folder / "host.so"
    flags = ["-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", f"-I{KERNELS.parent}"]
    subprocess.run([compiler, *flags, str(folder / "host.cpp"), "-o", str(library)], check=True)
    return ctypes.CDLL(str(library))


def pointer(array: np.ndarray) -> ctypes.c_void_p:
    assert array.flags.c_contiguous
    return ctypes.c_void_p(array.ctypes.data)


def matrix(scale: float, turn: float, x: float, y: float) -> np.ndarray:
    """frame -> crop: so many crop pixels for a frame pixel, turned, with the crop's center at x, y of the frame."""
    linear = scale * np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    return np.hstack([linear, ((SIZE - 1) / 2 - linear @ [x, y])[:, None]]).astype(np.float32)


@pytest.fixture(scope="module")
def photo(astronaut: Path) -> np.ndarray:
    """Slightly soft, since OpenCV places a sample to 1/32 of a pixel: on a sharp edge alone that is more than a gray level."""
    return cv2.GaussianBlur(cv2.imread(str(astronaut)), (0, 0), 2.5)


@pytest.mark.parametrize("scale", [1.7, 1.0, 0.8])
def test_input_is_the_crop(host: ctypes.CDLL, photo: np.ndarray, scale: float) -> None:
    matrices = np.stack([matrix(scale, 0.3, 222.4, 110.7), matrix(scale, -0.2, 20, 10)])  # the second sticks out of the frame
    back = np.stack([cv2.invertAffineTransform(m) for m in matrices]).astype(np.float32)
    image = np.empty((2, 3, SIZE, SIZE), np.float32)
    host.run_faces(pointer(photo), *photo.shape[:2], pointer(back), SIZE, pointer(image), 2)
    crops = np.stack([cut(photo, m, SIZE) for m in matrices]).transpose(0, 3, 1, 2)
    assert np.abs((image + 1) * 127.5 - crops).max() <= 1


def test_a_large_face_is_averaged_not_sampled(host: ctypes.CDLL, photo: np.ndarray) -> None:
    noisy = np.clip(photo + np.random.default_rng(0).normal(0, 40, photo.shape), 0, 255).astype(np.uint8)
    forward = matrix(0.25, 0.1, 250, 250)
    image = np.empty((1, 3, SIZE, SIZE), np.float32)
    host.run_faces(
        pointer(noisy), *noisy.shape[:2], pointer(cv2.invertAffineTransform(forward).astype(np.float32)), SIZE, pointer(image), 1
    )
    crop = cut(noisy, forward, SIZE).transpose(2, 0, 1)
    assert np.abs((image[0] + 1) * 127.5 - crop).mean() < 6 < 20 < np.abs(noisy.astype(int) - photo).mean()


def smooth_change(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """image, aged [3, S, S] and mask [S, S] without sharp edges."""
    random = np.random.default_rng(seed)
    image, aged = (
        cv2.GaussianBlur(random.uniform(-1, 1, (SIZE, SIZE, 3)).astype(np.float32), (0, 0), 4).transpose(2, 0, 1).copy() for _ in "ab"
    )
    at = np.hypot(*np.meshgrid(*[np.linspace(-1, 1, SIZE, dtype=np.float32)] * 2))
    return image, aged * 3, np.clip(1.2 - at, 0, 1).astype(np.float32)


@pytest.mark.parametrize("scale", [0.3, 0.7, 1.6])
def test_change_lands_in_the_frame_as_pasted(host: ctypes.CDLL, photo: np.ndarray, scale: float) -> None:
    faces = [(smooth_change(1), matrix(scale, 0.4, 222.4, 110.7)), (smooth_change(2), matrix(scale, -0.1, 250.2, 140.1))]
    frame, taken = photo.copy(), np.zeros(photo.shape[:2], np.float32)
    for (image, aged, mask), forward in faces:
        host.run_change(
            pointer(frame), *frame.shape[:2], pointer(forward), pointer(image), pointer(aged), pointer(mask), SIZE, pointer(taken)
        )
    delta = np.stack([(aged - image).transpose(1, 2, 0) for (image, aged, _), _ in faces])
    expected = paste(photo, Change(delta, np.stack([mask for (_, _, mask), _ in faces])), np.stack([m for _, m in faces]))
    assert np.abs(expected.astype(int) - photo).max() > 20
    assert np.abs(frame.astype(int) - expected).max() <= 1
    untouched = (expected == photo).all(-1)
    assert np.abs(frame.astype(int) - photo)[untouched].max() <= 1
    assert np.array_equal(frame[300:], photo[300:])
