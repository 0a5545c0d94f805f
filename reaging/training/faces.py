"""Training tasks of the two face networks; both are run by the loop in ``loop.py``."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from ..data.scenes import Album, Image, Points, Scene, aligner_crop, batches, cut_shapes, finder_scene, load_album
from ..nets.faces import POINTS, Aligner, AlignerPreset, Finder, FinderPreset
from ..runtime.faces.find import STRIDES, UNITS, decode
from ..runtime.faces.landmarks import ZOOM
from ..runtime.faces.template import square
from ..runtime.sinks.picture import write_picture
from .ema import averaged_copy

# half sides of the faces that each level of the finder answers for, in pixels
LEVEL_RANGES = ((5.0, 24.0), (24.0, 66.0), (66.0, 1e9))
WARM_UP = 200  # steps
SHARES = (1.0, 0.75, 0.625)  # of the preset's size, of the finder's pictures from step to step


def as_input(pictures: list[Image], device: torch.device) -> Tensor:
    """Pictures [S, S, 3] uint8 RGB -> [N, 3, S, S], -1 to 1, channels last in memory (twice as fast on a CPU here)."""
    stacked = torch.from_numpy(np.stack(pictures)).to(device)
    return (stacked.permute(0, 3, 1, 2).float() / 127.5 - 1).contiguous(memory_format=torch.channels_last)


def learning_rate(peak: float, step: int, steps: int) -> float:
    """Linear warm-up, then half a cosine down to zero."""
    if step < WARM_UP:
        return peak * (step + 1) / WARM_UP
    return peak * 0.5 * (1 + math.cos(math.pi * min(1.0, (step - WARM_UP) / max(1, steps - WARM_UP))))


class _FaceTask:
    """What both tasks share: one net, AdamW, its averaged copy and the album that pictures are made from."""

    def __init__(self, preset: FinderPreset | AlignerPreset, net: nn.Module, data: list[Path], device: torch.device | str):
        self.preset = preset
        self.example_size = (preset.size, preset.size)
        self.device = torch.device(device)
        self.album: Album = load_album([Path(p) for p in data])
        self.data_names = ", ".join(Path(p).name for p in data)
        self.shapes = cut_shapes(np.random.default_rng(preset.seed))
        self.net = net.to(self.device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
        self.nets: dict[str, nn.Module] = {preset.name: self.net}
        self.ema: dict[str, nn.Module] = {preset.name: averaged_copy(self.net)}
        optimizer = torch.optim.AdamW(self.net.parameters(), lr=preset.lr, weight_decay=preset.weight_decay)
        self.optimizers: dict[str, torch.optim.Optimizer] = {preset.name: optimizer}

    def example_inputs(self) -> tuple[nn.Module, tuple[Tensor, ...]]:
        """The net and one picture, to count its multiply-accumulates with."""
        return self.net, (torch.zeros(1, 3, *self.example_size, device=self.device),)

    def descend(self, loss: Tensor, step: int) -> None:
        """One step down the gradient of the loss at the step's learning rate."""
        optimizer = self.optimizers[self.preset.name]
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(self.preset.lr, step, self.preset.steps)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.net.parameters(), 10.0)
        optimizer.step()


