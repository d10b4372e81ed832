"""Files: as they come in with requests, and as the fake's own file server gives them out."""

from __future__ import annotations

import io
from dataclasses import dataclass, field

from PIL import Image

from tests.discord.fake.wire import Flakes, Payload


@dataclass(frozen=True)
class Upload:
    """A file of a request."""

    filename: str
    content: bytes
    media_type: str | None = None


@dataclass
class Cdn:
    """Keeps every file that anybody has uploaded, by path. `base` is the fake's address once it listens."""

    flakes: Flakes
    base: str = ""
    files: dict[str, Upload] = field(default_factory=dict[str, Upload])
    redirects: dict[str, str] = field(default_factory=dict[str, str])
    """Addresses of files, without their queries, that only lead on to others."""

    def put(self, channel: str, name: str, upload: Upload) -> Payload:
        """Keep a file; the attachment object that tells where."""
        ident = self.flakes.new_prompt_id()
        path = f"/attachments/{channel}/{ident}/{name}"
        self.files[path] = upload
        kind, size = _picture(upload.content)
        return {
            "id": ident,
            "filename": name,
            "size": len(upload.content),
            # The real one signs its addresses, so nobody may cut the query off or add to it.
            "url": f"{self.base}{path}?ex=1&is=1&hm=1",
            "proxy_url": f"{self.base}{path}?ex=1&is=1&hm=1",
            "content_type": kind or upload.media_type or "application/octet-stream",
        } | ({"width": size[0], "height": size[1]} if size else {})

    def content(self, url: str) -> bytes:
        """What lies at an attachment's address."""
        return self.files[url.removeprefix(self.base).partition("?")[0]].content


def _picture(content: bytes) -> tuple[str | None, tuple[int, int] | None]:
    try:
        with Image.open(io.BytesIO(content)) as image:
            return image.get_format_mimetype(), image.size
    except Exception:  # noqa: BLE001
        # Pillow raises nearly everything for damaged files, and Discord accepts them all.
        return None, None
