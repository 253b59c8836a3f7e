"""The four things that quickstart learns to find, none of them known to the starter weights."""

from __future__ import annotations

import numpy as np

from sightline.data.drawn.object import Draw
from sightline.data.drawn.pen import Pen, arc, box, curve, mix

BLACK = (25, 25, 30)


def draw_duck(pen: Pen, rng: np.random.Generator) -> None:
    color = mix((255, 205, 30), pen.palette.main, rng.uniform(0, 0.2))
    pen.fill(
        curve(
            [
                (-0.95, -0.1),
                (-0.5, 0.1),
                (0.2, 0.0),
                (0.75, 0.2),
                (0.7, 0.7),
                (0.2, 0.92),
                (-0.5, 0.9),
                (-0.85, 0.5),
            ]
        ),
        color,
    )
    pen.disc(0.4, -0.42, 0.5, color)
    pen.fill(curve([(0.8, -0.5), (0.98, -0.3), (0.8, -0.2)]), (240, 110, 20))
    pen.disc(0.52, -0.55, 0.08, BLACK)


def draw_cone(pen: Pen, rng: np.random.Generator) -> None:
    color = mix((245, 100, 20), pen.palette.main, rng.uniform(0, 0.2))
    pen.fill(box(-0.85, 0.7, 0.85, 0.95, radius=0.08), color)
    pen.fill([(-0.1, -0.95), (0.1, -0.95), (0.6, 0.75), (-0.6, 0.75)], color)
    pen.fill([(-0.26, -0.4), (0.26, -0.4), (0.36, -0.05), (-0.36, -0.05)], (245, 245, 245))


def draw_robot(pen: Pen, rng: np.random.Generator) -> None:
    pen.fill(box(-0.5, -0.85, 0.5, -0.15, radius=0.1), pen.palette.main)
    pen.fill(box(-0.6, -0.1, 0.6, 0.9, radius=0.1), pen.palette.main)
    for x in (-0.22, 0.22):
        pen.disc(x, -0.5, 0.12, pen.palette.accent)


def draw_teapot(pen: Pen, rng: np.random.Generator) -> None:
    pen.line(arc(-0.6, 0.2, 0.3, 0.35, 90, 270), 0.12, pen.palette.main)
    pen.line(curve([(0.4, 0.4), (0.65, 0.2), (0.9, -0.3)], closed=False), 0.16, pen.palette.main)
    pen.disc(0, 0.25, 0.65, pen.palette.main)


QUICKSTART_KINDS: dict[str, Draw] = {
    "duck": draw_duck,
    "cone": draw_cone,
    "robot": draw_robot,
    "teapot": draw_teapot,
}
