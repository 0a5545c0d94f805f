import math

import torch

from reaging import losses


def test_adversarial_losses_at_known_points():
    zero = torch.zeros(4)
    assert math.isclose(float(losses.generator_adversarial(zero)), math.log(2), rel_tol=1e-6)
    assert math.isclose(float(losses.discriminator_adversarial(zero, zero)), 2 * math.log(2), rel_tol=1e-6)
    sure = torch.full((4,), 20.0)
    assert float(losses.discriminator_adversarial(sure, -sure)) < 1e-6
    assert float(losses.discriminator_adversarial(sure, -sure, smoothing=0.1)) > 1  # smoothing forbids being too sure


def test_r1_is_half_the_squared_gradient():
    image = torch.randn(3, 3, 8, 8, requires_grad=True)
    slope = torch.randn(3, 8, 8)
    penalty = losses.r1_penalty((image * slope).sum((1, 2, 3)), image)
    assert torch.allclose(penalty, 0.5 * slope.square().sum())


def test_paired_counts_only_pairs_and_the_mask_more():
    a, b = torch.zeros(2, 3, 8, 8), torch.ones(2, 3, 8, 8)
    everywhere, nowhere = torch.ones(2, 1, 8, 8), torch.zeros(2, 1, 8, 8)
    one = torch.tensor([1.0, 0.0])
    assert float(losses.paired(a, b, one, everywhere)) == 1.0
    assert float(losses.paired(a, b, one, nowhere)) == 0.25
    assert float(losses.paired(a, b, torch.zeros(2), everywhere)) == 0.0


def test_total_variation_of_a_ramp():
    ramp = torch.arange(8.0).expand(1, 3, 8, 8)
    assert float(losses.total_variation(ramp)) == 1.0


def test_identity_and_age_distances_are_zero_only_at_the_target():
    e = torch.randn(4, 16)
    assert abs(float(losses.identity_distance(e, 3 * e))) < 1e-6
    assert float(losses.identity_distance(e, -e)) > 1.9
    years = torch.tensor([10.0, 50.0])
    assert float(losses.age_distance(years, years)) == 0.0 < float(losses.age_distance(years, years + 5))


def test_mask_supervision_falls_toward_the_target():
    target = (torch.rand(2, 1, 8, 8) > 0.5).float()
    near, far = (0.8 * target + 0.1), (0.8 * (1 - target) + 0.1)
    has = torch.ones(2)
    assert float(losses.mask_supervision(near, target, has)) < 0.2 < float(losses.mask_supervision(far, target, has))


def test_perceptual_is_zero_for_equal_features_only():
    f = [torch.randn(2, 4, 6, 6), torch.randn(2, 8, 3, 3)]
    g = [torch.randn_like(t) for t in f]
    has = torch.ones(2)
    assert float(losses.perceptual(f, f, has)) == 0.0 < float(losses.perceptual(f, g, has))


def test_low_frequencies_count_shades_and_not_texture():
    a, one = torch.zeros(2, 3, 16, 16), torch.tensor([1.0, 0.0])
    texture = torch.ones(2, 3, 16, 16)
    texture[..., ::2] = -1
    assert float(losses.low_frequencies(a, texture, one)) == 0.0
    assert float(losses.low_frequencies(a, torch.full_like(a, 0.5), one)) == 0.125  # 0.5 squared, half of the two faces
    red = a.clone()
    red[:, 0] = 0.3
    shade, color = 0.03, 0.02  # mean squares over the channels: 0.3, 0, 0 and 0.2, -0.1, -0.1
    assert math.isclose(float(losses.low_frequencies(a, red, one)), (shade + 3 * color + color) / 2, rel_tol=1e-4)


def test_saturation_counts_color_that_neither_input_nor_pair_has():
    gray = torch.zeros(1, 3, 16, 16)
    blue = gray.clone()
    blue[:, 2] = 0.3
    assert float(losses.saturation(gray, blue, blue)) == 0.0  # less of it costs nothing
    assert float(losses.saturation(blue, gray, blue)) == 0.0  # the pair has it
    assert float(losses.saturation(gray + 0.5, gray, gray)) == 0.0  # light is no color
    assert 0.1 < float(losses.saturation(blue, gray, gray)) < 0.2
    shade = (blue + 1) * 0.5 - 1  # the same thing in half the light
    assert float(losses.saturation(shade, blue, blue)) < 0.01


def test_darkening_counts_what_neither_input_nor_pair_has():
    gray, dark, younger = torch.zeros(2, 3, 16, 16), torch.full((2, 3, 16, 16), -0.5), torch.tensor([1.0, 0.0])
    assert float(losses.darkening(gray, dark, dark, younger)) == 0.0  # lighter
    assert float(losses.darkening(dark, gray, dark, younger)) == 0.0  # the pair is as dark
    assert math.isclose(float(losses.darkening(dark, gray, gray, younger)), 0.2, rel_tol=1e-5)  # beyond the margin, in one of the two faces


def test_grid_finds_what_keeps_the_step_of_the_blocks():
    pattern = torch.zeros(1, 3, 64, 64)
    pattern[..., ::4, ::4] = 1  # one pixel of every block
    assert math.isclose(float(losses.grid(pattern)), (1 / 16) * (15 / 16), rel_tol=1e-5)
    torch.manual_seed(0)
    assert float(losses.grid(torch.randn(1, 3, 64, 64))) < 0.03  # noise of variance 1, which does not
    assert float(losses.grid(torch.full((1, 3, 64, 64), 0.7))) < 1e-12
