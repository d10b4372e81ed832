"""An embedded ComfyUI: one engine, one face in memory and one on a real port."""
