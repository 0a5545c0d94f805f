/* One pixel of the way from frame to network and back, in plain C: kernels.cu runs it on the GPU, a test runs the same file on the CPU
   against faces/template.py, steady.py and paste.py, whose arithmetic this is.  Pixel centers are at integers. */
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
#define REAGING_FINE 64 /* as in steady.py */
#define REAGING_MOST_SAMPLES 8 /* along one side of a pixel, when shrinking */

/* A face that gets a new change, as frames.py describes it in floats. */
#define REAGING_TO_FRAME 0 /* 6: rows of the 2x3 matrix crop -> frame */
#define REAGING_AGE 6      /* years */
#define REAGING_HALVINGS 7 /* how often the frame is halved before it is sampled, so that a large face is averaged */
#define REAGING_PHASE 8    /* 2: column and row of the frame where the first block of 2^halvings pixels a side begins */
#define REAGING_CUT_SLOT 10
#define REAGING_WEIGHTS 11 /* FINE x FINE: the new change's weight against the one that was kept, 0 to 1 */
#define REAGING_CUT_FIELDS (REAGING_WEIGHTS + REAGING_FINE * REAGING_FINE)

/* A face whose change is shown. */
#define REAGING_TO_CROP 0 /* 6: rows of the 2x3 matrix frame -> crop */
#define REAGING_BOX 6     /* 4: left, top, right, bottom in the frame, the latter two just outside */
#define REAGING_GAIN 10   /* 0 to 1: how much of the change is added */
#define REAGING_SLOT 11
#define REAGING_CARRIED 12 /* 1 where the shares count, else 0 */
#define REAGING_SHARES 13  /* FINE x FINE: how much of the change, made of an earlier frame, is shown, 0 to 1 */
#define REAGING_PASTE_FIELDS (REAGING_SHARES + REAGING_FINE * REAGING_FINE)

/* What is kept of a face, in floats, one slot after the other: its change [size, size, 4] in gray levels of blue, green and red and the
   weight 0 to 1; what of it is averaged over time [FINE, FINE, 3]; and how far that is from the newest one [FINE, FINE, 3]. */
#define REAGING_AVERAGED(size) ((long)(size) * (size) * 4)
#define REAGING_CALMING(size) (REAGING_AVERAGED(size) + REAGING_FINE * REAGING_FINE * 3)
#define REAGING_KEPT(size) (REAGING_CALMING(size) + REAGING_FINE * REAGING_FINE * 3)

REAGING_FUNCTION float reaging_clamp(float value, float low, float high) { return value < low ? low : value > high ? high : value; }

REAGING_FUNCTION int reaging_floor(float value) {
  int whole = (int)value;
  return value < (float)whole ? whole - 1 : whole;
}

/* float32 to float16 and back, by their bits (IEEE 754, to the nearest, ties to even): no header is needed and the host does the same. */
REAGING_FUNCTION unsigned short reaging_to_half(float value) {
  union { float number; unsigned int bits; } in;
  in.number = value;
  unsigned int sign = in.bits >> 16 & 0x8000u, magnitude = in.bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return (unsigned short)(sign | 0x7e00u); /* not a number */
  if (magnitude >= 0x47800000u) return (unsigned short)(sign | 0x7c00u); /* 65536 and more: infinity */
  if (magnitude < 0x38800000u) { /* below 2^-14: a multiple of 2^-24 */
    if (magnitude < 0x33000000u) return (unsigned short)sign;
    unsigned int shift = 126u - (magnitude >> 23), fraction = (magnitude & 0x7fffffu) | 0x800000u;
    unsigned int kept = fraction >> shift, lost = fraction & ((1u << shift) - 1u), middle = 1u << (shift - 1u);
    return (unsigned short)(sign | (kept + (lost > middle || (lost == middle && (kept & 1u)) ? 1u : 0u)));
  }
  unsigned int rounded = magnitude - 0x38000000u + 0xfffu + (magnitude >> 13 & 1u);
  return (unsigned short)(sign | rounded >> 13);
}

REAGING_FUNCTION float reaging_from_half(unsigned short half) {
  union { float number; unsigned int bits; } out;
  unsigned int sign = (unsigned int)(half & 0x8000u) << 16, magnitude = half & 0x7fffu;
  if (magnitude < 0x400u) {
    out.number = (float)magnitude * 5.9604644775390625e-8f; /* 2^-24 */
    out.bits |= sign;
  } else {
    out.bits = sign | (magnitude >= 0x7c00u ? 0x7f800000u | (magnitude & 0x3ffu) << 13 : (magnitude << 13) + 0x38000000u);
  }
  return out.number;
}

/* Element of an array of float16 or float32. */
REAGING_FUNCTION float reaging_load(const void *array, long at, int half) {
  return half ? reaging_from_half(((const unsigned short *)array)[at]) : ((const float *)array)[at];
}

