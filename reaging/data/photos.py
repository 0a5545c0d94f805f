"""Decoding what people call a picture: phone photos, CMYK scans, palettes, and what only looks like one."""

from __future__ import annotations

import io
import warnings

import numpy as np

from ..errors import ReagingError
from ..runtime.faces.face import Picture
from .archive import Span

MEGAPIXELS = 150  # more is a decompression bomb, or no photo
MEGABYTES = 256
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "AVIF")


class Unreadable(Exception):
    """Why a file is no usable picture, in words for the report."""


def read_photo(span: Span) -> Picture:
    """BGR uint8 [H, W, 3], upright as the camera's note (EXIF) says.  Raises Unreadable."""
    try:
        size = span.size if span.size >= 0 else span.path.stat().st_size
        if size == 0:
            raise Unreadable("an empty file")
        if size > MEGABYTES << 20:
            raise Unreadable(f"a file over {MEGABYTES} MB")
        return decode_photo(span.read())
    except OSError as error:
        raise Unreadable(f"cannot be read ({error.strerror or error})") from None


def decode_photo(encoded: bytes) -> Picture:
    """The same from a file's bytes.  The size is looked at before a pixel is decoded."""
    try:
        from PIL import Image, ImageOps
    except ImportError:
        raise ReagingError("Pillow is not installed", "the data extra", "pip install 'reaging[data]'") from None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of what is judged here
        try:
            Image.init()
            with Image.open(io.BytesIO(encoded), formats=[f for f in FORMATS if f in Image.OPEN]) as picture:
                width, height = picture.size
                if width * height > MEGAPIXELS * 1_000_000:
                    raise Unreadable(f"over {MEGAPIXELS} megapixels")
                if min(width, height) < 16:
                    raise Unreadable("under 16 pixels")
                if picture.mode.startswith("I;16"):  # Pillow would cut 16 bits off at 255
                    gray = (np.asarray(picture) >> 8).astype(np.uint8)
                    return np.repeat(gray[:, :, None], 3, axis=2)
                upright = ImageOps.exif_transpose(picture)
                return np.ascontiguousarray(np.asarray(upright.convert("RGB"))[:, :, ::-1])
        except Image.DecompressionBombError:
            raise Unreadable(f"over {MEGAPIXELS} megapixels") from None
        except Image.UnidentifiedImageError:
            raise Unreadable("not a picture, or of a format that is not read (HEIC)") from None
        except (OSError, ValueError, SyntaxError, EOFError, MemoryError, OverflowError, IndexError) as error:
            raise Unreadable("cut off" if "truncated" in str(error) else "damaged") from None
