/* Frame kernels: a face out of the frame into the network's input, and the network's change back into the frame.

   Both are tested on the CPU (tests/runtime/test_cuda_kernels.py); nothing launches them on a GPU yet, the TensorRT backend takes its input
   from the host.  Launch with blocks of 16 x 16 threads over the pixels of the target; the matrices lie in device memory. */
#include "geometry.h"

/* image[face, 3, size, size] of faces 0..gridDim.z-1; to_frame[face, 6] crop -> frame. */
extern "C" __global__ void faces_to_input(const unsigned char *frame, int height, int width, const float *to_frame, int size, float *image) {
  int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y, face = blockIdx.z;
  if (x < size && y < size)
    reaging_input_pixel(frame, height, width, to_frame + 6 * face, size, x, y, image + (long)face * 3 * size * size);
}

/* One face into the part of the frame that begins at left, top; one launch for each face, in order, where faces overlap. */
extern "C" __global__ void change_to_frame(unsigned char *frame, int height, int width, int left, int top, const float *to_crop,
                                           const float *image, const float *aged, const float *mask, int size, float *taken) {
  int x = left + blockIdx.x * blockDim.x + threadIdx.x, y = top + blockIdx.y * blockDim.y + threadIdx.y;
  if (x < width && y < height) reaging_paste_pixel(frame, width, to_crop, image, aged, mask, size, taken, x, y);
}
