"""Rendering: packed drawings in, augmented pictures out, the same on every processor."""

from batch_server.rendering.renderer import RENDERER_VERSION, draw
from batch_server.rendering.self_test import self_test_digest

__all__ = ["RENDERER_VERSION", "draw", "self_test_digest"]
