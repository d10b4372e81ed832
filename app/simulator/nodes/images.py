"""Image nodes: load, scale, combine."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import structs
from PIL import Image, ImageDraw, ImageOps, UnidentifiedImageError
from PIL.Image import Resampling

from app.simulator.engine.cache import Result
from app.simulator.nodes.context import Call, NodeFailed
from app.simulator.nodes.types import Images, Latent, Mask

Box = tuple[float, float, float, float]


def resized(
    picture: Image.Image,
    size: tuple[int, int],
    method: Resampling = Resampling.BILINEAR,
    box: Box | None = None,
) -> Image.Image:
    """Return the image, or the part of it within `box`, in another size."""
    return picture.resize(size, method, box)  # pyright: ignore[reportUnknownMemberType]


def curve(picture: Image.Image, change: Callable[[int], float]) -> Image.Image:
    """Return a greyscale image with `change` applied to every level (0 to 255)."""
    levels = [max(0, min(255, round(change(level)))) for level in range(256)]
    return picture.point(levels)  # pyright: ignore[reportUnknownMemberType]


_METHODS = {
    "nearest-exact": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "area": Image.Resampling.BOX,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
    "bislerp": Image.Resampling.BICUBIC,
}


async def empty_image(call: Call) -> Result:
    """EmptyImage: one colour."""
    color = call.whole("color")
    rgb = color >> 16 & 255, color >> 8 & 255, color & 255
    picture = Image.new("RGB", (call.whole("width", 512), call.whole("height", 512)), rgb)
    return Result((Images((picture,) * call.whole("batch_size", 1)),))


async def load_image(call: Call) -> Result:
    """LoadImage and similar classes. Raises what ComfyUI raises for a file that is no image (T03)."""
    picture, alpha = await call.context.run_sync(_load, call)
    return Result((Images((picture,)), Mask((alpha,))))


def _load(call: Call) -> tuple[Image.Image, Image.Image]:
    name = call.words("image")
    path = call.context.files.annotated(name)
    try:
        if path is None:
            raise NodeFailed("FileNotFoundError", f"[Errno 2] No such file or directory: '/comfyui/input/{name}'")
        with Image.open(path) as opened:
            whole = ImageOps.exif_transpose(opened).convert("RGBA")
    except UnidentifiedImageError as error:
        raise NodeFailed("PIL.UnidentifiedImageError", f"cannot identify image file '/comfyui/input/{name}'") from error
    return whole.convert("RGB"), ImageOps.invert(whole.getchannel("A"))


async def vae_encode(call: Call) -> Result:
    """VAEEncode and similar classes: the images, cropped to multiples of 8 pixels."""
    pictures = call.pictures()
    width, height = (max(8, side // 8 * 8) for side in pictures[0].size)
    cropped = tuple(picture.crop((0, 0, width, height)) for picture in pictures)
    return Result((Latent(width, height, len(cropped), cropped),))


async def pad_for_outpaint(call: Call) -> Result:
    """ImagePadForOutpaint: a grey frame, and a mask that is white there and fades into the images."""
    return await call.context.run_sync(_padded, call)


def _padded(call: Call) -> Result:
    pictures = call.pictures()
    width, height = pictures[0].size
    left, top, right, bottom = (call.whole(side) for side in ("left", "top", "right", "bottom"))
    size = left + width + right, top + height + bottom
    feathering = max(1, min(call.whole("feathering", 40), width // 2, height // 2))
    kept = Image.new("L", (width, height), 255)
    for step in range(feathering):
        # Only edges beyond which something is added fade.
        box = (
            step if left else 0,
            step if top else 0,
            width - 1 - (step if right else 0),
            height - 1 - (step if bottom else 0),
        )
        ImageDraw.Draw(kept).rectangle(box, outline=None, fill=round(255 * ((step + 1) / feathering) ** 2))
    mask = Image.new("L", size, 255)
    mask.paste(ImageOps.invert(kept), (left, top))
    larger: list[Image.Image] = []
    for picture in pictures:
        frame = Image.new("RGB", size, (128, 128, 128))
        frame.paste(picture, (left, top))
        larger.append(frame)
    return Result((Images(tuple(larger)), Mask((mask,))))


async def set_noise_mask(call: Call) -> Result:
    """SetLatentNoiseMask: samplers change only what is white in the mask."""
    latent, mask = call.first(Latent) or Latent(512, 512), call.get("mask", Mask)
    white = resized(mask.batch[0], (latent.width, latent.height)) if mask is not None else None
    return Result((structs.replace(latent, mask=white),))


async def vae_decode(call: Call) -> Result:
    """VAEDecode: the latent's images, or plain grey ones if no sampler has run."""
    latent = call.first(Latent) or Latent(512, 512)
    blank = Image.new("RGB", (latent.width, latent.height), (128, 120, 112))
    return Result((Images(latent.pictures or (blank,) * latent.batch),))


