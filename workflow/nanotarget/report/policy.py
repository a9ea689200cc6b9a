"""What a browser may do with a page: show its own style and pictures, run its own script, fetch nothing."""

from __future__ import annotations

import base64
import hashlib


def content_policy(style: str, script: str | None = None) -> str:
    """Return the content-security policy of a page of one file.

    Args:
        style: text of its style element.
        script: text of its only script; without one nothing may run.
    """
    runs = "'none'" if script is None else _hashed(script)
    return (
        "default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; "
        f"style-src {_hashed(style)}; script-src {runs}"
    )


def _hashed(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"
