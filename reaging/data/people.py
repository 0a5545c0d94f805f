"""One synthetic person at several ages: a latent vector moved along the direction in which the generator's faces age."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ..nets.frozen import FrozenNet
from ..runtime.faces.face import Picture
from .facegen import FaceGenerator

Latent = NDArray[np.float32]
# the ages that a person is taken to, jittered, and how far along the direction faces stay faces
TARGETS = (4.0, 11.0, 19.0, 30.0, 44.0, 60.0, 74.0)
JITTER = 2.5  # years, standard deviation
LEAST, MOST = -5.3, 4.8
NEAR = 0.3  # steps closer than this are one picture twice
TRUNCATION = (0.7, 0.98)  # how far from the mean face a person may be: variety against flaws
NETS_WEIGHT = 0.6  # of the age nets in a label; the rest is the population's curve


@dataclass(frozen=True)
class Direction:
    """Fitted once on 2,400 faces scored by two age nets: ridge regression from w to age, made orthogonal to the directions of sex, glasses,
    pose, smile, skin color, contrast and background."""

    mean: Latent  # [512], of w
    along: Latent  # [512], unit length
    alphas: Latent  # steps along it ...
    ages: Latent  # ... and the ages of the population there

    def alpha(self, age: float) -> float:
        return float(np.interp(age, self.ages, self.alphas))

    def age(self, alpha: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.interp(alpha, self.alphas, self.ages)


@lru_cache(maxsize=1)
def age_direction() -> Direction:
    with np.load(Path(__file__).with_name("age_direction.npz")) as data:
        return Direction(data["w_mean"], data["direction"], data["curve_alpha"], data["curve_age"])


@dataclass(frozen=True)
class Person:
    """Pictures of one person, youngest first; the face as it was drawn is among them."""

    pictures: list[Picture]  # RGB [S, S, 3] in the FFHQ template
    ages: list[float]  # labels: what to train with
    estimates: list[list[float]]  # of each picture by each net
    alphas: list[float]  # steps along the direction; 0: as drawn


class PeopleMaker:
    """The generator and the age nets on one device.  Person k of a seed is always the same one."""

    def __init__(self, weights: Path, age_models: list[Path], size: int, device: str):
        """Raises ReagingError where a file cannot be used."""
        self.size, self.device = size, torch.device(device)
        self.generator = FaceGenerator(weights).to(self.device)
        self.nets = [FrozenNet(path).to(self.device) for path in age_models]
        self.direction = age_direction()

    @torch.no_grad()
    def __call__(self, seed: int, k: int) -> Person:
        rng = np.random.default_rng((seed, k))
        d = self.direction
        z = torch.from_numpy(rng.normal(size=(1, 512)).astype(np.float32)).to(self.device)
        spread = float(rng.uniform(*TRUNCATION))
        mean, along = torch.from_numpy(d.mean).to(self.device), torch.from_numpy(d.along).to(self.device)
        w = mean + spread * (self.generator.map(z) - mean)
        jitter = rng.normal(0, JITTER, len(TARGETS))
        drawn = self._draw(w)
        estimate = float(self._estimate(drawn).mean())
        start = d.alpha(estimate)
        steps = np.clip([d.alpha(max(1.0, age)) - start for age in TARGETS + jitter], LEAST, MOST)
        alphas = _apart(np.sort(np.append(steps, 0.0)))
        images = self._draw(w + torch.from_numpy(alphas.astype(np.float32)).to(self.device)[:, None] * along)
        estimates = self._estimate(images)
        ages = label_ages(estimates.mean(1), d.age(alphas + start))
        pictures = ((images.clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).cpu().numpy()
        return Person(list(pictures), [round(float(a), 1) for a in ages], estimates.round(1).tolist(), alphas.round(3).tolist())

    def _draw(self, w: torch.Tensor) -> torch.Tensor:
        """On a CPU two at a time: more are no faster and take memory by the gigabyte."""
        return torch.cat([self.generator(part, self.size) for part in w.split(2 if self.device.type == "cpu" else len(w))])

    def _estimate(self, images: torch.Tensor) -> NDArray[np.float64]:
        """Faces [N, 3, S, S] -> ages [N, nets] in years."""
        looked = [net.look(images)[:, 0] for net in self.nets]  # type: ignore[operator]
        return torch.stack(looked, 1).clamp(0, 100).double().cpu().numpy()


def label_ages(estimated: NDArray[np.float64], curve: NDArray[np.float64]) -> NDArray[np.float64]:
    """The nets' means along a person's path, which scatter, and the population's curve -> labels that rise from step to step."""
    return NETS_WEIGHT * rising(estimated) + (1 - NETS_WEIGHT) * curve


def rising(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The closest sequence that never falls (isotonic regression): neighbors that fall are pooled at their mean."""
    pools: list[tuple[float, int]] = []
    for value in values:
        pools.append((float(value), 1))
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            (a, m), (b, n) = pools[-2:]
            pools[-2:] = [((a * m + b * n) / (m + n), m + n)]
    return np.repeat([value for value, _ in pools], [count for _, count in pools])


def _apart(alphas: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sorted steps without those that are near the one before; 0, the face as drawn, always stays."""
    kept: list[float] = []
    for alpha in alphas:
        if kept and alpha - kept[-1] < NEAR:
            if alpha == 0.0:
                kept[-1] = 0.0
            continue
        kept.append(float(alpha))
    return np.array(kept)
