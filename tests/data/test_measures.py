import cv2
import numpy as np
import pytest
from portraits import photo, portrait

from reaging.data.duplicates import Look, find_duplicates
from reaging.data.filters import OFF, Filters, parse_filters, refuse_face
from reaging.data.measures import MEAN_FACE, Measures, black_share, chroma, fingerprint, pose, sharpness, thumbnail
from reaging.errors import ReagingError
from reaging.runtime.faces.find import FaceFinder
from reaging.runtime.faces.landmarks import FaceAligner
from reaging.runtime.faces.template import cut, frame_to_crop


def crop_of(frame, size=256):
    faces = FaceFinder()(frame)
    face = FaceAligner()(frame, FaceAligner()(frame, faces))[0]
    return cut(frame, frame_to_crop(face.landmarks, size), size)


@pytest.mark.parametrize("yaw", [-35, 0, 20])
@pytest.mark.parametrize("pitch", [-20, 0, 15])
def test_the_pose_of_a_projected_head_is_read_back(yaw, pitch):
    """Turned with plain trigonometry and seen by a far camera, not by the code that reads the pose."""
    y, p = np.radians([yaw, pitch])
    points = MEAN_FACE - MEAN_FACE.mean(0)
    points = np.stack(
        [points[:, 0], points[:, 1] * np.cos(p) + points[:, 2] * np.sin(p), points[:, 2] * np.cos(p) - points[:, 1] * np.sin(p)], 1
    )
    points = np.stack(
        [points[:, 0] * np.cos(y) - points[:, 2] * np.sin(y), points[:, 1], points[:, 2] * np.cos(y) + points[:, 0] * np.sin(y)], 1
    )
    seen = (60 * points[:, :2] * (8 / (8 + points[:, 2:])) + 200).astype(np.float32)
    found = pose(seen)
    assert abs(found[0] - yaw) < 8 and abs(found[1] - pitch) < 8
    nose = seen[2] - seen[[0, 1, 3, 4]].mean(0)
    assert yaw == 0 or np.sign(nose[0]) == np.sign(found[0]), "the nose points where the head is turned"


def test_faults_are_told_from_a_good_crop():
    crop = crop_of(portrait())
    good = Measures(1, 0, 0, 0, sharpness(crop), chroma(crop), 1, 0, black_share(crop), 0)
    assert refuse_face(good, Filters()) == ""

    def refused(picture):
        m = Measures(1, 0, 0, 0, sharpness(picture), chroma(picture), 1, 0, black_share(picture), 0)
        return refuse_face(m, Filters())

    assert refused(cv2.GaussianBlur(crop, (0, 0), 4)) == "blurred"
    assert refused(np.repeat(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)[..., None], 3, 2)) == "gray or toned"
    turn = cv2.getRotationMatrix2D((128, 128), 12, 1)
    assert refused(cv2.warpAffine(crop, turn, (256, 256))) == "black wedges"
    padded = crop.copy()
    padded[:20] = 0
    assert refused(padded) == "black wedges"
    dark = (crop * (crop.max(2, keepdims=True) > 60)).astype(np.uint8)  # black hair and shadows are no wedges
    assert (dark == 0).mean() > 0.05 and black_share(dark) < 0.03


def looks(pictures, ages, identities=None, ranges=None):
    n = len(pictures)
    return [
        Look(fingerprint(p).tobytes(), thumbnail(p).tobytes(), a, r, i, 1.0)
        for p, a, i, r in zip(pictures, ages, identities or [""] * n, ranges or [None] * n, strict=True)
    ]


def test_copies_are_found_and_contradictions_go_whole():
    frame = photo(0, 280)
    one = crop_of(frame)
    small = crop_of(cv2.resize(frame, None, fx=0.7, fy=0.7, interpolation=cv2.INTER_AREA))
    jpeg = crop_of(cv2.imdecode(cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, 40])[1], 1))
    cut_off = crop_of(frame[6:-3, 5:-8].copy())
    others = [crop_of(photo(k, 280)) for k in range(1, 8)]
    pictures = [one, small, jpeg, cut_off, *others]
    assert find_duplicates(looks(pictures, [30] * len(pictures))).keys() == {1, 2, 3}, "the first stays, others are not touched"
    contradicted = find_duplicates(looks([one, small, others[0]], [30, 61, 30]))
    assert contradicted.keys() == {0, 1} and "contradicting" in contradicted[0]
    assert not find_duplicates(looks([one, small], [30, 61], ["a", "a"])), "a person at two ages is what training lives on"
    assert find_duplicates(looks([one, small], [30, 30], ["a", "a"])).keys() == {1}
    assert "contradicting" in find_duplicates(looks([one, small], [25, 35], None, [(20, 29), (30, 39)]))[0]
    assert find_duplicates(looks([one, small], [25, 29], None, [(20, 29), None])).keys() == {1}, "29 lies in 20 to 29"
    assert find_duplicates([]) == {}


def test_any_number_of_copies_of_one_picture_is_quick():
    one = crop_of(photo(0))
    assert len(find_duplicates(looks([one] * 2000, [30.0] * 2000))) == 1999


def test_filters_are_read_and_named():
    assert parse_filters(["yaw=25", "chroma=0"]).yaw == 25
    assert parse_filters(["off"]) == OFF and parse_filters(["off", "yaw=25"]).yaw == 25
    for bad in ("yaw", "yaw=x", "nose=3", "yaw=nan", ""):
        with pytest.raises(ReagingError, match="--filter"):
            parse_filters([bad])
