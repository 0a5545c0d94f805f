"""The networks are those of the paper and of the presets' bounds, and age is a true input of each."""

import dataclasses

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from reaging.ages import class_weights
from reaging.nets import build_discriminator, build_generator
from reaging.nets.blocks import AdaIN, AgeCode, ConditionalBatchNorm
from reaging.nets.cost import count_macs, count_parameters
from reaging.presets import PRESETS

SMALL = {
    "ragan-256": dataclasses.replace(PRESETS["ragan-256"], size=64, widths=(8, 8, 16, 16, 16), style=16),
    "mobile-256": dataclasses.replace(PRESETS["mobile-256"], size=64, widths=(8, 16, 16)),
    "pix2pix-3": dataclasses.replace(PRESETS["pix2pix-3"], size=64),
    "tiny": PRESETS["tiny"],
}


def cost(name: str) -> dict[str, float]:
    preset = PRESETS[name]
    side = preset.disc_crop or preset.size
    image, age = torch.zeros(1, 3, preset.size, preset.size), torch.tensor([30.0])
    generator, discriminator = build_generator(preset), build_discriminator(preset)
    seen = (image, age, image, age) if preset.family == "pix2pix" else (torch.zeros(1, 3, side, side), torch.tensor([0]))
    return {
        "G parameters": count_parameters(generator), "G MACs": count_macs(generator, image, age),
        "D parameters": count_parameters(discriminator), "D MACs": count_macs(discriminator, *seen),
    }  # fmt: skip


def test_ragan_256_is_the_papers():
    p = PRESETS["ragan-256"]
    assert (p.size, p.code_repeat, p.code_noise) == (256, 50, 0.2)
    assert (p.rec, p.rec_late, p.rec_epochs, p.cyc, p.adv) == (10, 1, 10, 1, 1)
    assert (p.beta1, p.beta2, p.lr, p.disc_lr, p.batch, p.epochs) == (0.0, 0.99, 1e-4, 1e-4, 8, 30)
    assert (p.r1, p.r1_every, p.ema, p.constant) == (1, 1, 0.999, 2 / 3)
    assert not any((p.paired, p.perceptual, p.age, p.identity, p.sparsity, p.tv, p.clip))
    assert p.mask == 1, "or nothing keeps the mask from closing"
    g = build_generator(p)
    assert g.age_code.length == 500
    x = torch.zeros(1, 3, 256, 256)
    features = g.encoder(x)
    assert [tuple(f.shape[1:]) for f in features] == [(128, 128, 128), (256, 64, 64), (512, 32, 32), (512, 16, 16)]
    assert len(g.encoder.bottleneck) == 2 and len(g.decoder.bottleneck) == 2 and len(g.decoder.up) == 4
    assert any(isinstance(m, nn.InstanceNorm2d) for m in g.encoder.modules())
    assert sum(isinstance(m, ConditionalBatchNorm) for m in g.modulator.modules()) == 4
    assert sum(isinstance(m, AdaIN) for m in g.decoder.modules()) == 12
    g.modulator.eval()
    assert g.modulator(features[-1], torch.zeros(1, 500)).shape == (1, 512)
    assert g.decoder.to_rgb.kernel_size == (1, 1)


def test_costs_are_those_of_the_specification(capsys):
    costs = {name: cost(name) for name in PRESETS}
    with capsys.disabled():
        print()
        for name, c in costs.items():
            print(f"{name:<12}" + "  ".join(f"{k} {v / 1e6:9.2f} M" for k, v in c.items()))
    # RAGAN's trunk (encoder and decoder) is StarGAN v2's: 48.6 GMAC; its styles are eight times as long here
    p = PRESETS["ragan-256"]
    g = build_generator(p)
    convolutions = sum(m.weight.numel() for part in (g.encoder, g.decoder) for m in part.modules() if isinstance(m, nn.Conv2d))
    assert convolutions == pytest.approx(33.3e6, rel=0.01)  # 33.9 M less the styles' linear layers and the norms
    assert costs["ragan-256"]["G MACs"] == pytest.approx(48.6e9, rel=0.03)  # and AM and mask
    assert costs["ragan-256"]["D parameters"] == pytest.approx(20.9e6, rel=0.01)
    assert costs["ragan-256"]["D MACs"] == pytest.approx(16.6e9, rel=0.01)
    planes = 2 * 3 * 256 * 256
    assert costs["pix2pix-3"]["G parameters"] - planes == pytest.approx(54.4e6, rel=0.01)
    assert costs["pix2pix-3"]["G MACs"] == pytest.approx(6.1e9, rel=0.01)
    assert costs["pix2pix-3"]["D parameters"] - planes == pytest.approx(2.77e6, rel=0.01)
    assert costs["mobile-256"]["G MACs"] <= 1.6e9 and costs["mobile-256"]["G parameters"] <= 4e6
    assert costs["desktop-256"]["G MACs"] <= 15e9 and costs["desktop-256"]["G parameters"] <= 20e6
    assert costs["tiny"]["G MACs"] < 0.02e9


def test_the_age_code_is_the_mix_that_numpy_says():
    code = AgeCode(repeat=50)
    ages = np.linspace(0, 100, 301)
    weights = code.weights(torch.tensor(ages, dtype=torch.float32)).numpy()
    assert np.allclose(weights, class_weights(ages), atol=1e-5)
    z = code(torch.tensor([25.0]), noise=torch.full((1, 500), 0.5))
    assert z.shape == (1, 500) and torch.allclose(z.reshape(10, 50)[5], torch.tensor(1.5)) and float(z.min()) == 0.5