REAGING_FUNCTION void reaging_store(void *array, long at, int half, float value) {
  if (half) ((unsigned short *)array)[at] = reaging_to_half(value);
  else ((float *)array)[at] = value;
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

/* Channel c of the frame halved so often, at one of its pixels: the average of a block of side x side, a whole number as OpenCV's is. */
REAGING_FUNCTION float reaging_block(const unsigned char *frame, int width, int left, int top, int side, int c) {
  int sum = 0;
  for (int i = 0; i < side * side; ++i) sum += frame[((long)(top + i / side) * width + left + i % side) * 3 + c];
  return (float)((sum + side * side / 2) / (side * side));
}

/* Bilinear sample of channel c of a frame, uint8 [height, width, 3], that is halved first; mirrored outside.  x, y in the frame's pixels. */
REAGING_FUNCTION float reaging_frame_at(const unsigned char *frame, int height, int width, const float *face, float x, float y, int c) {
  int side = 1 << (int)face[REAGING_HALVINGS], left = (int)face[REAGING_PHASE], top = (int)face[REAGING_PHASE + 1];
  int columns = (width - left) / side, rows = (height - top) / side;
  float u = (x - (float)left + 0.5f) / (float)side - 0.5f, v = (y - (float)top + 0.5f) / (float)side - 0.5f;
  int u0 = reaging_floor(u), v0 = reaging_floor(v);
  float sum = 0;
  for (int i = 0; i < 4; ++i) {
    float share = (i & 1 ? u - (float)u0 : 1 - (u - (float)u0)) * (i >> 1 ? v - (float)v0 : 1 - (v - (float)v0));
    int column = reaging_mirror(u0 + (i & 1), columns), row = reaging_mirror(v0 + (i >> 1), rows);
    sum += share * reaging_block(frame, width, left + column * side, top + row * side, side, c);
  }
  return sum;
}

/* Pixel x, y of the network's input, [3, size, size] RGB in -1..1, in steps of a gray level as a crop of bytes has them. */
REAGING_FUNCTION void reaging_input_pixel(const unsigned char *frame, int height, int width, const float *face, int size, int x, int y,
                                          void *image, int half) {
  const float *m = face + REAGING_TO_FRAME;
  float at_x = m[0] * (float)x + m[1] * (float)y + m[2], at_y = m[3] * (float)x + m[4] * (float)y + m[5];
  for (int c = 0; c < 3; ++c) {
    int level = (int)(reaging_frame_at(frame, height, width, face, at_x, at_y, 2 - c) + 0.5f);
    reaging_store(image, ((long)c * size + y) * size + x, half, (float)level / 127.5f - 1);
  }
}

/* How much of the change at crop pixel x, y is added: paste_weight of paste.py. */
REAGING_FUNCTION float reaging_weight(const void *mask, long start, int size, int half, int x, int y) {
  int from_left = x < size - 1 - x ? x : size - 1 - x, from_top = y < size - 1 - y ? y : size - 1 - y;
  float width = size * REAGING_FEATHER;
  if (width < 1) width = 1;
  float edge = reaging_clamp((float)(from_left < from_top ? from_left : from_top) / width, 0, 1);
  float inside = reaging_clamp((reaging_load(mask, start + (long)y * size + x, half) - REAGING_OUTSIDE) / (REAGING_INSIDE - REAGING_OUTSIDE), 0, 1);
  return inside * edge * edge * (3 - 2 * edge);
}

/* Channel c (0: red) of the newest change at crop pixel x, y, in gray levels, without its weight. */
REAGING_FUNCTION float reaging_change(const void *image, const void *aged, int face, int size, int half, int x, int y, int c) {
  long at = ((face * 3l + c) * size + y) * size + x;
  return (reaging_load(aged, at, half) - reaging_load(image, at, half)) * 127.5f;
}

/* How much of the interval from a to b lies under pixel i. */
REAGING_FUNCTION float reaging_under(int i, float a, float b) {
  float low = (float)i > a ? (float)i : a, high = (float)(i + 1) < b ? (float)(i + 1) : b;
  return high > low ? high - low : 0;
}

/* The newest change averaged under place x, y of the coarse grid, and that averaged with the one before, into the face's slot: what worn of
   steady.py does first.  row: of the face, to be cut; image, aged and mask hold it as number ``face``. */
REAGING_FUNCTION void reaging_average_pixel(const void *image, const void *aged, const void *mask, const float *row, int face, int size,
                                            int half, float *slot, int x, int y) {
  float step = (float)size / REAGING_FINE, left = (float)x * step, top = (float)y * step, right = left + step, bottom = top + step;
  float sum[3] = {0, 0, 0}, weight = row[REAGING_WEIGHTS + y * REAGING_FINE + x];
  for (int v = (int)top; v < size && (float)v < bottom; ++v) {
    for (int u = (int)left; u < size && (float)u < right; ++u) {
      float share = reaging_under(u, left, right) * reaging_under(v, top, bottom);
      share *= reaging_weight(mask, (long)face * size * size, size, half, u, v);
      if (share <= 0) continue;
      for (int c = 0; c < 3; ++c) sum[c] += share * reaging_change(image, aged, face, size, half, u, v, 2 - c);
    }
  }
  for (int c = 0; c < 3; ++c) {
    long at = (long)(y * REAGING_FINE + x) * 3 + c;
    float *averaged = slot + REAGING_AVERAGED(size) + at, newest = sum[c] / (step * step);
    float mixed = weight >= 1 ? newest : *averaged + weight * (newest - *averaged); /* at first there is nothing to read */
    *averaged = mixed;
    slot[REAGING_CALMING(size) + at] = mixed - newest;
  }
}

/* Bilinear sample of channel c of a coarse grid, [FINE, FINE, channels], at crop pixel x, y; its border goes on outside. */
REAGING_FUNCTION float reaging_coarse_at(const float *grid, int channels, int size, int x, int y, int c) {
  float step = (float)REAGING_FINE / (float)size, most = REAGING_FINE - 1, sum = 0;
  float u = reaging_clamp(((float)x + 0.5f) * step - 0.5f, 0, most), v = reaging_clamp(((float)y + 0.5f) * step - 0.5f, 0, most);
  int u0 = (int)u, v0 = (int)v;
  for (int i = 0; i < 4; ++i) {
    int column = u0 + (i & 1) < REAGING_FINE ? u0 + (i & 1) : u0, row = v0 + (i >> 1) < REAGING_FINE ? v0 + (i >> 1) : v0;
    float share = (i & 1 ? u - (float)u0 : 1 - (u - (float)u0)) * (i >> 1 ? v - (float)v0 : 1 - (v - (float)v0));
    sum += share * grid[(row * REAGING_FINE + column) * channels + c];
  }
  return sum;
}

/* Pixel x, y of the change as it is worn, into the face's slot, once the coarse grid is averaged: outside the newest mask it is 0. */
REAGING_FUNCTION void reaging_wear_pixel(const void *image, const void *aged, const void *mask, int face, int size, int half, float *slot,
                                         int x, int y) {
  float *worn = slot + ((long)y * size + x) * 4, weight = reaging_weight(mask, (long)face * size * size, size, half, x, y);
  for (int c = 0; c < 3; ++c) {
    float calmer = reaging_coarse_at(slot + REAGING_CALMING(size), 3, size, x, y, c);
    worn[c] = weight > 0 ? weight * (reaging_change(image, aged, face, size, half, x, y, 2 - c) + calmer) : 0;
  }
  worn[3] = weight;
}

/* Adds to sum[4] a kept change and its weight at a place of its crop, nothing outside of it. */
REAGING_FUNCTION void reaging_kept_at(const float *slot, const float *row, int size, float x, float y, float *sum) {
  int x0 = reaging_floor(x), y0 = reaging_floor(y);
  for (int i = 0; i < 4; ++i) {
    int at_x = x0 + (i & 1), at_y = y0 + (i >> 1);
    if (at_x < 0 || at_y < 0 || at_x >= size || at_y >= size) continue;
    float fx = x - (float)x0, fy = y - (float)y0;
    float share = (i & 1 ? fx : 1 - fx) * (i >> 1 ? fy : 1 - fy);
    if (row[REAGING_CARRIED] > 0) share *= reaging_coarse_at(row + REAGING_SHARES, 1, size, at_x, at_y, 0);
    for (int c = 0; c < 4; ++c) sum[c] += share * slot[((long)at_y * size + at_x) * 4 + c];
  }
}

/* Adds the changes of all faces to pixel x, y of the frame, uint8 [height, width, 3] BGR; faces float [count, REAGING_PASTE_FIELDS].  Where
   faces overlap the earlier one keeps its full change and the later gets the rest of the weight. */
REAGING_FUNCTION void reaging_paste_pixel(unsigned char *frame, int width, const float *faces, int count, const float *kept, int size, int x,
                                          int y) {
  long at = (long)y * width + x;
  float used = 0;
  for (int face = 0; face < count; ++face) {
    const float *row = faces + (long)face * REAGING_PASTE_FIELDS, *to_crop = row + REAGING_TO_CROP, *box = row + REAGING_BOX;
    if ((float)x < box[0] || (float)y < box[1] || (float)x >= box[2] || (float)y >= box[3]) continue;
    const float *slot = kept + (long)row[REAGING_SLOT] * REAGING_KEPT(size);
    int n = reaging_samples(to_crop[0], to_crop[3]);
    float sum[4] = {0, 0, 0, 0};
    for (int i = 0; i < n * n; ++i) {
      float u = (float)x + ((float)(i % n) + 0.5f) / (float)n - 0.5f, v = (float)y + ((float)(i / n) + 0.5f) / (float)n - 0.5f;
      reaging_kept_at(slot, row, size, to_crop[0] * u + to_crop[1] * v + to_crop[2], to_crop[3] * u + to_crop[4] * v + to_crop[5], sum);
    }
    if (sum[3] <= 0) continue; /* outside the mask no pixel is written */
    float share = (1 - used) * row[REAGING_GAIN] / (float)(n * n);
    used += share * sum[3];
    for (int c = 0; c < 3; ++c) {
      float value = (float)frame[at * 3 + c] + share * sum[c];
      frame[at * 3 + c] = (unsigned char)(reaging_clamp(value, 0, 255) + 0.5f);
    }
  }
}

#endif
