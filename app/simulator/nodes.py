"""Which function does the work of which class; the rest pass on what they were given."""

from __future__ import annotations

from collections import Counter

from app.simulator import imaging, sampling, saving, trials
from app.simulator.cache import Result
from app.simulator.calls import Call, Node
from app.simulator.values import (
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
"""How encoders call the inputs in which the words of a prompt come."""


async def encode_text(call: Call) -> Result:
    """CLIPTextEncode and its kin: the words, each once."""
    said = [
        value for name, value in call.inputs.items() if isinstance(value, str) and value and name.startswith(_WORDY)
    ]
    return Result((Conditioning(", ".join(dict.fromkeys(said))),))


async def guide(call: Call) -> Result:
    """CFGGuider, BasicGuider and their kin."""
    model, told = call.first(Model), call.first(Conditioning)
    return Result((Guider(model.name if model else "", told.words if told else ""),))


async def noise(call: Call) -> Result:
    """RandomNoise."""
    return Result((Noise(call.whole("noise_seed")),))


async def schedule(call: Call) -> Result:
    """BasicScheduler and its kin."""
    return Result((Sigmas(max(1, call.whole("steps", 20)), call.number("denoise", 1.0)),))


async def create_video(call: Call) -> Result:
    """CreateVideo."""
    return Result((Video(call.pictures(), call.number("fps", 24.0)),))


async def empty_audio(call: Call) -> Result:
    """EmptyAudio."""
    return Result((Audio(call.number("duration", call.number("seconds", 1.0))),))


async def image_size(call: Call) -> Result:
    """GetImageSize: width, height, and how many."""
    pictures = call.pictures()
    return Result((*pictures[0].size, len(pictures)))


async def combine(call: Call) -> Result:
    """ConditioningCombine and ConditioningConcat: both prompts."""
    told = [value.words for value in call.inputs.values() if isinstance(value, Conditioning)]
    return Result((Conditioning(", ".join(told)),))


async def pass_on(call: Call) -> Result:
    """Any other class: its n-th output of a type is its n-th input of that type, or a blank one."""
    if call.shop.catalog.is_output(call.class_type):
        return await saving.save_unknown(call)
    types = call.shop.catalog.outputs(call.class_type)
    if not types and not call.shop.catalog.recorded(call.class_type):
        # Nobody knows what it gives; whoever is linked to it takes what fits.
        found = next((value for value in call.inputs.values() if not isinstance(value, (str, int, float))), None)
        return Result((found,) * 8)
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
            found = TYPES.get(kind)
            return isinstance(value, found) if found else value == Opaque(kind)


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
    "EmptyImage": imaging.empty_image,
    "LoadImage": imaging.load_image,
    "LoadImageMask": imaging.load_image,
    "LoadImageOutput": imaging.load_image,
    "VAEEncode": imaging.vae_encode,
    "VAEEncodeTiled": imaging.vae_encode,
    "VAEEncodeForInpaint": imaging.vae_encode,
    "VAEDecode": imaging.vae_decode,
    "VAEDecodeTiled": imaging.vae_decode,
    "EmptyLatentImage": imaging.empty_latent,
    "ImageScale": imaging.image_scale,
    "ImageScaleBy": imaging.image_scale_by,
    "ImageUpscaleWithModel": imaging.upscale_with_model,
    "ImageInvert": imaging.invert,
    "ImageBatch": imaging.image_batch,
    "RepeatImageBatch": imaging.repeat_batch,
    "ImageBlend": imaging.blend,
    "LatentUpscale": imaging.latent_upscale,
    "LatentUpscaleBy": imaging.latent_upscale,
    "RepeatLatentBatch": imaging.repeat_latent,
    "GetImageSize": image_size,
    "ConditioningCombine": combine,
    "ConditioningConcat": combine,
    "RandomNoise": noise,
    "CreateVideo": create_video,
    "EmptyAudio": empty_audio,
    "SaveImage": saving.save_image,
    "PreviewImage": saving.preview_image,
    "SaveImageWebsocket": saving.save_websocket,
    "SaveAnimatedWEBP": saving.save_webp,
    "SaveAnimatedPNG": saving.save_apng,
    "SaveVideo": saving.save_video,
    "SaveWEBM": saving.save_webm,
    "SaveAudio": saving.save_audio,
    "SaveAudioMP3": saving.save_mp3,
    "SaveAudioOpus": saving.save_audio,
    "PreviewAudio": saving.preview_audio,
    "SaveLatent": saving.save_latent,
    "PreviewAny": saving.preview_any,
    "BotTestSleep": trials.sleep,
    "BotTestBlockingSleep": trials.sleep_deaf,
    "BotTestRaise": trials.fail,
    "BotTestOOM": trials.exhaust,
    "BotTestBlock": trials.block,
    "BotTestExpand": trials.expand,
    "BotTestChatter": trials.chatter,
    "BotTestVHS": trials.films,
    "BotTestOddOutput": trials.oddities,
}


def find(class_type: str, outputs: list[str]) -> Node:
    """What does the work of a class: its own function, one for its kin, or `pass_on`."""
    if class_type in _BY_NAME:
        return _BY_NAME[class_type]
    if class_type.startswith(("CLIPTextEncode", "TextEncode")) and outputs[:1] == ["CONDITIONING"]:
        return encode_text
    if class_type.startswith("Empty") and outputs == ["LATENT"]:
        return imaging.empty_latent
    if outputs == ["SIGMAS"] and class_type.endswith("Scheduler"):
        return schedule
    return guide if outputs == ["GUIDER"] else pass_on
