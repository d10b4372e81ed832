"""Graphs to send."""

from __future__ import annotations

from app.ports import Json

Body = dict[str, Json]


def txt2img(words: str = "a quiet valley", *, seed: int = 1, steps: int = 4, size: int = 64, batch: int = 1) -> Body:
    return {
        "4": _node("CheckpointLoaderSimple", ckpt_name="dreamscape-v1.safetensors"),
        "5": _node("EmptyLatentImage", width=size, height=size, batch_size=batch),
        "6": _node("CLIPTextEncode", text=words, clip=["4", 1]),
        "7": _node("CLIPTextEncode", text="blurry", clip=["4", 1]),
        "3": _node(
            "KSampler",
            seed=seed,
            steps=steps,
            cfg=7.0,
            sampler_name="euler",
            scheduler="normal",
            denoise=1.0,
            model=["4", 0],
            positive=["6", 0],
            negative=["7", 0],
            latent_image=["5", 0],
        ),
        "8": _node("VAEDecode", samples=["3", 0], vae=["4", 2]),
        "9": _node("SaveImage", images=["8", 0], filename_prefix="t2i"),
    }


def img2img(image: str, denoise: float) -> Body:
    graph = txt2img()
    graph["10"] = _node("LoadImage", image=image)
    graph["5"] = _node("VAEEncode", pixels=["10", 0], vae=["4", 2])
    sampler = graph["3"]
    assert isinstance(sampler, dict)
    inputs = sampler["inputs"]
    assert isinstance(inputs, dict)
    inputs["denoise"] = denoise
    return graph


def slow(seconds: float = 1.0, steps: int = 10, color: int = 7, *, previews: bool = False) -> Body:
    return {
        "1": _node("EmptyImage", width=32, height=32, batch_size=1, color=color),
        "2": _node("BotTestSleep", image=["1", 0], steps=steps, seconds=seconds, previews=previews, preview_size=64),
        "3": _node("SaveImage", images=["2", 0], filename_prefix="slow"),
    }


def plain(color: int, *, save: str = "SaveImage", **inputs: Json) -> Body:
    return {
        "1": _node("EmptyImage", width=64, height=48, batch_size=4, color=color),
        "2": _node(save, images=["1", 0], filename_prefix="plain", **inputs),
    }


def _node(class_type: str, **inputs: Json) -> Json:
    return {"class_type": class_type, "inputs": inputs}
