"""Samplers: the nodes that take time and paint the images."""

from __future__ import annotations

import anyio
from PIL import Image

from app.simulator.art import painter
from app.simulator.art.painter import Recipe
from app.simulator.engine.cache import Result
from app.simulator.nodes.context import Call
from app.simulator.nodes.types import Conditioning, Guider, Latent, Model, Noise, Sigmas

_MOST_FRAMES = 24
"""The number of different frames in a video; a longer one repeats them, to save time."""


async def ksampler(call: Call) -> Result:
    """KSampler."""
    return await _sample(call, call.whole("seed"), call.whole("steps", 20), call.number("denoise", 1.0))


async def ksampler_advanced(call: Call) -> Result:
    """KSamplerAdvanced: runs a part of the steps; a later start keeps more of the input image."""
    total = max(1, call.whole("steps", 20))
    start, end = call.whole("start_at_step"), min(call.whole("end_at_step", total), total)
    return await _sample(call, call.whole("noise_seed"), max(0, end - start), 1 - min(start, total) / total)


async def sampler_custom(call: Call) -> Result:
    """SamplerCustom and SamplerCustomAdvanced: seed, steps and denoise come from other nodes."""
    sigmas = call.get("sigmas", Sigmas) or Sigmas(steps=20)
    noise = call.get("noise", Noise) or Noise(call.whole("noise_seed"))
    done = await _sample(call, noise.seed, sigmas.steps, sigmas.denoise)
    return Result(done.outputs * 2)


async def _sample(call: Call, seed: int, steps: int, denoise: float) -> Result:
    context = call.context
    latent = call.get("latent_image", Latent) or Latent(512, 512)
    steps = context.steps if context.steps is not None and steps else steps
    guider, model = call.get("guider", Guider), call.get("model", Model)
    positive = call.get("positive", Conditioning)
    words = guider.words if guider else positive.words if positive else ""
    name = (guider.model if guider else model.name if model else "") + context.salt
    recipe = Recipe(words, seed, name, steps, latent.width, latent.height)
    painted: tuple[Image.Image, ...] = ()
    if call.previews and steps:
        painted = await context.run_sync(_paint, recipe, latent, denoise)
    for step in range(1, steps + 1):
        await anyio.sleep(context.step_time)
        image = await context.run_sync(painter.preview, painted[0], step / steps) if painted else None
        await call.step(step, steps, image)
    if not painted:
        painted = await context.run_sync(_paint, recipe, latent, denoise)
    return Result((Latent(latent.width, latent.height, latent.batch, painted, latent.moving),))


def _paint(recipe: Recipe, latent: Latent, denoise: float) -> tuple[Image.Image, ...]:
    if latent.moving:
        still = painter.caption(_one(recipe, latent, 0, denoise), recipe)
        shots = painter.film(still, min(latent.batch, _MOST_FRAMES))
        return tuple(shots[n * len(shots) // latent.batch] for n in range(latent.batch))
    return tuple(
        painter.caption(_one(numbered, latent, index, denoise), numbered)
        for index in range(latent.batch)
        for numbered in (Recipe(recipe.words, recipe.seed + index, *_rest(recipe)),)
    )


def _rest(recipe: Recipe) -> tuple[str, int, int, int]:
    return recipe.model, recipe.steps, recipe.width, recipe.height


def _one(recipe: Recipe, latent: Latent, index: int, denoise: float) -> Image.Image:
    if latent.pictures is None:
        return painter.paint(recipe)
    base = latent.pictures[index % len(latent.pictures)]
    painted = painter.paint(recipe) if denoise >= 1 else painter.repaint(recipe, base, denoise)
    return painted if latent.mask is None else Image.composite(painted, base, latent.mask)