class FinderTask(_FaceTask):
    """Focal loss on "the middle of a face is here", L1 on the landmarks of the cells that say so."""

    def __init__(self, preset: FinderPreset, data: list[Path], device: torch.device | str = "cpu"):
        """``data`` as ``load_album`` takes it; raises ReagingError as it does."""
        torch.manual_seed(preset.seed)
        super().__init__(preset, Finder(preset), data, device)
        self.size = preset.size
        self.example_size = (256, 320)  # a frame of 640 x 480 halved, filled up to multiples of 32

    def batch(self, step: int) -> list[Scene]:
        # smaller pictures on two steps of three: nearly as much to learn from in two thirds of the time
        size = max(32, round(self.size * SHARES[step % len(SHARES)] / 32) * 32)
        generators = batches(self.preset.seed, step, self.preset.batch)
        return [finder_scene(rng, self.album, size, self.shapes) for rng in generators]

    def step(self, batch: list[Scene], step: int) -> dict[str, float]:
        levels = self.net(as_input([scene.picture for scene in batch], self.device))
        targets = [finder_targets(scene) for scene in batch]
        score_loss = torch.zeros((), device=self.device)
        point_loss = torch.zeros((), device=self.device)
        positives = sum(int((t[0] == 1).sum()) for target in targets for t in target)
        for level, output in enumerate(levels):
            truth, points, weight = (torch.from_numpy(np.stack([t[level][k] for t in targets])).to(self.device) for k in range(3))
            score_loss = score_loss + focal_loss(output[:, 0], truth)
            point_loss = point_loss + (F.smooth_l1_loss(output[:, 1:], points, reduction="none", beta=0.05).mean(1) * weight).sum()
        score_loss, point_loss = score_loss / max(1, positives), point_loss / max(1, positives)
        self.descend(score_loss + 4 * point_loss, step)
        return {"score": float(score_loss.detach()), "points": float(point_loss.detach())}

    @torch.no_grad()
    def sample(self, path: Path) -> None:
        """16 scenes that no step sees, with what the averaged net finds in them."""
        scenes = [finder_scene(rng, self.album, self.size, self.shapes) for rng in batches(self.preset.seed + 1000, 0, 16)]
        levels = self.ema[self.preset.name](as_input([s.picture for s in scenes], self.device))
        drawn = []
        for i, scene in enumerate(scenes):
            picture = np.ascontiguousarray(scene.picture)
            for points in scene.landmarks:
                _dots(picture, points, (0, 255, 0))
            for face in decode([level[i].float().cpu().numpy() for level in levels], threshold=0.5):
                x, y, w, h = (int(v) for v in face.box)
                cv2.rectangle(picture, (x, y), (x + w, y + h), (255, 255, 0), 1)
                _dots(picture, face.landmarks, (255, 0, 0))
            drawn.append(picture)
        _write_grid(path, drawn, 4)


def finder_targets(scene: Scene) -> list[tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]]:
    """For each level: truth [h, w] (1 the middle of a face, 0 none, -1 do not care), landmarks [10, h, w] in the level's units, and the
    weight [h, w] of their loss, which makes an error count by the face's size."""
    targets = []
    parts = [square(points) for points in scene.landmarks]
    for stride, unit, (low, high) in zip(STRIDES, UNITS, LEVEL_RANGES, strict=True):
        cells = scene.picture.shape[0] // stride
        line = (np.arange(cells) + 0.5) * stride - 0.5
        truth = np.zeros((cells, cells), np.float32)
        points = np.zeros((2 * POINTS, cells, cells), np.float32)
        weight = np.zeros((cells, cells), np.float32)
        nearest = np.full((cells, cells), np.inf)
        for landmarks, (center, right), seen in zip(scene.landmarks, parts, scene.seen, strict=True):
            half = float(np.hypot(*right))
            middle = center + 0.1 * np.array([-right[1], right[0]])
            distance = np.hypot(line[None] - middle[0], line[:, None] - middle[1])
            neutral = distance < 0.55 * half + 0.5 * stride
            truth[neutral & (truth == 0)] = -1
            if seen < 0.35 or not low / 1.25 <= half < high * 1.25:
                continue  # this level is not asked about this face, but not told that there is none either
            mine = (distance < max(0.22 * half, 0.75 * stride)) & (distance < nearest)
            nearest[mine] = distance[mine]
            # partly seen, or on the border of the level's sizes: right to find, no fault to miss
            truth[mine] = 1 if seen >= 0.55 and low <= half < high else -1
            offset = _offsets(landmarks, line)
            points[:, mine] = (offset / unit)[:, mine]
            weight[mine] = unit / half
        targets.append((truth, points, weight * (truth == 1)))
    return targets


def _offsets(landmarks: Points, line: NDArray[np.float64]) -> NDArray[np.float32]:
    """[10, n, n]: x, y of each landmark from each cell's center, in pixels."""
    n = len(line)
    x = np.broadcast_to(landmarks[:, 0, None, None] - line[None, None, :], (POINTS, n, n))
    y = np.broadcast_to(landmarks[:, 1, None, None] - line[None, :, None], (POINTS, n, n))
    return np.stack([x, y], axis=1).reshape(2 * POINTS, n, n).astype(np.float32)


