"""The side of a front: to it, a ComfyUI of a worker is one more server."""
