"""Why a graph cannot start from the picture that it made."""

from __future__ import annotations

from typing import TypeAlias

from app.reasons import Reason


class NotOnePicture(Reason, frozen=True):
    """The graph saves pictures in none or in several places, so that it is not known which one a result is from."""

    places: int


class PictureRearranged(Reason, frozen=True):
    """The picture is not what a VAE decoded: `node` made something else of it."""

    node: str


class NoSampler(Reason, frozen=True):
    """What is decoded does not come from a sampler that is understood, but from `node`."""

    node: str


class UnknownLatent(Reason, frozen=True):
    """The sampler starts from a latent of `node`, which an encoded picture cannot replace."""

    node: str


class SampledInParts(Reason, frozen=True):
    """The sampler `node` continues or leaves a part of the steps to another one."""

    node: str


class NoStrength(Reason, frozen=True):
    """It cannot be set how much the sampler `node` changes."""

    node: str


class UnknownSize(Reason, frozen=True):
    """The size at which the picture was sampled is not known."""


PictureGraphReason: TypeAlias = (
    NotOnePicture | PictureRearranged | NoSampler | UnknownLatent | SampledInParts | NoStrength | UnknownSize
)
"""Why a picture cannot be varied or extended by the graph that made it: one struct for each kind of refusal."""
