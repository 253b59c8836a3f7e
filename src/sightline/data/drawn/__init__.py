"""Scenes drawn by program: pictures with exact boxes, from nothing but a seed."""

from sightline.data.drawn.quickstart import QUICKSTART_KINDS
from sightline.data.drawn.scene import KINDS, DrawnScene, draw_scene
from sightline.data.drawn.starter import STARTER_KINDS

__all__ = ["KINDS", "QUICKSTART_KINDS", "STARTER_KINDS", "DrawnScene", "draw_scene"]
