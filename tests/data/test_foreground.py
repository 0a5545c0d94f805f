"""The person in an aligned face, told from what stands behind."""

import cv2
import numpy as np

from reaging.data.foreground import SIDE, ellipse, foreground


def test_hair_is_the_person_and_the_wall_is_not():
    picture = np.full((256, 256, 3), (40, 90, 200), np.uint8)
    picture += np.random.default_rng(0).integers(0, 20, picture.shape, dtype=np.uint8)
    cv2.ellipse(picture, (128, 130), (85, 115), 0, 0, 360, (40, 25, 15), -1)  # hair
    cv2.ellipse(picture, (128, 150), (62, 85), 0, 0, 360, (225, 180, 150), -1)  # face
    front = foreground(picture)
    assert front.shape == (SIDE, SIDE) and set(np.unique(front)) <= {0.0, 1.0}
    assert front[36, 32] == 1 and front[8, 32] == 1, "face, and hair above it"
    assert front[:40, :6].max() == 0 and front[:40, -6:].max() == 0, "the wall on both sides"
    assert np.array_equal(front, foreground(picture)), "the same every time"


def test_a_picture_of_one_color_has_no_background():
    assert foreground(np.full((256, 256, 3), 77, np.uint8)).shape == (SIDE, SIDE)


def test_an_ellipse_is_soft_at_its_rim():
    soft = ellipse(64, (0.5, 0.5), (0.25, 0.25))
    assert soft[32, 32] == 1 and soft[0, 0] == 0 and 0 < soft[32, 48] < 1
