"""ComfyUI's websocket: connect, read frames, decode them into events."""
