import numpy as np

from reaging.data.pairs import keep_mouth


def test_the_mouth_is_the_inputs_in_the_targets_shade_and_the_rest_the_targets():
    rng = np.random.default_rng(0)
    image = rng.integers(60, 120, (256, 256, 3), dtype=np.uint8)
    target = (image + np.array((40, 20, 10))).astype(np.uint8)
    target[176:196, 100:155] = rng.integers(0, 255, (20, 55, 3))  # another mouth
    mended = keep_mouth(image, target)
    assert np.abs(mended[176:196, 112:143].astype(int) - image[176:196, 112:143] - np.array((40, 20, 10))).max() <= 1
    far = np.ones((256, 256), bool)
    far[150:222, 70:185] = False
    assert np.array_equal(mended[far], target[far])


def test_a_pair_of_one_picture_is_left_alone():
    image = np.random.default_rng(1).integers(0, 255, (128, 128, 3), dtype=np.uint8)
    assert np.array_equal(keep_mouth(image, image), image)
