"""The functions that do the work of each class; all other classes pass on their inputs."""

from __future__ import annotations

from collections import Counter

from app.simulator.engine.cache import Result
from app.simulator.nodes import images, models_3d, sampling, save, test_nodes
from app.simulator.nodes.context import Call, Node
from app.simulator.nodes.types import (
    TYPES,
    Audio,
    Conditioning,
    Guider,
    Images,
    Latent,
    Mask,
    Model,
    Noise,
    Opaque,
    Sigmas,
    Value,
    Video,
)

_WORDY = ("text", "prompt", "clip_l", "t5xxl", "tags", "lyrics", "string", "user_prompt")
"""The beginnings of the names of the inputs in which encoders take the prompt's text."""


async def encode_text(call: Call) -> Result:
    """CLIPTextEncode and similar classes: the texts, each once."""
    texts = [
        value for name, value in call.inputs.items() if isinstance(value, str) and value and name.startswith(_WORDY)
    ]
    return Result((Conditioning(", ".join(dict.fromkeys(texts))),))


async def guide(call: Call) -> Result:
    """CFGGuider, BasicGuider and similar classes."""
    model, conditioning = call.first(Model), call.first(Conditioning)
    return Result((Guider(model.name if model else "", conditioning.words if conditioning else ""),))


async def noise(call: Call) -> Result:
    """RandomNoise."""
    return Result((Noise(call.whole("noise_seed")),))


async def schedule(call: Call) -> Result:
    """BasicScheduler and similar classes."""
    return Result((Sigmas(max(1, call.whole("steps", 20)), call.number("denoise", 1.0)),))


async def split_schedule(call: Call) -> Result:
    """SplitSigmasDenoise: the first part of the steps, and the rest, which is so large a part of them."""
    sigmas, share = call.first(Sigmas) or Sigmas(20), call.number("denoise", 1.0)
    rest = round(sigmas.steps * share)
    return Result((Sigmas(sigmas.steps - rest), Sigmas(rest, sigmas.denoise * share)))


async def create_video(call: Call) -> Result:
    """CreateVideo."""
    return Result((Video(call.pictures(), call.number("fps", 24.0)),))


async def empty_audio(call: Call) -> Result:
    """EmptyAudio."""
    return Result((Audio(call.number("duration", call.number("seconds", 1.0))),))


async def generate_text(call: Call) -> Result:
    """TextGenerate: what the simulator knows about the image, if there is one, and the question."""
    batch = call.get("image", Images)
    about = f"A picture of {batch.batch[0].width} × {batch.batch[0].height} pixels. " if batch else ""
    return Result((f"{about}You asked: {call.words('prompt')}",))


async def image_size(call: Call) -> Result:
    """GetImageSize: width, height, and the number of images."""
    pictures = call.pictures()
    return Result((*pictures[0].size, len(pictures)))


async def combine(call: Call) -> Result:
    """ConditioningCombine and ConditioningConcat: both prompts."""
    prompts = [value.words for value in call.inputs.values() if isinstance(value, Conditioning)]
    return Result((Conditioning(", ".join(prompts)),))


async def pass_on(call: Call) -> Result:
    """Any other class: its n-th output of a type is its n-th input of that type (or the last), or a blank value."""
    if call.context.catalog.is_output(call.class_type):
        return await save.save_unknown(call)
    types = call.context.catalog.outputs(call.class_type)
    if not types and not call.context.catalog.recorded(call.class_type):
        # The outputs of an unknown class are unknown, so all get the first input that is not a plain value.
        first = next((value for value in call.inputs.values() if not isinstance(value, (str, int, float))), None)
        return Result((first,) * 8)
    taken: Counter[str] = Counter()
    outputs: list[Value] = []
    for kind in types:
        fitting = [value for value in call.inputs.values() if _is(value, kind)]
        outputs.append(fitting[min(taken[kind], len(fitting) - 1)] if fitting else _blank(call, kind))
        taken[kind] += 1
    return Result(tuple(outputs))


def _is(value: Value, kind: str) -> bool:
    match kind:
        case "INT":
            return isinstance(value, int) and not isinstance(value, bool)
        case "FLOAT":
            return isinstance(value, (int, float)) and not isinstance(value, bool)
        case "STRING" | "COMBO":
            return isinstance(value, str)
        case "BOOLEAN":
            return isinstance(value, bool)
        case _:
            python_type = TYPES.get(kind)
            return isinstance(value, python_type) if python_type else value == Opaque(kind)


