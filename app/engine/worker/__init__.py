"""The side of a worker: it does what fronts ask of its ComfyUI servers, and keeps nothing."""
