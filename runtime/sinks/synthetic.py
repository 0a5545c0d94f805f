"""The mark that says of a saved file: made with a generator.

It is IPTC's digital source type "composite with trained algorithmic media" as XMP, which is what galleries and networks look for, and the
word "synthetic" in a comment.
"""

from __future__ import annotations

import struct
import zlib
from contextlib import suppress
from pathlib import Path

COMMENT = "synthetic: the ages of the faces were changed by reaging"
SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
XMP = f"""<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" xmlns:xmp="http://ns.adobe.com/xap/1.0/"
 Iptc4xmpExt:DigitalSourceType="{SOURCE_TYPE}" xmp:CreatorTool="reaging"/>
</rdf:RDF></x:xmpmeta><?xpacket end="w"?>""".encode()
MARKED = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff")  # pictures that have a place for it
XMP_IN_JPEG = b"http://ns.adobe.com/xap/1.0/\0"
XMP_BOX = bytes.fromhex("BE7ACFCB97A942E89C71999491E3AFAC")  # Adobe's, in MP4


def marked(data: bytes, suffix: str) -> bytes:
    """A picture file's bytes, as OpenCV writes them, with the mark; a kind that is not in ``MARKED`` stays as it is."""
    if suffix == ".png":
        header = 8 + 25  # signature and IHDR
        xmp = b"XML:com.adobe.xmp\0" + bytes(4) + XMP  # not compressed, no language
        return data[:header] + _chunk(b"tEXt", b"Comment\0" + COMMENT.encode()) + _chunk(b"iTXt", xmp) + data[header:]
    if suffix in (".jpg", ".jpeg"):
        after = 2 + 2 + int.from_bytes(data[4:6], "big") if data[2:4] == b"\xff\xe0" else 2  # JFIF's own segment stays first
        return data[:after] + _segment(0xE1, XMP_IN_JPEG + XMP) + _segment(0xFE, COMMENT.encode()) + data[after:]
    if suffix == ".webp" and data[:4] + data[8:12] == b"RIFFWEBP" and len(data) > 30:
        return _in_webp(data)
    if suffix in (".tif", ".tiff") and data[:4] in (b"II*\0", b"MM\0*"):
        with suppress(struct.error):  # a directory that is not there
            return _in_tiff(data)
    return data


def _in_webp(data: bytes) -> bytes:
    """XMP needs the extended form, whose first chunk says what follows."""
    chunks = data[12:]
    if chunks[:4] != b"VP8X":
        packed = int.from_bytes(chunks[9:13], "little") if chunks[:4] == b"VP8L" else int.from_bytes(chunks[14:18], "little")
        width, height = packed & 0x3FFF, packed >> (14 if chunks[:4] == b"VP8L" else 16) & 0x3FFF
        if chunks[:4] != b"VP8L":  # the lossless form counts from 0, as the first chunk does
            width, height = max(0, width - 1), max(0, height - 1)
        chunks = b"VP8X" + struct.pack("<II", 10, 0) + width.to_bytes(3, "little") + height.to_bytes(3, "little") + chunks
    flags = chunks[8] | 4  # there is XMP
    chunks = chunks[:8] + bytes([flags]) + chunks[9:] + b"XMP " + struct.pack("<I", len(XMP)) + XMP + bytes(len(XMP) % 2)
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WEBP" + chunks


def _in_tiff(data: bytes) -> bytes:
    """A second directory at the end, with the description and XMP among the tags of the first."""
    order = "<" if data[:2] == b"II" else ">"
    (first,) = struct.unpack_from(order + "I", data, 4)
    (count,) = struct.unpack_from(order + "H", data, first)
    tags = [data[first + 2 + 12 * i : first + 14 + 12 * i] for i in range(count)]
    data += bytes(len(data) % 2)
    for tag, kind, value in ((270, 2, COMMENT.encode() + b"\0"), (700, 1, XMP)):  # ImageDescription, XMP
        tags.append(struct.pack(order + "HHII", tag, kind, len(value), len(data)))
        data += value + bytes(len(value) % 2)
    tags.sort(key=lambda tag: struct.unpack_from(order + "H", tag))
    return data[:4] + struct.pack(order + "I", len(data)) + data[8:] + struct.pack(order + "H", len(tags)) + b"".join(tags) + bytes(4)


def mark_video(path: Path) -> None:
    """Adds the mark to a finished MP4 or MOV as a box of its own at the end."""
    if path.suffix.lower() in (".mp4", ".mov"):
        with path.open("ab") as file:
            file.write(struct.pack(">I", 8 + 16 + len(XMP)) + b"uuid" + XMP_BOX + XMP)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _segment(marker: int, data: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", 2 + len(data)) + data