async def empty_latent(call: Call) -> Result:
    """EmptyLatentImage and similar classes, including those for videos, which have a length."""
    width, height = call.whole("width", 512), call.whole("height", 512)
    if length := call.whole("length"):
        return Result((Latent(width, height, length * call.whole("batch_size", 1), moving=True),))
    return Result((Latent(width, height, call.whole("batch_size", 1)),))


async def image_scale(call: Call) -> Result:
    """ImageScale: a side of 0 follows the other one."""
    width, height = call.pictures()[0].size
    requested = call.whole("width"), call.whole("height")
    size = (
        requested[0] or max(1, round(width * requested[1] / height)),
        requested[1] or max(1, round(height * requested[0] / width)),
    )
    if requested == (0, 0):
        size = width, height
    method = _METHODS.get(call.words("upscale_method"), Image.Resampling.BICUBIC)
    if call.words("crop") == "center":
        return await _each(call, lambda picture: ImageOps.fit(picture, size, method))
    return await _each(call, lambda picture: resized(picture, size, method))


async def image_scale_by(call: Call) -> Result:
    """ImageScaleBy."""
    return await _scaled(call, call.number("scale_by", 1.0))


async def upscale_with_model(call: Call) -> Result:
    """ImageUpscaleWithModel: scales by 4, as most of these models do."""
    return await _scaled(call, 4.0)


async def invert(call: Call) -> Result:
    """ImageInvert."""
    return await _each(call, ImageOps.invert)


async def image_batch(call: Call) -> Result:
    """ImageBatch: the second batch is scaled to the size of the first."""
    batch1, batch2 = call.get("image1", Images), call.get("image2", Images)
    first = batch1.batch if batch1 else call.pictures()
    more = batch2.batch if batch2 else ()
    return Result((Images((*first, *(ImageOps.fit(picture, first[0].size) for picture in more))),))


async def repeat_batch(call: Call) -> Result:
    """RepeatImageBatch."""
    return Result((Images(call.pictures() * call.whole("amount", 1)),))


async def blend(call: Call) -> Result:
    """ImageBlend, in its normal mode."""
    batch1, batch2 = call.get("image1", Images), call.get("image2", Images)
    first = batch1.batch[0] if batch1 else call.pictures()[0]
    other = resized(batch2.batch[0], first.size) if batch2 else first
    return Result((Images((Image.blend(first, other, call.number("blend_factor", 0.5)),)),))


async def latent_upscale(call: Call) -> Result:
    """LatentUpscale and LatentUpscaleBy."""
    latent = call.first(Latent) or Latent(512, 512)
    if factor := call.number("scale_by"):
        size = round(latent.width * factor / 8) * 8, round(latent.height * factor / 8) * 8
    else:
        size = call.whole("width") or latent.width, call.whole("height") or latent.height
    pictures = latent.pictures
    grown = None if pictures is None else tuple(resized(picture, size) for picture in pictures)
    return Result((Latent(*size, latent.batch, grown, latent.moving),))


async def repeat_latent(call: Call) -> Result:
    """RepeatLatentBatch."""
    latent, amount = call.first(Latent) or Latent(512, 512), call.whole("amount", 1)
    pictures = None if latent.pictures is None else latent.pictures * amount
    return Result((Latent(latent.width, latent.height, latent.batch * amount, pictures),))


async def _scaled(call: Call, factor: float) -> Result:
    method = _METHODS.get(call.words("upscale_method"), Image.Resampling.LANCZOS)

    def scaled(picture: Image.Image) -> Image.Image:
        size = max(1, round(picture.width * factor)), max(1, round(picture.height * factor))
        return resized(picture, size, method)

    return await _each(call, scaled)


async def _each(call: Call, change: Callable[[Image.Image], Image.Image]) -> Result:
    pictures = call.pictures()
    return Result((Images(await call.context.run_sync(lambda: tuple(map(change, pictures)))),))
