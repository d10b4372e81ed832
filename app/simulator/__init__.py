"""A simulated ComfyUI: one engine, with an interface in memory and one on a real port."""
