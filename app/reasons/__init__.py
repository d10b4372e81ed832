"""Why something was refused or went wrong, as data, which `app.texts` turns into sentences: of jobs, servers and files.

Other packages have the reasons of their own level: `app.workflows.reasons`, `app.service.reasons`.
"""

from msgspec import Struct


class Reason(Struct, frozen=True, tag=True):
    """Why something was refused or went wrong."""
