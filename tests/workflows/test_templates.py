"""Every template of ComfyUI's browser becomes a graph that the server accepts."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from random import Random

from app.core.jobs.progress import title
from app.events import JobId
from app.ports import Json
from app.texts.reasons.text import reason_text
from app.workflows.api_graph import inputs
from app.workflows.binding.bind import bind
from app.workflows.discovery.discover import Discovery, discover
from app.workflows.editor_format.convert import convert
from app.workflows.load import Workflow
from app.workflows.manifest.writer import write
from app.workflows.model import Slot, WorkflowError
from app.workflows.offers.audit import audit
from app.workflows.reasons.checks import IgnoredInput, MissingModel, MissingServerFile, PaidNode
from tests.mutate import damage_json
from tests.workflows import server_rules
from tests.workflows.expected_slots import expected_slots
from tests.workflows.templates import (
    FOREIGN,
    converted,
    convertible,
    definitions,
    every_template,
    object_info,
    read,
    sample,
)

NO_PROMPT = (
    frozenset(
        f"3d_{name}"
        for name in [
            *("hunyuan3d-v2.1", "hunyuan3d_image_to_model", "hunyuan3d_multiview_to_model"),
            *("hunyuan3d_multiview_to_model_turbo", "moge_panorama_to_mesh", "moge_perspective_to_mesh"),
            "triposplat_image_to_gaussian_splat",
        ]
    )
    | frozenset(
        f"api_{name}"
        for name in [
            *("bria_eraser", "bria_remove_video_background", "bria_remove_video_background_transparent"),
            *("bria_video_green_screen", "bria_video_replace_background", "elevenLabs_speech_to_text"),
            *(
                "elevenlabs_speech_to_speech",
                "elevenlabs_voice_isolation",
                "flux_erase_image",
                "heygen_video_translate",
            ),
            *("hunyuan3d_image_to_model", "hunyuan3d_model2uv", "hunyuan3d_part", "hunyuan3d_retopo_uv"),
            *("hunyuan3d_smart_topology", "magnific_image_upscale_precise", "magnific_skin_enhancer"),
            *(
                "meshy_image_to_model",
                "meshy_multi_image_to_model",
                "quiver_image_to_svg",
                "rodin3d_gen2_5_image_to_3d",
            ),
            *(
                "rodin_gen2",
                "rodin_image_to_model",
                "rodin_multiview_to_model",
                "sync_so_lip_sync_video",
                "topaz_astra2",
            ),
            *("topaz_image_enhance_wonder3_5", "topaz_starlight_precise25", "topaz_video_enhance"),
            *("tripo3_0_image_to_model", "tripo3_1_image_to_model", "tripo3_1_multiview_to_model"),
            *("tripo_image_to_model", "tripo_multiview_to_model", "tripo_p1_image_to_model", "tripo_p1_mv_to_model"),
            *("wavespeed_flshvsr_video_upscale", "wavespeed_image_upscale", "wavespeed_seedvr2_ai_image_fix"),
        ]
    )
    | frozenset(
        f"utility_{name}"
        for name in [
            *("birefnet_remove_background", "bria_remove_image_background", "depth_anything3_image_depth_estimation"),
            *("depth_anything3_video_depth_estimation", "hitpaw_general_image_enhance", "hitpaw_video_enhance"),
            *("image_stitch", "interpolation_image_upscale", "moge_depth_estimation", "recraft_creative_image_upscale"),
            *("recraft_crisp_image_upscale", "sdpose_multi_person", "sdpose_multi_person_video"),
            *("sdpose_ood_image_to_pose", "sdpose_ood_video_to_pose_map", "seedvr2_3b_int8_upscale_image"),
            *("seedvr2_3b_int8_upscale_video", "seedvr2_7b_int8_upscale_image", "video_frame_interpolation"),
        ]
    )
    | {
        *("basic_datatype_conversion", "basic_image_color_adjustment", "basic_mask_operations_and_compositing"),
        *("image_lotus_depth_v1_1", "utility-bria_remove_video_background", "utility-gan_upscaler"),
    }
)
"""Templates in whose graphs there is no text to write: they only convert, cut out, enlarge or measure."""


def test_the_package_has_the_templates_of_the_server() -> None:
    assert len(every_template()) == 506


def test_every_template_converts() -> None:
    refused: dict[str, str] = {}
    for name in sample():
        try:
            converted(name)
        except WorkflowError as error:
            refused[name] = reason_text(error.reason)
    assert refused.keys() == FOREIGN.intersection(sample()), refused


def test_the_server_accepts_every_converted_template() -> None:
    errors = {name: server_rules.verdicts(converted(name).graph, object_info()) for name in convertible()}
    assert {name: verdicts for name, verdicts in errors.items() if verdicts} == {}


def test_values_are_those_that_the_editor_saved_by_name() -> None:
    """Since 2026 the editor saves values twice, in a row and by name; conversion reads the row."""
    compared = 0
    for name in every_template():
        content = read(name)
        assert isinstance(content, dict)
        graph = converted(name).graph if name not in FOREIGN else {}
        for node, named in named_values(content):
            if node in graph:
                sent = inputs(graph, node)
                own = {
                    field: value for field, value in named.items() if not isinstance(sent.get(field, []), (list, dict))
                }
                assert own.items() <= sent.items(), (name, node)
                compared += len(own)
    assert compared > 100


def named_values(content: dict[str, Json]) -> Iterator[tuple[str, dict[str, Json]]]:
    """The values by name of each node of the workflow itself; those inside of subgraphs may be set from outside."""
    nodes = content["nodes"]
    for entry in nodes if isinstance(nodes, list) else ():
        if isinstance(entry, dict) and isinstance(named := entry.get("widgets_values_named"), dict):
            yield str(entry["id"]), named


@cache
def found(name: str) -> Discovery:
    graph = converted(name)
    return discover(
        graph.graph,
        definitions(),
        app_inputs=graph.app_inputs,
        app_outputs=graph.app_outputs,
        together=graph.together,
        apart=True,
    )


def test_every_template_that_has_a_prompt_has_a_slot_for_it() -> None:
    without = {name for name in convertible() if "prompt" not in {slot.name for slot in found(name).slots}}
    assert without == NO_PROMPT.intersection(convertible())


def test_the_slots_are_those_that_a_reader_of_the_graph_finds() -> None:
    table = expected_slots()
    assert len(table) > 80
    for name, expected in table.items():
        slots = {slot.name: {f"{target.node}.{target.input}" for target in slot.targets} for slot in found(name).slots}
        assert {slot: slots.get(slot) for slot in expected} == expected, name


def test_texts_that_instruct_a_language_model_are_not_offered() -> None:
    for name in convertible():
        graph = converted(name).graph
        for slot in found(name).slots:
            titles = [title(graph, target.node).lower() for target in slot.targets if slot.kind == "text"]
            assert not any("system" in node_title for node_title in titles), (name, slot.name)


def test_the_audit_misses_nothing_but_files_and_names_what_is_paid_for() -> None:
    for name in convertible():
        findings = audit(converted(name).graph, found(name).slots, definitions())
        errors = {type(finding.reason) for finding in findings if finding.severity == "error"}
        assert errors <= {MissingModel, MissingServerFile, PaidNode}, name
        ignored = [finding for finding in findings if isinstance(finding.reason, IgnoredInput)]
        assert ignored == [], name


def test_a_filled_template_is_accepted_too(tmp_path: Path) -> None:
    random, file = Random(2), tmp_path / "a.png"
    file.write_bytes(b"")
    for name in convertible():
        workflow = Workflow(name=name, graph=converted(name).graph, slots=found(name).slots)
        values = {slot.name: given(slot, random, file) for slot in workflow.slots}
        request = bind(workflow, JobId("j"), values, rng=random, folder="out", definitions=definitions())
        assert server_rules.verdicts(request.graph, object_info()) == [], (name, values)


def given(slot: Slot, random: Random, file: Path) -> Json:
    """A value that a person may give."""
    low, high = slot.minimum or 0, slot.maximum if slot.maximum is not None else 2048
    match slot.kind:
        case "integer" | "seed":
            return random.randint(int(low), int(high))
        case "number":
            return random.uniform(low, min(high, 100))
        case "choice":
            return random.choice(slot.choices)
        case "image" | "video" | "audio":
            return str(file)
        case "model":
            return slot.default
        case _:
            return "yes" if slot.kind == "boolean" else "a cat"


def test_a_damaged_template_is_a_workflow_or_a_sentence() -> None:
    random = Random(17)
    outcomes = Counter[bool]()
    for number in range(30):
        content = read(random.choice(every_template()))
        for _ in range(random.randint(1, 8)):
            content = damage_json(content, random)
        try:
            graph = convert(content, definitions())
        except WorkflowError as error:
            outcomes[bool(reason_text(error.reason))] += 1
            continue
        discovery = discover(graph.graph, definitions(), together=graph.together, apart=True)
        assert tomllib.loads(write(f"damaged-{number}", graph.graph, discovery))
        audit(graph.graph, discovery.slots, definitions())
        outcomes[False] += 1
    assert min(outcomes[True], outcomes[False]) > 3


def test_no_template_comes_with_its_export_in_api_format() -> None:
    """If this fails, the package has exports with which conversions can be compared.

    Some files keep the prompt of another workflow from which they were made: its nodes are the same in all of them.
    """
    extras = [content.get("extra") for name in every_template() if isinstance(content := read(name), dict)]
    prompts = [extra["prompt"] for extra in extras if isinstance(extra, dict) and "prompt" in extra]
    nodes = [
        {node: entry["class_type"] for node, entry in prompt.items() if isinstance(entry, dict)}
        for prompt in prompts
        if isinstance(prompt, dict)
    ]
    assert len(nodes) > 1
    assert all(each == nodes[0] for each in nodes)
