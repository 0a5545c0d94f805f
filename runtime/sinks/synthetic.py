"""The mark that says of a saved file: made with a generator.

It is IPTC's digital source type "composite with trained algorithmic media" as XMP, which is what galleries and networks look for, and the
word "synthetic" in a comment.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

COMMENT = "synthetic: the ages of the faces were changed by reaging"
SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
XMP = f"""<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" xmlns:xmp="http://ns.adobe.com/xap/1.0/"
 Iptc4xmpExt:DigitalSourceType="{SOURCE_TYPE}" xmp:CreatorTool="reaging"/>
</rdf:RDF></x:xmpmeta><?xpacket end="w"?>""".encode()
XMP_IN_JPEG = b"http://ns.adobe.com/xap/1.0/\0"
XMP_BOX = bytes.fromhex("BE7ACFCB97A942E89C71999491E3AFAC")  # Adobe's, in MP4


def marked(data: bytes, suffix: str) -> bytes:
    """A picture file's bytes with the mark; PNG and JPEG have a place for it, others stay as they are."""
    if suffix == ".png":
        header = 8 + 25  # signature and IHDR
        xmp = b"XML:com.adobe.xmp\0" + bytes(4) + XMP  # not compressed, no language
        return data[:header] + _chunk(b"tEXt", b"Comment\0" + COMMENT.encode()) + _chunk(b"iTXt", xmp) + data[header:]
    if suffix in (".jpg", ".jpeg"):
        after = 2 + 2 + struct.unpack(">H", data[4:6])[0] if data[2:4] == b"\xff\xe0" else 2  # JFIF's own segment stays first
        return data[:after] + _segment(0xE1, XMP_IN_JPEG + XMP) + _segment(0xFE, COMMENT.encode()) + data[after:]
    return data


def mark_video(path: Path) -> None:
    """Adds the mark to a finished MP4 or MOV as a box of its own at the end."""
    if path.suffix.lower() in (".mp4", ".mov"):
        with path.open("ab") as file:
            file.write(struct.pack(">I", 8 + 16 + len(XMP)) + b"uuid" + XMP_BOX + XMP)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _segment(marker: int, data: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", 2 + len(data)) + data
