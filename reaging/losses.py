"""Each loss a small function: tensors in, scalar out.  Images are [N, 3, S, S] in -1..1."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def generator_adversarial(fake_logits: Tensor, weight: Tensor | None = None) -> Tensor:
    """Non-saturating logistic loss of the generator; ``weight`` (0..1, like the logits) says which patches count."""
    return _mean(F.softplus(-fake_logits), weight)


def discriminator_adversarial(real_logits: Tensor, fake_logits: Tensor, smoothing: float = 0.0, weight: Tensor | None = None) -> Tensor:
    """Logistic loss of the discriminator; ``smoothing``: the real target is 1 - smoothing (one-sided)."""
    real = F.binary_cross_entropy_with_logits(real_logits, torch.full_like(real_logits, 1 - smoothing), reduction="none")
    return _mean(real, weight) + _mean(F.softplus(fake_logits), weight)


def wrong_age(logits: Tensor, weight: Tensor) -> Tensor:
    """Logistic loss of the discriminator on real faces at an age that is not theirs; ``weight`` 0 where it is."""
    return _mean(F.softplus(logits), weight)


def _mean(values: Tensor, weight: Tensor | None) -> Tensor:
    return values.mean() if weight is None else (values * weight).sum() / weight.sum().clamp(min=1)


def r1_penalty(real_logits: Tensor, real: Tensor) -> Tensor:
    """Half the squared gradient norm of the logits at real images (Mescheder et al. 2018), the mean over N."""
    (gradient,) = torch.autograd.grad(real_logits.sum(), real, create_graph=True)
    return 0.5 * gradient.square().flatten(1).sum(1).mean()


def reconstruction(image: Tensor, rebuilt: Tensor) -> Tensor:
    """L1; also the cycle loss, with the rebuilt image of the way back."""
    return (image - rebuilt).abs().mean()


def paired(aged: Tensor, target: Tensor, has_pair: Tensor, mask: Tensor) -> Tensor:
    """L1 to the same person at the target age, twice as strong where the person's pictures differ; has_pair [N] is 0 or 1."""
    error = ((aged - target).abs() * (0.5 + 1.5 * mask)).mean((1, 2, 3))
    return (error * has_pair).mean()


def low_frequencies(aged: Tensor, target: Tensor, has_pair: Tensor, cell: int = 8) -> Tensor:
    """Squared distance of the means over ``cell`` pixels squared, color (what is left without the gray) counted four times.

    A square, for the mean of the futures a face may have: their median is too small a change.  What the other terms would paint in large
    patches to please a net costs here.  Without a pair (has_pair [N] is 0) the target is the input, and only its color counts, a little.
    """
    error = F.avg_pool2d(aged - target, cell)
    color = (error - error.mean(1, keepdim=True)).square().mean((1, 2, 3))
    return (has_pair * (error.square().mean((1, 2, 3)) + 3 * color) + (1 - has_pair) * color).mean()


def saturation(aged: Tensor, image: Tensor, target: Tensor, cell: int = 4, margin: float = 0.02) -> Tensor:
    """By how much the means over ``cell`` pixels squared are more saturated than both the input and the target (without a pair: the input).

    Saturation is the distance from gray over brightness, so that shade does not count.  Age takes color out of skin and hair, or gives back
    what the pair has; blue in gray hair and red round young eyes are what nets that judge age are pleased with.
    """
    own, before, wanted = (_saturation(F.avg_pool2d(x, cell)) for x in (aged, image, target))
    return F.relu(own - torch.maximum(before, wanted) - margin).mean()


def darkening(aged: Tensor, image: Tensor, target: Tensor, younger: Tensor, cell: int = 4, margin: float = 0.1) -> Tensor:
    """By how much the means over ``cell`` pixels squared of faces made younger are darker than both the input and the target.

    ``younger`` [N] is 0 or 1; without a pair the target is the input.  Hair that darkens again is in the pairs; black round eyes is not.
    """
    own, before, wanted = (F.avg_pool2d(x.mean(1), cell) for x in (aged, image, target))
    return (F.relu(torch.minimum(before, wanted) - own - margin).mean((1, 2)) * younger).mean()


def _saturation(image: Tensor) -> Tensor:
    gray = image.mean(1, keepdim=True)
    return ((image - gray).square().sum(1) + 1e-4).sqrt() / (gray[:, 0].clamp(min=-1) + 1.3)


def perceptual(features: list[Tensor], target_features: list[Tensor], has_pair: Tensor) -> Tensor:
    """Mean over taps of the squared distance of channel-normalized features."""
    total = torch.zeros((), device=has_pair.device)
    for a, b in zip(features, target_features, strict=True):
        a, b = F.normalize(a, dim=1), F.normalize(b, dim=1)
        total = total + ((a - b).square().sum(1).mean((1, 2)) * has_pair).mean()
    return total / len(features)


def age_distance(years: Tensor, target: Tensor) -> Tensor:
    """Smooth L1 in decades between estimated ages [N] and target ages [N]."""
    return F.smooth_l1_loss(years / 10, target / 10)


def identity_distance(embedding: Tensor, input_embedding: Tensor) -> Tensor:
    """1 - cosine of embeddings [N, D]."""
    return (1 - F.cosine_similarity(embedding, input_embedding)).mean()


def mask_supervision(mask: Tensor, target: Tensor, has_mask: Tensor) -> Tensor:
    """Cross entropy between the mask and the data's, both [N, 1, h, w] in 0..1, where has_mask [N] is 1."""
    error = F.binary_cross_entropy(mask.clamp(1e-4, 1 - 1e-4), target, reduction="none").mean((1, 2, 3))
    return (error * has_mask).mean()


def grid(change: Tensor, block: int = 4, window: int = 8) -> Tensor:
    """Mean square of what repeats in every ``block`` pixels of the change [N, 3, S, S], over windows of ``window`` blocks squared.

    A network that writes blocks of pixels from one place of a small map leaves its pattern on the skin; texture does not keep its step.
    """
    pattern = F.avg_pool2d(F.pixel_unshuffle(change, block), window)
    pattern = pattern.unflatten(1, (change.shape[1], block * block))
    return (pattern - pattern.mean(2, keepdim=True)).square().mean()


def total_variation(change: Tensor) -> Tensor:
    """Mean absolute step between neighbors of the change [N, 3, S, S]."""
    return (change[..., 1:, :] - change[..., :-1, :]).abs().mean() + (change[..., :, 1:] - change[..., :, :-1]).abs().mean()
