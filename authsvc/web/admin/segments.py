"""Routing by the segments of the path as they were sent.

A role's name may hold a slash and a permission any visible character, so a segment is
decoded after the path was split, never before: ``/roles/shop%2Fadmin`` is one role.
"""

import re
from typing import Any
from urllib.parse import unquote

from starlette.routing import Match, Route
from starlette.types import Scope

from authsvc.web.admin.operations import PREFIX

_WELL_FORMED = re.compile(r"(?:[^%]|%[0-9A-Fa-f]{2})*+")


class SegmentRoute(Route):
    """A route whose parameters are whole segments, percent-decoded once."""

    def __init__(self, path: str, endpoint: Any, **options: Any) -> None:
        super().__init__(path, endpoint, **options)
        self._template = path.split("/")[1:]
        # The name in logs and metrics, where "/users" alone would say too little.
        self.path = PREFIX + path

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Tell whether the path fits, and whether the method does."""
        if scope["type"] != "http":
            return Match.NONE, {}
        segments = _relative_segments(scope)
        if segments is None or len(segments) != len(self._template):
            return Match.NONE, {}
        found = dict(scope.get("path_params", {}))
        for expected, segment in zip(self._template, segments, strict=True):
            if expected.startswith("{"):
                if not segment:
                    return Match.NONE, {}
                found[expected.strip("{}")] = segment
            elif expected != segment:
                return Match.NONE, {}
        child_scope = {"endpoint": self.endpoint, "path_params": found}
        fits = self.methods is None or scope["method"] in self.methods
        return (Match.FULL if fits else Match.PARTIAL), child_scope


def _relative_segments(scope: Scope) -> list[str] | None:
    """Return the decoded segments below the mount; None when they can not be told."""
    raw: bytes | None = scope.get("raw_path")
    if raw is None:
        return None
    try:
        text = raw.partition(b"?")[0].decode("ascii")
        if not _WELL_FORMED.fullmatch(text):
            return None
        segments = [unquote(segment, errors="strict") for segment in text.split("/")[1:]]
    except UnicodeDecodeError:
        return None
    mounted = scope.get("root_path", "").split("/")[1:]
    if segments[: len(mounted)] != mounted:
        return None
    return segments[len(mounted) :]