def focal_loss(logits: Tensor, truth: Tensor) -> Tensor:
    """Sum of the focal loss (gamma 2, alpha 0.4) over cells with truth 1 or 0; cells with -1 do not count."""
    wanted = (truth == 1).float()
    cross = F.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    missed = (torch.sigmoid(logits) - wanted).abs()
    share = 0.4 * wanted + 0.6 * (1 - wanted)
    return (share * missed.square() * cross * (truth >= 0)).sum()


class AlignerTask(_FaceTask):
    """L1 on the landmarks of faces, cross entropy on "a face"."""

    def __init__(self, preset: AlignerPreset, data: list[Path], device: torch.device | str = "cpu"):
        """``data`` as ``load_album`` takes it; raises ReagingError as it does."""
        torch.manual_seed(preset.seed)
        super().__init__(preset, Aligner(preset), data, device)
        self.size = preset.size

    def batch(self, step: int) -> list[tuple[Image, Points, bool]]:
        generators = batches(self.preset.seed, step, self.preset.batch)
        return [aligner_crop(rng, self.album, self.size, ZOOM, self.shapes) for rng in generators]

    def step(self, batch: list[tuple[Image, Points, bool]], step: int) -> dict[str, float]:
        points, logits = self.net(as_input([crop for crop, _, _ in batch], self.device))
        truth = torch.from_numpy(np.stack([landmarks for _, landmarks, _ in batch])).to(self.device)
        truth = (truth + 0.5) * (2 / self.size) - 1
        face = torch.tensor([is_face for _, _, is_face in batch], dtype=torch.float32, device=self.device)
        eyes = (truth[:, 0] - truth[:, 1]).norm(dim=1).clamp(min=0.1)
        error = F.smooth_l1_loss(points, truth, reduction="none", beta=0.02).mean((1, 2)) / eyes
        point_loss = (error * face).sum() / face.sum().clamp(min=1)
        face_loss = F.binary_cross_entropy_with_logits(logits, face)
        self.descend(10 * point_loss + face_loss, step)
        percent = ((points.detach() - truth).norm(dim=2).mean(1) / eyes * face).sum() / face.sum().clamp(min=1) * 100
        return {"points": float(point_loss.detach()), "face": float(face_loss.detach()), "percent_of_eyes": float(percent)}

    @torch.no_grad()
    def sample(self, path: Path) -> None:
        """32 crops that no step sees, with the truth (green) and what the averaged net says (red; a red border: no face)."""
        generators = batches(self.preset.seed + 1000, 0, 32)
        crops = [aligner_crop(rng, self.album, self.size, ZOOM, self.shapes) for rng in generators]
        points, logits = self.ema[self.preset.name](as_input([crop for crop, _, _ in crops], self.device))
        drawn = []
        for (crop, truth, is_face), found, logit in zip(crops, points.cpu().numpy(), logits.cpu().numpy(), strict=True):
            picture = cv2.resize(crop, None, fx=2, fy=2)
            if is_face:
                _dots(picture, truth * 2 + 0.5, (0, 255, 0))
            if logit > 0:
                _dots(picture, (found + 1) * self.size - 0.5, (255, 0, 0))
            else:
                cv2.rectangle(picture, (0, 0), (2 * self.size - 1, 2 * self.size - 1), (255, 0, 0), 2)
            drawn.append(picture)
        _write_grid(path, drawn, 8)


def _dots(picture: Image, points: Points, color: tuple[int, int, int]) -> None:
    for x, y in points:
        cv2.circle(picture, (round(float(x)), round(float(y))), 1, color, -1)


def _write_grid(path: Path, pictures: list[Image], columns: int) -> None:
    rows = [np.concatenate(pictures[i : i + columns], axis=1) for i in range(0, len(pictures), columns)]
    write_picture(path, cv2.cvtColor(np.concatenate(rows), cv2.COLOR_RGB2BGR))