def _blank(call: Call, kind: str) -> Value:
    name = next((value for value in call.inputs.values() if isinstance(value, str)), "")
    width, height = call.whole("width", 512), call.whole("height", 512)
    blanks: dict[str, Value] = {
        "INT": 0,
        "FLOAT": 0.0,
        "STRING": name,
        "COMBO": name,
        "BOOLEAN": False,
        "LATENT": Latent(width, height, max(1, call.whole("length", 1)), moving=bool(call.whole("length"))),
        "CONDITIONING": Conditioning(name),
        "GUIDER": Guider("", ""),
        "NOISE": Noise(0),
        "SIGMAS": Sigmas(20),
        "AUDIO": Audio(1.0),
    }
    if kind == "IMAGE":
        return Images(call.pictures())
    if kind == "MASK":
        return Mask(tuple(picture.convert("L") for picture in call.pictures()))
    if kind == "VIDEO":
        return Video(call.pictures(), 24.0)
    if TYPES.get(kind) is Model:
        return Model(name)
    return blanks.get(kind, Opaque(kind))


_BY_NAME: dict[str, Node] = {
    "KSampler": sampling.ksampler,
    "KSamplerAdvanced": sampling.ksampler_advanced,
    "SamplerCustom": sampling.sampler_custom,
    "SamplerCustomAdvanced": sampling.sampler_custom,
    "EmptyImage": images.empty_image,
    "LoadImage": images.load_image,
    "LoadImageMask": images.load_image,
    "LoadImageOutput": images.load_image,
    "VAEEncode": images.vae_encode,
    "VAEEncodeTiled": images.vae_encode,
    "VAEEncodeForInpaint": images.vae_encode,
    "VAEDecode": images.vae_decode,
    "VAEDecodeTiled": images.vae_decode,
    "EmptyLatentImage": images.empty_latent,
    "ImageScale": images.image_scale,
    "ImagePadForOutpaint": images.pad_for_outpaint,
    "ImageScaleBy": images.image_scale_by,
    "ImageUpscaleWithModel": images.upscale_with_model,
    "ImageInvert": images.invert,
    "ImageBatch": images.image_batch,
    "RepeatImageBatch": images.repeat_batch,
    "ImageBlend": images.blend,
    "LatentUpscale": images.latent_upscale,
    "LatentUpscaleBy": images.latent_upscale,
    "SetLatentNoiseMask": images.set_noise_mask,
    "SplitSigmasDenoise": split_schedule,
    "RepeatLatentBatch": images.repeat_latent,
    "GetImageSize": image_size,
    "ConditioningCombine": combine,
    "ConditioningConcat": combine,
    "RandomNoise": noise,
    "CreateVideo": create_video,
    "EmptyAudio": empty_audio,
    "TextGenerate": generate_text,
    "SaveImage": save.save_image,
    "PreviewImage": save.preview_image,
    "SaveImageWebsocket": save.save_websocket,
    "SaveAnimatedWEBP": save.save_webp,
    "SaveAnimatedPNG": save.save_apng,
    "SaveVideo": save.save_video,
    "SaveWEBM": save.save_webm,
    "SaveAudio": save.save_audio,
    "SaveAudioMP3": save.save_mp3,
    "SaveAudioOpus": save.save_audio,
    "PreviewAudio": save.preview_audio,
    "SaveLatent": save.save_latent,
    "PreviewAny": save.preview_any,
    "SaveText": save.save_text,
    "ImageCompare": save.compare_images,
    "Load3D": models_3d.load,
    "Load3DAdvanced": models_3d.load,
    "SaveGLB": models_3d.save_glb,
    "Save3DAdvanced": models_3d.save_advanced,
    "Preview3D": models_3d.preview,
    "Preview3DAdvanced": models_3d.preview_advanced,
    "BotTestSleep": test_nodes.sleep,
    "BotTestBlockingSleep": test_nodes.sleep_deaf,
    "BotTestRaise": test_nodes.fail,
    "BotTestOOM": test_nodes.exhaust,
    "BotTestBlock": test_nodes.block,
    "BotTestExpand": test_nodes.expand,
    "BotTestChatter": test_nodes.chatter,
    "BotTestVHS": test_nodes.films,
    "BotTestOddOutput": test_nodes.oddities,
    "BotTestUI": test_nodes.show,
}


def find(class_type: str, outputs: list[str]) -> Node:
    """Return the function of a class: its own, one for similar classes, or `pass_on`."""
    if class_type in _BY_NAME:
        return _BY_NAME[class_type]
    if class_type.startswith(("CLIPTextEncode", "TextEncode")) and outputs[:1] == ["CONDITIONING"]:
        return encode_text
    if class_type.startswith("Empty") and outputs == ["LATENT"]:
        return images.empty_latent
    if outputs == ["SIGMAS"] and class_type.endswith("Scheduler"):
        return schedule
    return guide if outputs == ["GUIDER"] else pass_on