@pytest.mark.parametrize("name", ["ragan-256", "mobile-256", "tiny"])
def test_age_moves_the_output_smoothly_and_each_face_by_its_own(name):
    torch.manual_seed(0)
    preset = SMALL[name]
    g = build_generator(preset)
    if hasattr(g, "to_change"):  # starts close to zero: give the change some size
        nn.init.normal_(g.to_change.weight, std=0.1)
    g.eval()
    face = torch.rand(1, 3, preset.size, preset.size) - 0.5
    ages = torch.linspace(0, 100, 101)
    with torch.no_grad():
        outputs = torch.cat([g(face, a[None])[0] for a in ages])
        codes = g.age_code(ages)
        steps = (outputs[1:] - outputs[:-1]).abs().mean((1, 2, 3))
        inside = (ages[1:] > 1) & (ages[:-1] < 80)
        assert (steps[inside] > 0).all(), "every year between the first and the last center changes the output"
        assert (steps[~inside & (ages[:-1] >= 80)] == 0).all(), "beyond the last center the output is constant"
        assert float(steps.max()) < 0.1 * float(steps.sum()), "no year is a jump"
        # in the code: ever farther from the first class, never back, and ever closer to the last
        centers = torch.tensor([float(c) for c in range(10)]).repeat_interleave(g.age_code.repeat) / g.age_code.repeat
        assert (torch.diff(codes @ centers) >= -1e-5).all()
        two = g(face.expand(2, -1, -1, -1), torch.tensor([5.0, 70.0]))[0]
        assert torch.allclose(two[0], outputs[5], atol=1e-4) and torch.allclose(two[1], outputs[70], atol=1e-4)
        assert not torch.allclose(two[0], two[1], atol=1e-4)


@pytest.mark.parametrize("name", list(SMALL))
def test_shapes_and_ranges(name):
    preset = SMALL[name]
    g = build_generator(preset).eval()
    with torch.no_grad():
        aged, mask = g(torch.rand(2, 3, preset.size, preset.size) * 2 - 1, torch.tensor([5.0, 70.0]))
    assert aged.shape == (2, 3, preset.size, preset.size) and mask.shape == (2, 1, preset.size, preset.size)
    assert float(aged.abs().max()) <= 1 and float(mask.min()) >= 0 and float(mask.max()) <= 1


def test_outside_the_mask_the_output_is_the_input():
    for name in ("ragan-256", "mobile-256"):
        g = build_generator(SMALL[name]).eval()
        head = g.mask_net.head if hasattr(g, "mask_net") else g.to_mask
        nn.init.zeros_(head.weight)
        nn.init.constant_(head.bias, -200.0)  # a mask of zero
        image = torch.rand(1, 3, 64, 64) * 2 - 1
        with torch.no_grad():
            assert torch.equal(g(image, torch.tensor([70.0]))[0], image)


def test_pix2pix_knows_three_groups_and_takes_a_source_age():
    g = build_generator(SMALL["pix2pix-3"]).eval()
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        outputs = [g(image, torch.tensor([float(a)]))[0] for a in (5, 18, 19, 45, 46, 90)]
        assert torch.equal(outputs[0], outputs[1]) and torch.equal(outputs[2], outputs[3]) and torch.equal(outputs[4], outputs[5])
        assert not torch.equal(outputs[0], outputs[2]) and not torch.equal(outputs[2], outputs[4])
        middle, old = (g(image, torch.tensor([5.0]), torch.tensor([s]))[0] for s in (30.0, 60.0))
        assert torch.equal(middle, outputs[0]) and not torch.equal(old, outputs[0])


def test_the_discriminator_answers_for_the_asked_class_only():
    preset = SMALL["ragan-256"]
    d = build_discriminator(dataclasses.replace(preset, disc_width=8, disc_max_width=16))
    image = torch.rand(2, 3, 64, 64)
    logits = d(image, torch.tensor([3, 3]))
    other = d(image, torch.tensor([3, 4]))
    assert logits.shape == (2,) and logits[0] == other[0] and logits[1] != other[1]


def test_the_feature_discriminator_learns_which_face_fits_which_age():
    torch.manual_seed(0)
    judge = build_discriminator(PRESETS["tiny"], [8, 6])
    optimizer = torch.optim.Adam(judge.parameters(), 1e-2)

    def faces(age):
        old = (age > 40).float()[:, None, None, None]
        return [torch.rand(len(age), c, 4, 4) * 0.5 + torch.cat([old, 1 - old], 1).repeat(1, c // 2, 1, 1) for c in (8, 6)]

    for _ in range(60):
        age = torch.rand(16) * 80
        seen = faces(age)
        right, wrong = judge(seen, age), judge(seen, 80 - age)
        loss = sum(F.softplus(-r).mean() + F.softplus(w).mean() for r, w in zip(right, wrong, strict=True))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    young, old = torch.full((8,), 10.0), torch.full((8,), 75.0)
    for fits, does_not in zip(judge(faces(old), old), judge(faces(young), old), strict=True):
        assert fits.shape == (8, 4, 4) and fits.min() > does_not.max()
