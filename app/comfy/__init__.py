"""The client for ComfyUI: HTTP, the websocket, and the meaning of its frames."""
