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

/* One face, as frames.py describes it in floats: where its crop lies, and how much of its change is added. */
#define REAGING_TO_FRAME 0 /* 6: rows of the 2x3 matrix crop -> frame */
#define REAGING_TO_CROP 6  /* 6: frame -> crop */
#define REAGING_BOX 12     /* 4: left, top, right, bottom in the frame, the latter two just outside */
#define REAGING_GAIN 16    /* 0 to 1 */
#define REAGING_AGE 17     /* years */
#define REAGING_HALVINGS 18 /* how often the frame is halved before it is sampled, so that a large face is averaged */
#define REAGING_PHASE 19    /* 2: column and row of the frame where the first block of 2^halvings pixels a side begins */
#define REAGING_FIELDS 21

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

/* Adds to sum[4] the change of a face in gray levels (RGB) and its weight at a place of its crop, nothing outside of it. */
REAGING_FUNCTION void reaging_change_at(const void *image, const void *aged, const void *mask, int face, int size, int half, float x, float y,
                                        float *sum) {
  int x0 = reaging_floor(x), y0 = reaging_floor(y);
  long plane = (long)size * size;
  for (int i = 0; i < 4; ++i) {
    int at_x = x0 + (i & 1), at_y = y0 + (i >> 1);
    if (at_x < 0 || at_y < 0 || at_x >= size || at_y >= size) continue;
    float fx = x - (float)x0, fy = y - (float)y0;
    float share = (i & 1 ? fx : 1 - fx) * (i >> 1 ? fy : 1 - fy) * reaging_weight(mask, face * plane, size, half, at_x, at_y);
    sum[3] += share;
    for (int c = 0; c < 3; ++c) {
      long at = (face * 3l + c) * plane + (long)at_y * size + at_x;
      sum[c] += share * (reaging_load(aged, at, half) - reaging_load(image, at, half)) * 127.5f;
    }
  }
}

/* Adds the changes of all faces to pixel x, y of the frame, uint8 [height, width, 3] BGR; faces float [count, REAGING_FIELDS].  Where faces
   overlap the earlier one keeps its full change and the later gets the rest of the weight.  taken [height, width]: the weight that faces of
   earlier batches have used up, or null where there is one batch only. */
REAGING_FUNCTION void reaging_paste_pixel(unsigned char *frame, int width, const float *faces, int count, const void *image,
                                          const void *aged, const void *mask, int size, int half, float *taken, int x, int y) {
  long at = (long)y * width + x;
  float used = taken ? taken[at] : 0;
  for (int face = 0; face < count; ++face) {
    const float *to_crop = faces + face * REAGING_FIELDS + REAGING_TO_CROP, *box = faces + face * REAGING_FIELDS + REAGING_BOX;
    if ((float)x < box[0] || (float)y < box[1] || (float)x >= box[2] || (float)y >= box[3]) continue;
    int n = reaging_samples(to_crop[0], to_crop[3]);
    float sum[4] = {0, 0, 0, 0};
    for (int i = 0; i < n * n; ++i) {
      float u = (float)x + ((float)(i % n) + 0.5f) / (float)n - 0.5f, v = (float)y + ((float)(i / n) + 0.5f) / (float)n - 0.5f;
      reaging_change_at(image, aged, mask, face, size, half, to_crop[0] * u + to_crop[1] * v + to_crop[2],
                        to_crop[3] * u + to_crop[4] * v + to_crop[5], sum);
    }
    if (sum[3] <= 0) continue; /* outside the mask no pixel is written */
    float share = (1 - used) * faces[face * REAGING_FIELDS + REAGING_GAIN] / (float)(n * n);
    used += share * sum[3];
    for (int c = 0; c < 3; ++c) {
      float value = (float)frame[at * 3 + c] + share * sum[2 - c];
      frame[at * 3 + c] = (unsigned char)(reaging_clamp(value, 0, 255) + 0.5f);
    }
  }
  if (taken) taken[at] = used;
}

#endif
