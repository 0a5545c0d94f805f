/* Frame kernels: faces out of the frame into the network's input, and the network's changes back into the frame, one launch each.

   Blocks of 16 x 16 threads over the pixels of the target.  Compiled for the GPU at hand by compile.py, launched by frames.py; the tests run
   the same file on the CPU.  Nothing has launched them on a GPU yet. */
#include "geometry.h"

/* image [faces, 3, size, size] float32, or float16 where half; faces float [gridDim.z, REAGING_FIELDS]; age float [faces]. */
extern "C" __global__ void faces_to_input(const unsigned char *frame, int height, int width, const float *faces, int size, void *image,
                                          int half, float *age) {
  int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y, face = blockIdx.z;
  const float *one = faces + face * REAGING_FIELDS;
  if (x == 0 && y == 0) age[face] = one[REAGING_AGE];
  long start = (long)face * 3 * size * size * (half ? 2 : 4);
  if (x < size && y < size) reaging_input_pixel(frame, height, width, one, size, x, y, (char *)image + start, half);
}

/* The changes of count faces into the frame; a thread outside every face's box reads and writes nothing of it. */
extern "C" __global__ void changes_to_frame(unsigned char *frame, int height, int width, const float *faces, int count, const void *image,
                                            const void *aged, const void *mask, int size, int half, float *taken) {
  int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
  if (x < width && y < height) reaging_paste_pixel(frame, width, faces, count, image, aged, mask, size, half, taken, x, y);
}
