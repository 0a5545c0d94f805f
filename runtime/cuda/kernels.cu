/* Frame kernels, one launch each: faces out of the frame into the network's input; the network's change averaged coarsely with the one before;
   the calmer change as it is worn; and every change into the frame.

   Blocks of 16 x 16 threads over the pixels of the target.  Compiled for the GPU at hand by compile.py, launched by frames.py; the tests run
   the same file on the CPU.  Nothing has launched them on a GPU yet. */
#include "geometry.h"

#define REAGING_X (int)(blockIdx.x * blockDim.x + threadIdx.x)
#define REAGING_Y (int)(blockIdx.y * blockDim.y + threadIdx.y)

/* image [faces, 3, size, size] float32, or float16 where half; faces float [gridDim.z, REAGING_CUT_FIELDS]; age float [faces]. */
extern "C" __global__ void faces_to_input(const unsigned char *frame, int height, int width, const float *faces, int size, void *image,
                                          int half, float *age) {
  int x = REAGING_X, y = REAGING_Y, face = blockIdx.z;
  const float *row = faces + (long)face * REAGING_CUT_FIELDS;
  if (x == 0 && y == 0) age[face] = row[REAGING_AGE];
  long start = (long)face * 3 * size * size * (half ? 2 : 4);
  if (x < size && y < size) reaging_input_pixel(frame, height, width, row, size, x, y, (char *)image + start, half);
}

/* Over REAGING_FINE x REAGING_FINE places of each face; kept float [slots, REAGING_KEPT(size)]. */
extern "C" __global__ void changes_to_average(const void *image, const void *aged, const void *mask, int half, const float *faces, int size,
                                              float *kept) {
  int x = REAGING_X, y = REAGING_Y, face = blockIdx.z;
  const float *row = faces + (long)face * REAGING_CUT_FIELDS;
  float *slot = kept + (long)row[REAGING_CUT_SLOT] * REAGING_KEPT(size);
  if (x < REAGING_FINE && y < REAGING_FINE) reaging_average_pixel(image, aged, mask, row, face, size, half, slot, x, y);
}

/* Over the pixels of each face's crop, once the averages are there. */
extern "C" __global__ void changes_to_worn(const void *image, const void *aged, const void *mask, int half, const float *faces, int size,
                                           float *kept) {
  int x = REAGING_X, y = REAGING_Y, face = blockIdx.z;
  float *slot = kept + (long)faces[(long)face * REAGING_CUT_FIELDS + REAGING_CUT_SLOT] * REAGING_KEPT(size);
  if (x < size && y < size) reaging_wear_pixel(image, aged, mask, face, size, half, slot, x, y);
}

/* What is kept of count faces into the frame; a thread outside every face's box reads and writes nothing of it. */
extern "C" __global__ void worn_to_frame(unsigned char *frame, int height, int width, const float *faces, int count, const float *kept,
                                         int size) {
  int x = REAGING_X, y = REAGING_Y;
  if (x < width && y < height) reaging_paste_pixel(frame, width, faces, count, kept, size, x, y);
}
