/* One pixel of the way from frame to network and back, in plain C: kernels.cu runs it on the GPU, a test runs the same file on the CPU
   against faces/template.py and paste.py, whose arithmetic this is.  Pixel centers are at integers. */
#ifndef REAGING_GEOMETRY_H
#define REAGING_GEOMETRY_H

#ifdef __CUDACC__
#define REAGING_FUNCTION __device__ static inline
#else
#define REAGING_FUNCTION static inline
#endif

#define REAGING_OUTSIDE 0.02f  /* as in paste.py */
#define REAGING_INSIDE 0.10f
#define REAGING_FEATHER 0.0625f
#define REAGING_MOST_SAMPLES 8 /* along one side of a pixel, when shrinking */

REAGING_FUNCTION float reaging_clamp(float value, float low, float high) { return value < low ? low : value > high ? high : value; }

REAGING_FUNCTION int reaging_floor(float value) {
  int whole = (int)value;
  return value < (float)whole ? whole - 1 : whole;
}

/* Index of the mirror image of a pixel outside 0..count-1; the border pixel is not repeated. */
REAGING_FUNCTION int reaging_mirror(int index, int count) {
  if (count == 1) return 0;
  int period = 2 * (count - 1);
  index %= period;
  if (index < 0) index += period;
  return index < count ? index : period - index;
}

/* Samples along one side of a pixel that keep a map from shrinking too coarsely: one for each source pixel under it. */
REAGING_FUNCTION int reaging_samples(float a, float b) {
  float squared = a * a + b * b; /* source pixels for each target pixel, squared */
  int count = 1;
  while (count < REAGING_MOST_SAMPLES && (float)((count + 1) * (count + 1)) <= squared * 1.0001f) ++count;
  return count;
}

/* Bilinear sample of channel c of a frame, uint8 [height, width, 3], mirrored outside. */
REAGING_FUNCTION float reaging_frame_at(const unsigned char *frame, int height, int width, float x, float y, int c) {
  int x0 = reaging_floor(x), y0 = reaging_floor(y);
  float fx = x - (float)x0, fy = y - (float)y0;
  long left = reaging_mirror(x0, width), right = reaging_mirror(x0 + 1, width);
  long top = (long)reaging_mirror(y0, height) * width, bottom = (long)reaging_mirror(y0 + 1, height) * width;
  float above = (1 - fx) * frame[(top + left) * 3 + c] + fx * frame[(top + right) * 3 + c];
  float below = (1 - fx) * frame[(bottom + left) * 3 + c] + fx * frame[(bottom + right) * 3 + c];
  return (1 - fy) * above + fy * below;
}

/* Pixel x, y of the network's input, float [3, size, size] RGB in -1..1.  to_frame [6]: rows of the 2x3 matrix crop -> frame. */
REAGING_FUNCTION void reaging_input_pixel(const unsigned char *frame, int height, int width, const float *to_frame, int size, int x, int y,
                                          float *image) {
  int n = reaging_samples(to_frame[0], to_frame[3]);
  for (int c = 0; c < 3; ++c) {
    float sum = 0;
    for (int i = 0; i < n * n; ++i) {
      float u = (float)x + ((float)(i % n) + 0.5f) / (float)n - 0.5f, v = (float)y + ((float)(i / n) + 0.5f) / (float)n - 0.5f;
      sum += reaging_frame_at(frame, height, width, to_frame[0] * u + to_frame[1] * v + to_frame[2],
                              to_frame[3] * u + to_frame[4] * v + to_frame[5], 2 - c);
    }
    image[((long)c * size + y) * size + x] = sum / (float)(n * n) / 127.5f - 1;
  }
}

/* How much of the change at crop pixel x, y is added: paste_weight of paste.py. */
REAGING_FUNCTION float reaging_weight(const float *mask, int size, int x, int y) {
  int from_left = x < size - 1 - x ? x : size - 1 - x, from_top = y < size - 1 - y ? y : size - 1 - y;
  float width = size * REAGING_FEATHER;
  if (width < 1) width = 1;
  float edge = reaging_clamp((float)(from_left < from_top ? from_left : from_top) / width, 0, 1);
  float inside = reaging_clamp((mask[(long)y * size + x] - REAGING_OUTSIDE) / (REAGING_INSIDE - REAGING_OUTSIDE), 0, 1);
  return inside * edge * edge * (3 - 2 * edge);
}

/* Adds to sum[4] the change in gray levels (RGB) and its weight at a place of the crop, nothing outside of it. */
REAGING_FUNCTION void reaging_change_at(const float *image, const float *aged, const float *mask, int size, float x, float y, float *sum) {
  int x0 = reaging_floor(x), y0 = reaging_floor(y);
  for (int i = 0; i < 4; ++i) {
    int at_x = x0 + (i & 1), at_y = y0 + (i >> 1);
    if (at_x < 0 || at_y < 0 || at_x >= size || at_y >= size) continue;
    float fx = x - (float)x0, fy = y - (float)y0;
    float share = (i & 1 ? fx : 1 - fx) * (i >> 1 ? fy : 1 - fy) * reaging_weight(mask, size, at_x, at_y);
    sum[3] += share;
    for (int c = 0; c < 3; ++c) {
      long at = ((long)c * size + at_y) * size + at_x;
      sum[c] += share * (aged[at] - image[at]) * 127.5f;
    }
  }
}

/* Adds one face's change to pixel x, y of the frame, uint8 [height, width, 3] BGR.  to_crop [6]: frame -> crop.  taken [height, width]:
   the weight that earlier faces have used up, or null where there is one face only. */
REAGING_FUNCTION void reaging_paste_pixel(unsigned char *frame, int width, const float *to_crop, const float *image, const float *aged,
                                          const float *mask, int size, float *taken, int x, int y) {
  int n = reaging_samples(to_crop[0], to_crop[3]);
  float sum[4] = {0, 0, 0, 0};
  for (int i = 0; i < n * n; ++i) {
    float u = (float)x + ((float)(i % n) + 0.5f) / (float)n - 0.5f, v = (float)y + ((float)(i / n) + 0.5f) / (float)n - 0.5f;
    reaging_change_at(image, aged, mask, size, to_crop[0] * u + to_crop[1] * v + to_crop[2],
                      to_crop[3] * u + to_crop[4] * v + to_crop[5], sum);
  }
  if (sum[3] <= 0) return; /* outside the mask no pixel is written */
  long at = (long)y * width + x;
  float rest = 1;
  if (taken) {
    rest = 1 - taken[at];
    taken[at] += rest * sum[3] / (float)(n * n);
  }
  for (int c = 0; c < 3; ++c) {
    float value = (float)frame[at * 3 + c] + rest * sum[2 - c] / (float)(n * n);
    frame[at * 3 + c] = (unsigned char)(reaging_clamp(value, 0, 255) + 0.5f);
  }
}

#endif
