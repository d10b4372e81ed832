"""Which inputs people set in templates of every family, written by reading their graphs.

A template has one line for each slot: its name, and the inputs that it fills. Other slots may be anything.
"""

from __future__ import annotations

TABLE = """
Image_capybara_v0_1_image_edit
    prompt 103:44.text
    negative 103:93.text
    seed 103:25.noise_seed
    image 80.image
api_anthropic_claude
    prompt 5.prompt
    image 2.image
api_beeble_switchx_image_edit
    prompt 7.prompt
    seed 7.seed
    image 10.image
api_bfl_flux1_expand_image
    prompt 7.prompt
    seed 7.seed
    image 17.image
api_bytedance_flf2v
    prompt 34.prompt
    seed 34.seed
    first_frame 35.image
    last_frame 36.image
    resolution 34.resolution
    aspect_ratio 34.aspect_ratio
    duration 34.duration
api_elevenLabs_speech_to_text
    audio 219.audio
api_elevenlabs_text_to_dialogue
    prompt 218.inputs.text1
    prompt2 218.inputs.text2
api_flux2
    prompt 11.prompt
    width 11.width
    height 11.height
    seed 11.seed
api_google_gemini
    prompt 19.prompt
    image 2.image
api_grok_image_edit
    prompt 8.prompt
    image 6.image
    resolution 8.resolution
    aspect_ratio 8.aspect_ratio
api_happyhorse1_0_i2v
    prompt 13.model.prompt
    resolution 13.model.resolution
    duration 13.model.duration
    seed 13.seed
    image 14.image
api_heygen_avatar_video
    prompt 17.speech.text
    seed 17.seed
api_ideogram_p_image_t2i
    prompt 12.high_level_description
    seed 11.seed
api_king_o3_t2v
    prompt 15.prompt
    aspect_ratio 15.aspect_ratio
    duration 15.duration
    resolution 15.resolution
api_kling_motion_control
    prompt 8.prompt
    image 11.image
    video 2.file
api_krea2_style_reference
    prompt 1.prompt
    aspect_ratio 1.model.aspect_ratio
    resolution 1.model.resolution
    seed 1.seed
api_ltx2_5_flf2v
    prompt 6.prompt
    duration 6.model.duration
    resolution 6.model.resolution
    seed 6.seed
api_minimax_h3_flf2v
    prompt 28.model.prompt
    resolution 28.model.resolution
    duration 28.model.duration
    first_frame 15.image
    last_frame 16.image
api_nano_banana_2_lite_image_edit
    prompt 3.prompt
    aspect_ratio 3.model.aspect_ratio
    resolution 3.model.resolution
    image 8.image
api_openai_chat
    prompt 3.prompt
    image 5.image
api_openrouter_gpt5_6_luna
    prompt 5.value
    image 2.image
api_pixverse_i2v
    prompt 4.prompt
    negative 4.negative_prompt
    image 6.image
api_qwen3_image_edit
    prompt 15.model.prompt
    negative 15.model.negative_prompt
    seed 15.seed
    image 14.image
api_recraft_image_gen_with_color_control
    prompt 3.prompt
api_runway_aleph2_video_edit
    prompt 1.prompt
    video 4.file
api_seedance2_0_flf2v
    prompt 1.model.prompt
    resolution 1.model.resolution
    aspect_ratio 1.model.ratio
    duration 1.model.duration
    first_frame 3.image
    last_frame 4.image
api_sonilo_t2m
    prompt 726.prompt
    duration 726.duration
api_veo3
    prompt 14.prompt
    negative 14.negative_prompt
    seed 14.seed
    aspect_ratio 14.aspect_ratio
api_vidu_image_to_video
    prompt 20.prompt
    image 22.image
api_wan2_7_t2v
    prompt 13.model.prompt
    negative 13.model.negative_prompt
    seed 13.seed
api_wan_image_to_video
    prompt 10.prompt
    negative 10.negative_prompt
    image 11.image
audio_ace_step1_5_xl_base
    prompt 94.tags
    lyrics 94.lyrics
    seed 109.value
    seconds 98.seconds
    steps 3.steps
audio_minimax_music_3
    prompt 37:13.caption
    lyrics 37:13.lyrics
    seed 37:38.seed
    steps 37:9.steps
audio_stable_audio_3_medium
    prompt 52:31.value
    negative 52:7.text
    seed 52:3.seed
    seconds 52:36.value
flux1_dev_uso_reference_image_gen
    prompt 112:6.text
    width 112:110.width
    height 112:110.height
    seed 112:31.seed
    image 47.image
flux1_krea_dev
    prompt 200:195.text
    width 200:196.width
    seed 200:197.seed
flux_canny_model_example
    prompt 23.text
    image 17.image
flux_fill_inpaint_example
    prompt 47:23.text
    image 17.image
    seed 47:3.seed
flux_kontext_dev_basic
    prompt 192:6.text
    image 190.image
flux_redux_model_example
    prompt 6.text
    seed 25.noise_seed
    steps 17.steps
flux_schnell
    prompt 6.text
    negative 33.text
    seed 31.seed
    width 27.width
    height 27.height
hidream_e1_1
    prompt 6.text
    negative 7.text
    image 13.image
hidream_i1_dev
    prompt 16.text
    negative 40.text
    seed 3.seed
    width 53.width
hunyuan_video_text_to_video
    prompt 44.text
    width 45.width
    height 45.height
    frames 45.length
    seed 25.noise_seed
image-qwen_image_edit_2511_lora_inflation
    prompt 89:68.prompt
    negative 89:69.prompt
    image 41.image
    seed 89:65.seed
image_anima_base_v1
    prompt 90:77.text
    negative 90:75.text
    aspect_ratio 91.aspect_ratio
    seed 90:76.seed
image_boogu_image_0_1_edit
    prompt 45:36.prompt
    negative 45:36.negative_prompt
    image 32.image
    seed 45:21.noise_seed
image_chroma1_radiance_text_to_image
    prompt 762:693.text
    negative 762:728.text
    seed 762:718.noise_seed
    width 762:760.width
image_ernie_image
    prompt 88:78.value
    negative 88:72.text
    width 88:71.width 88:92.source
    height 88:71.height 88:93.source
    seed 88:70.seed
image_flux2
    prompt 68:6.text
    seed 68:25.noise_seed
    image 46.image
image_hidream_o1
    prompt 171.value
    negative 188.text
    width 156.width
    height 156.height
    seed 108.noise_seed
    image 213.image
image_ideogram4_t2i
    prompt 98:24.text
    seed 98:18.noise_seed
image_kandinsky5_t2i
    prompt 12:7.text
    negative 12:2.text
    width 12:18.width
    seed 12:8.seed
image_krea2_turbo_int8_image_style_reference
    prompt 30:19.value
    aspect_ratio 71.aspect_ratio
    megapixels 71.megapixels
    image 69.image
image_krea2_turbo_t2i
    prompt 30:19.value
image_lens_t2i
    prompt 34:3.text
    negative 34:7.text
    seed 34:14.noise_seed
image_longcat_image_edit
    prompt 22:4.prompt
    negative 22:5.prompt
    image 13.image
    seed 22:7.seed
image_mage_flow_edit_int8
    prompt 12:5.prompt
    negative 12:5.negative_prompt
    image 7.image
image_netayume_lumina_t2i
    prompt 48:51.value
    width 48:31.width
    seed 48:33.seed
image_newbieimage_exp0_1-t2i
    prompt 48.value
    width 41:31.width
    seed 41:3.seed
image_omnigen2_image_edit
    prompt 6.text
    negative 7.text
    image 16.image
image_pixeldit_t2i
    prompt 44:6.text
    negative 44:30.text
    aspect_ratio 46.aspect_ratio
image_qwen_image_edit_2511
    prompt 170:151.prompt
    negative 170:149.prompt
    image 41.image
    image2 83.image
image_z_image
    prompt 76:67.text
    negative 76:71.text
    aspect_ratio 94.aspect_ratio
    seed 76:69.seed
llm_gemma4_text_gen
    prompt 1.prompt
    image 2.image
    audio 5.audio
llm_qwen3vl_text_gen
    prompt 6.prompt
    image 8.image
ltxv_image_to_video
    prompt 6.text
    negative 7.text
    width 77.width
    height 77.height
    frames 77.length
    seed 72.noise_seed
    image 78.image
sdxl_simple_example
    negative 7.text 16.text
    width 5.width
    height 5.height
sdxlturbo_example
    prompt 6.text
    negative 7.text
    seed 13.noise_seed
    steps 22.steps
template_contact_sheet-step_1.app
    prompt 125.value
    aspect_ratio 3.aspect_ratio
template_sugar_coated_gummy_style_qwen
    prompt 76:80.string_a
    negative 76:7.text
    width 76:58.width
templates-product_ad-v2.0
    prompt 15.value
    product_image 2.image
text_to_video_wan
    prompt 6.text
    negative 7.text
    width 40.width
    frames 40.length
    seed 3.seed
video_bernini_r_image_editing
    prompt 76:120.value
    negative 76:4.text
    image 114.image
video_humo
    prompt 6.text
    negative 7.text
    width 65.width
    frames 65.length
    audio 58.audio
    image 49.image
video_ltx2_3_flf2v
    prompt 129:128.text
    negative 129:112.text
    seconds 129:102.value
    seed 129:100.noise_seed
video_ltx2_3_ic_lora
    prompt 129:209.prompt 129:211.on_false
    negative 129:112.text
    width 129:113.value
    height 129:98.value
video_ltx2_3_id_lora
    prompt 340:319.value
    negative 340:314.text
    width 340:330.value
    height 340:324.value
    seconds 340:331.value
    audio 276.audio
    image 269.image
video_minimax_h3_i2v
    prompt 105:104.prompt
    aspect_ratio 115.aspect_ratio
    seconds 105:111.value
    seed 105:15.noise_seed
    image 114.image
video_wan_animate2
    prompt 261:3.text
    negative 261:4.text
    frames 261:247.length
    video 240.file
    image 189.image
video_wan_dancer
    prompt 696:685.string
    negative 696:629.text
    width 696:398.value
    height 696:400.value
video_wan2_2_14B_t2v
    prompt 128:89.text
    negative 128:72.text
    width 128:74.width
    height 128:74.height
    seconds 128:126.value
    seed 128:81.noise_seed
wan2.1_flf2v_720_f16
    prompt 6.text
    negative 7.text
    width 83.width
    height 83.height
    frames 83.length
    start_image 52.image
    end_image 72.image
wan2.1_fun_control
    prompt 6.text
    negative 7.text
    frames 55.length
    video 80.file
    image 52.image
"""


def expected_slots() -> dict[str, dict[str, set[str]]]:
    """The inputs of each slot of each template, as `node.input`."""
    table: dict[str, dict[str, set[str]]] = {}
    slots: dict[str, set[str]] = {}
    for line in TABLE.strip().splitlines():
        if line.startswith(" "):
            name, *places = line.split()
            slots[name] = set(places)
        else:
            slots = table.setdefault(line, {})
    return table
