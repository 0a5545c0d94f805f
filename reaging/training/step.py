"""One training step of a generator and its discriminator: the paper's losses, and the weighted terms on top of them."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .. import losses
from ..ages import CLASS_STARTS, age_class
from ..data.augment import augment_mask, augment_picture, draw_augmentation
from ..data.occlude import cover, draw_occluder, draw_texture
from ..data.pairs import keep_mouth
from ..data.shards import FaceSet
from ..nets import build_discriminator, build_generator
from ..nets.frozen import FrozenNet
from ..presets import Preset
from ..runtime.sinks.picture import write_picture
from .ema import averaged_copy
from .views import View, draw_view, seen

SHEET_AGES = (5, 15, 25, 40, 60, 80)
WRONG_AGE = 10.0  # years: a face this far from an age should not pass for that age


@dataclass
class Batch:
    """N examples.  ``target`` is the same person at ``target_age`` where ``has_pair`` is 1, otherwise the image itself."""

    image: Tensor  # [N, 3, S, S] in -1..1
    age: Tensor  # [N] years
    target: Tensor  # [N, 3, S, S]
    target_age: Tensor  # [N] years
    has_pair: Tensor  # [N]
    mask: Tensor  # [N, 1, S/4, S/4] in 0..1
    has_mask: Tensor  # [N]
    noise: Tensor  # [N, code]: v of the age code
    crop: tuple[float, float]  # place of the random crops, 0..1
    view: View  # how the frozen age and identity nets see it
    label: Tensor  # [N] class of age
    target_label: Tensor  # [N] class of target_age


def learning_rate(preset: Any, step: int, steps: int, peak: float) -> float:
    """Linear warm-up, constant, then linear to zero over the last ``1 - constant`` of the run."""
    if step < preset.warmup:
        return peak * (step + 1) / preset.warmup
    return peak * min(1.0, (steps - step) / max(1.0, steps * (1 - preset.constant)))


class GeneratorTask:
    """A generator, its discriminator, their optimizers, and the data (see ``reaging.training.loop.Task``)."""

    def __init__(
        self, preset: Preset, data: FaceSet, held_out: FaceSet | None, steps: int, device: str = "cpu", rank: int = 0, world: int = 1
    ):
        if preset.batch % world:
            raise ValueError("the batch must divide by the number of processes")
        torch.manual_seed(preset.seed)
        self.preset, self.data, self.held_out, self.steps = preset, data, held_out or data, steps
        self.device, self.rank, self.world = torch.device(device), rank, world
        self.frozen = {
            name: FrozenNet(path).to(self.device)
            for name, weight, path in (
                ("perceptual", preset.perceptual or preset.disc == "features", preset.perceptual_net),
                ("age", preset.age, preset.age_net),
                ("identity", preset.identity, preset.identity_net),
            )
            if weight
        }
        taps = self._taps() if preset.disc == "features" else None
        generator, discriminator = build_generator(preset).to(self.device), build_discriminator(preset, taps).to(self.device)
        self.nets: dict[str, nn.Module] = {"generator": generator, "discriminator": discriminator}
        self.ema: dict[str, nn.Module] = {"generator": averaged_copy(generator)}
        betas = (preset.beta1, preset.beta2)
        self.optimizers: dict[str, torch.optim.Optimizer] = {
            "generator": torch.optim.Adam(generator.parameters(), preset.lr, betas),
            "discriminator": torch.optim.Adam(discriminator.parameters(), preset.disc_lr, betas),
        }
        if self.device.type == "cpu":  # twice as fast on two cores
            for net in (*self.nets.values(), *self.ema.values(), *self.frozen.values()):
                net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        # with both kinds of people in the data, ``singles`` says how often each is drawn
        single = [members for members in data.identities if len(members) == 1]
        many = [members for members in data.identities if len(members) > 1]
        both = preset.singles > 0 and bool(single) and bool(many)
        self.singles, self.people, self.singles_share = (single, many, preset.singles) if both else ([], data.identities, 0.0)
        self.steps_per_epoch = max(1, len(data) // preset.batch)
        # forward passes go through these: plain, or DistributedDataParallel
        self.g, self.d = generator, discriminator
        if world > 1:
            from torch.nn.parallel import DistributedDataParallel

            ids = [self.device.index] if self.device.type == "cuda" else None
            self.g = DistributedDataParallel(generator, ids, broadcast_buffers=False)
            self.d = DistributedDataParallel(discriminator, ids, broadcast_buffers=False)

    # data

    def batch(self, step: int) -> Batch:
        """The whole batch is drawn by every process, so that its random choices do not depend on their number; each keeps its share."""
        rng = np.random.default_rng([self.preset.seed, step])
        n = self.preset.batch
        code = getattr(self.nets["generator"], "age_code", None)
        noise = torch.from_numpy(rng.normal(0, self.preset.code_noise, (n, code.length if code else 1)).astype(np.float32))
        crop = (float(rng.random()), float(rng.random()))
        view = draw_view(rng, self.preset.shake, self.preset.unsettle)
        seeds = rng.integers(2**31, size=n)
        mine = slice(self.rank * n // self.world, (self.rank + 1) * n // self.world)
        rows = [self._example(np.random.default_rng([int(s), 1])) for s in seeds[mine]]
        image, age, target, target_age, has_pair, mask, has_mask = (np.stack(column) for column in zip(*rows, strict=True))

        def picture(array: np.ndarray) -> Tensor:
            return torch.from_numpy(array).permute(0, 3, 1, 2).float().div_(127.5).sub_(1)

        return Batch(
            picture(image), torch.from_numpy(age), picture(target), torch.from_numpy(target_age), torch.from_numpy(has_pair),
            torch.from_numpy(mask)[:, None], torch.from_numpy(has_mask), noise[mine], crop, view,
            torch.from_numpy(age_class(age)), torch.from_numpy(age_class(target_age)),
        )  # fmt: skip

    def _example(self, rng: np.random.Generator) -> tuple[Any, ...]:
        people = self.singles if rng.random() < self.singles_share else self.people
        members = people[int(rng.integers(len(people)))]
        i = members[int(rng.integers(len(members)))]
        others = [m for m in members if m != i]
        if rng.random() < self.preset.own:
            others = [i]
        paired = bool(others) and self.preset.paired > 0
        j = others[int(rng.integers(len(others)))] if paired else i
        change = draw_augmentation(rng, self.preset.jitter, self.preset.degrade)
        pictures = {k: self.data.picture(k) for k in {i, j}}
        mask = self.data.mask(i)
        if self.preset.keep_mouth and i != j:
            pictures[j] = keep_mouth(pictures[i], pictures[j])
        if self.preset.occlude and rng.random() < self.preset.occlude:  # the same thing at both ages, and nothing to change in it
            shape = draw_occluder(rng, self.data.size)
            texture = draw_texture(rng, self.data.picture(int(rng.integers(len(self.data)))))
            pictures = {k: cover(picture, shape, texture) for k, picture in pictures.items()}
            if mask is not None:
                mask = mask * (1 - cv2.resize(shape, mask.shape[::-1], interpolation=cv2.INTER_AREA))
        image = augment_picture(pictures[i], change)
        target = augment_picture(pictures[j], change) if paired else image
        age = self.data.records[i].age
        if paired:
            target_age = self.data.records[j].age
        else:  # a class by chance, then a year in it
            k = int(rng.integers(len(CLASS_STARTS)))
            target_age = rng.uniform(CLASS_STARTS[k], (*CLASS_STARTS, 90)[k + 1])
        quarter = self.data.size // 4
        area = np.ones((quarter, quarter), np.float32) if mask is None else augment_mask(mask, change)
        return image, np.float32(age), target, np.float32(target_age), np.float32(paired), area, np.float32(mask is not None)

    def example_inputs(self) -> tuple[nn.Module, tuple[Tensor, Tensor]]:
        """The generator and an input of one face, to count its cost on."""
        size = self.preset.size
        return self.nets["generator"], (torch.zeros(1, 3, size, size, device=self.device), torch.full((1,), 30.0, device=self.device))

    # one step

    def step(self, batch: Batch, step: int) -> dict[str, float]:
        b = Batch(**{f.name: self._to_device(getattr(batch, f.name)) for f in fields(batch)})
        for name, peak in (("generator", self.preset.lr), ("discriminator", self.preset.disc_lr)):
            for group in self.optimizers[name].param_groups:
                group["lr"] = learning_rate(self.preset, step, self.steps, peak)
        self.nets["generator"].train()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"):
            return self._generator_step(b, step)

    def _to_device(self, value: Any) -> Any:
        if not isinstance(value, Tensor):
            return value
        last = value.ndim == 4 and self.device.type == "cpu"
        return value.contiguous(memory_format=torch.channels_last) if last else value.to(self.device, non_blocking=True)

    def _generate(self, image: Tensor, age: Tensor, source_age: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        if self.preset.family == "pix2pix":
            return self.g(image, age, source_age)
        return self.g(image, age, noise)

    def _taps(self) -> list[int]:
        """Channels of the perceptual net's taps that the discriminator sees: all but the finest, which would cost the most."""
        with torch.no_grad():
            return [tap.shape[1] for tap in self.frozen["perceptual"](torch.zeros(1, 3, 64, 64, device=self.device))][1:]

    def _features(self, b: Batch, image: Tensor, step: int) -> list[Tensor]:
        """What the perceptual net says of images in -1..1: of a random crop, or of the whole, shrunk, in every other of its steps."""
        return self.frozen["perceptual"]((self._view(b, image, step) + 1) * 127.5)

    def _view(self, b: Batch, image: Tensor, step: int) -> Tensor:
        s, whole = self.preset.perceptual_crop, step // self.preset.perceptual_every % 2
        return F.interpolate(image, size=(s, s), mode="area") if s and whole else self._crop(image, s, b.crop)

    def _judge(self, judge: nn.Module, b: Batch, image: Tensor, age: Tensor, label: Tensor) -> Tensor:
        if self.preset.family == "pix2pix":
            return judge(b.image, b.age, image, age)
        return judge(self._crop(image, self.preset.disc_crop, b.crop), label)

    @staticmethod
    def _crop(image: Tensor, side: int, place: tuple[float, float]) -> Tensor:
        if not side:
            return image
        top, left = (int(p * (image.shape[-1] - side + 1)) for p in place)
        return image[..., top : top + side, left : left + side]

    def _generator_step(self, b: Batch, step: int) -> dict[str, float]:
        p = self.preset
        adversarial = p.adv > 0 and step >= p.adv_from
        # not through DistributedDataParallel: it would wait for gradients that the generator's step does not make
        critic = self.nets["discriminator"].requires_grad_(False)
        aged, mask = self._generate(b.image, b.target_age, b.age, b.noise)
        terms: dict[str, tuple[float, Tensor]] = {}
        shown: list[Tensor] = []  # features of the output
        wanted: list[Tensor] = []  # of the target
        areas: list[Tensor] = []  # where they count
        if "perceptual" in self.frozen and step % p.perceptual_every == 0:
            shown = self._features(b, aged, step)
            with torch.no_grad():
                wanted = self._features(b, b.target, step)
            if p.perceptual:
                terms["perceptual"] = (p.perceptual * p.perceptual_every, losses.perceptual(shown, wanted, b.has_pair))
        if p.disc == "features":
            adversarial = adversarial and bool(shown)
            if adversarial:
                # outside the mask an output is its input: such patches would only teach that nothing can be told apart
                area = self._view(b, F.interpolate(b.mask, scale_factor=4.0, mode="bilinear", align_corners=False), step)
                areas = [F.interpolate(area, size=x.shape[2:], mode="area")[:, 0] for x in shown[1:]]
                logits = zip(critic(shown[1:], b.target_age), areas, strict=True)
                terms["adv"] = (p.adv * p.perceptual_every, _mean([losses.generator_adversarial(x, w) for x, w in logits]))
        elif adversarial:
            terms["adv"] = (p.adv, losses.generator_adversarial(self._judge(critic, b, aged, b.target_age, b.target_label)))
        rec = p.rec if step < p.rec_epochs * self.steps_per_epoch else p.rec_late
        if rec:
            terms["rec"] = (rec, losses.reconstruction(b.image, self._generate(b.image, b.age, b.age, b.noise)[0]))
        if p.cyc:
            terms["cyc"] = (p.cyc, losses.reconstruction(b.image, self._generate(aged, b.age, b.target_age, b.noise)[0]))
        terms |= self._extra_terms(b, aged, mask, step)
        total = sum((weight * value for weight, value in terms.values()), torch.zeros((), device=self.device))
        self._update("generator", total)
        values = {name: value for name, (_, value) in terms.items()}
        # how far the output is from the target, beside how far the input is: a run that returns its input shows here
        pairs = b.has_pair.sum().clamp(min=1)
        for name, picture in (("l1", aged.detach()), ("l1_of_input", b.image)):
            values[name] = ((picture - b.target).abs().mean((1, 2, 3)) * b.has_pair).sum() / pairs
        values["mask_mean"] = mask.mean()
        if adversarial and p.disc == "features":
            values |= self._feature_discriminator_step(b, [s.detach() for s in shown[1:]], wanted[1:], areas, step)
        elif adversarial:
            values |= self._discriminator_step(b, aged.detach(), step)
        return {k: float(v.detach()) for k, v in values.items()}

    def _extra_terms(self, b: Batch, aged: Tensor, mask: Tensor, step: int) -> dict[str, tuple[float, Tensor]]:
        p, terms = self.preset, {}
        if p.paired:
            area = F.interpolate(b.mask, scale_factor=4.0, mode="bilinear", align_corners=False)
            terms["paired"] = (p.paired, losses.paired(aged, b.target, b.has_pair, area))
        if p.low:
            terms["low"] = (p.low, losses.low_frequencies(aged, b.target, b.has_pair))
        if p.saturation:
            terms["saturation"] = (p.saturation, losses.saturation(aged, b.image, b.target))
        if p.darkening:
            terms["darkening"] = (p.darkening, losses.darkening(aged, b.image, b.target, (b.target_age < b.age).float()))
        if step % p.age_every == 0:  # the frozen nets are dear: used now and then, weighted up
            if p.age:
                years = self.frozen["age"].look(seen(b.view, aged, b.image), b.view.shake)[:, 0]  # type: ignore[operator]
                # at one's own age the face is right as it is, whatever the net believes
                apart = ((b.target_age - b.age).abs() > 1).float()
                terms["age"] = (p.age * p.age_every, losses.age_distance(years * apart, b.target_age * apart))
            if p.identity:
                net = self.frozen["identity"]
                with torch.no_grad():
                    known = net.look(b.image, b.view.shake)  # type: ignore[operator]
                terms["identity"] = (p.identity * p.age_every, losses.identity_distance(net.look(aged, b.view.shake), known))  # type: ignore[operator]
        if p.mask:
            small = F.interpolate(mask, size=b.mask.shape[2:], mode="area")
            terms["mask"] = (p.mask, losses.mask_supervision(small, b.mask, b.has_mask))
        if p.sparsity:
            terms["sparsity"] = (p.sparsity, mask.mean())
        if p.grid:
            terms["grid"] = (p.grid, losses.grid(aged - b.image))
        if p.tv:
            terms["tv"] = (p.tv, losses.total_variation(aged - b.image))
        return terms

    def _discriminator_step(self, b: Batch, aged: Tensor, step: int) -> dict[str, Tensor]:
        p = self.preset
        self.nets["discriminator"].train().requires_grad_(True)
        penalize = p.r1 > 0 and step % p.r1_every == 0
        # without a pair the target is the image itself, at its own age
        age = torch.where(b.has_pair > 0, b.target_age, b.age)
        label = torch.where(b.has_pair > 0, b.target_label, b.label)
        real = b.target.detach().requires_grad_(penalize)
        real_logits, fake_logits = self._judge(self.d, b, real, age, label), self._judge(self.d, b, aged, b.target_age, b.target_label)
        loss = losses.discriminator_adversarial(real_logits, fake_logits, p.label_smoothing)
        values = {"disc": loss, "real_logit": real_logits.mean(), "fake_logit": fake_logits.mean()}
        if penalize:
            values["r1"] = losses.r1_penalty(real_logits, real)
            loss = loss + p.r1 * p.r1_every * values["r1"]
        self._update("discriminator", loss)
        return values

    def _feature_discriminator_step(
        self, b: Batch, fake: list[Tensor], real: list[Tensor], areas: list[Tensor], step: int
    ) -> dict[str, Tensor]:
        """Three kinds of examples: real faces at their age, generated ones, and real faces at an age that is not theirs."""
        self.nets["discriminator"].train().requires_grad_(True)
        with torch.no_grad():
            image = self._features(b, b.image, step)[1:]
        wrong = ((b.age - b.target_age).abs() > WRONG_AGE).float()[:, None, None]
        real_logits = self.d(real, torch.where(b.has_pair > 0, b.target_age, b.age))
        fake_logits, wrong_logits = self.d(fake, b.target_age), self.d(image, b.target_age)
        told = zip(real_logits, fake_logits, areas, strict=True)
        values = {
            "disc": _mean([losses.discriminator_adversarial(r, f, weight=w) for r, f, w in told]),
            "disc_wrong": _mean([losses.wrong_age(x, w * wrong) for x, w in zip(wrong_logits, areas, strict=True)]),
            "real_logit": _mean([x.mean() for x in real_logits]),
            "fake_logit": _mean([x.mean() for x in fake_logits]),
        }
        self._update("discriminator", values["disc"] + values["disc_wrong"])
        return values

    def _update(self, name: str, loss: Tensor) -> None:
        optimizer, net = self.optimizers[name], self.nets[name]
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if self.preset.clip:
            nn.utils.clip_grad_norm_(net.parameters(), self.preset.clip)
        optimizer.step()

    # pictures

    @torch.no_grad()
    def sample(self, path: Path) -> None:
        """A sheet of held-out faces (rows: input, then ages ``SHEET_AGES``, then the mask at the last age)."""
        people = self.held_out.identities
        chosen = [people[i][0] for i in np.linspace(0, len(people) - 1, min(8, len(people))).round().astype(int)]
        pictures = np.stack([self.held_out.picture(i) for i in chosen])
        image = torch.from_numpy(pictures).permute(0, 3, 1, 2).float().div_(127.5).sub_(1).to(self.device)
        columns, mask = [image], image[:, :1]
        for age in SHEET_AGES:
            aged, mask = self.ema["generator"](image, torch.full((len(image),), float(age), device=self.device))
            columns.append(aged)
        columns.append(mask.expand(-1, 3, -1, -1) * 2 - 1)
        rows = torch.stack(columns, 1).clamp(-1, 1).add(1).mul(127.5).byte().permute(0, 3, 1, 4, 2).cpu().numpy()
        sheet = rows.reshape(rows.shape[0] * rows.shape[1], -1, 3)
        write_picture(path, sheet[:, :, ::-1])


def _mean(values: list[Tensor]) -> Tensor:
    return torch.stack(values).mean()
