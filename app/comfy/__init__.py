"""The back door, to the machines: HTTP, the websocket, and what its frames mean."""
