"""Every template of ComfyUI's browser becomes a graph that the server accepts."""

from __future__ import annotations

from app.texts.reasons import reason_text
from app.workflows.model import WorkflowError
from tests.workflows.templates import FOREIGN, converted, every_template, sample

NOT_YET = frozenset(
    [
        "api_bria_eraser",
        "api_bria_genfill",
        "api_bytedance_seedream_5_0_pro_image_edit",
        "api_hunyuan3d_model2uv",
        "api_hunyuan3d_part",
        "api_hunyuan3d_retopo_uv",
        "api_hunyuan3d_smart_topology",
        "image_anima_lllite_image_inpainting",
        "video_wan2_1_infinitetalk",
    ]
)
"""Templates that are refused, although ComfyUI's editor sends them."""


def test_the_package_has_the_templates_of_the_server() -> None:
    assert len(every_template()) == 506


def test_every_template_converts() -> None:
    refused: dict[str, str] = {}
    for name in sample():
        try:
            converted(name)
        except WorkflowError as error:
            refused[name] = reason_text(error.reason)
    assert refused.keys() == (FOREIGN | NOT_YET).intersection(sample()), refused
