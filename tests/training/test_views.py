import numpy as np
import torch

from reaging.training.views import View, draw_view, seen

PLAIN = View((0.0, 0.0, 0.0), False, (1.0, 1.0, 1.0), 0.0, None, True)


def test_a_settled_view_shows_the_output_itself():
    aged, image = torch.rand(2, 3, 16, 16), torch.rand(2, 3, 16, 16)
    view = draw_view(np.random.default_rng(0), 0.0, unsettle=False)
    assert view == PLAIN and torch.equal(seen(view, aged, image), aged)


def test_under_the_patch_stands_the_input_and_gives_no_gradient():
    aged, image = torch.full((1, 3, 16, 16), 0.5, requires_grad=True), torch.zeros(1, 3, 16, 16)
    shown = seen(View((0, 0, 0), False, (1, 1, 1), 0.0, (0.25, 0.5, 0.25, 0.125), True), aged, image)
    shown.sum().backward()
    covered = torch.zeros(16, 16, dtype=torch.bool)
    covered[8:10, 4:8] = True
    assert aged.grad is not None and torch.equal(shown[0, 0] == 0, covered) and torch.equal(aged.grad[0, 0] == 0, covered)


def test_gray_gains_and_flip():
    aged = torch.rand(1, 3, 4, 4) * 2 - 1
    gray = seen(View((0, 0, 0), False, (1, 1, 1), 1.0, None, True), aged, aged)
    assert torch.allclose(gray, aged.mean(1, keepdim=True).expand(1, 3, 4, 4), atol=1e-6)
    brighter = seen(View((0, 0, 0), False, (1.1, 1, 1), 0.0, None, True), aged, aged)
    assert torch.allclose(brighter[:, 0] + 1, (aged[:, 0] + 1) * 1.1) and torch.allclose(brighter[:, 1:], aged[:, 1:])
    assert torch.equal(seen(View((0, 0, 0), True, (1, 1, 1), 0.0, None, True), aged, aged), aged.flip(-1))


def test_unsettled_views_differ_and_stay_in_the_picture():
    rng = np.random.default_rng(3)
    views = [draw_view(rng, 0.03, unsettle=True) for _ in range(200)]
    assert {v.flip for v in views} == {False, True} and any(v.gray > 0.5 for v in views) and any(v.gray == 0 for v in views)
    patches = [v.patch for v in views if v.patch is not None]
    assert 0 < len(patches) < 200 and all(left >= 0 and top >= 0 and left + w <= 1 and top + h <= 1 for left, top, w, h in patches)


def test_an_unsettled_view_shows_the_mouth_of_the_input():
    aged, image = torch.full((1, 3, 64, 64), 0.5, requires_grad=True), torch.zeros(1, 3, 64, 64)
    seen(View((0, 0, 0), False, (1, 1, 1), 0.0, None, False), aged, image).sum().backward()
    assert aged.grad is not None and float(aged.grad[0, 0, 46, 32]) == 0 and float(aged.grad[0, 0, 20, 32]) == 1
