"""The four things that quickstart learns to find, none of them known to the starter weights."""

from __future__ import annotations

import numpy as np

from sightline.data.drawn.object import Draw
from sightline.data.drawn.pen import Color, Pen, Points, arc, box, curve, mix

WHITE = (250, 250, 246)
BLACK = (28, 28, 36)
ORANGE = (244, 122, 32)
# Paint that such things really come in; each specimen's is mixed a little off.
_ENAMELS: tuple[Color, ...] = (
    (46, 134, 171),
    (226, 88, 79),
    (67, 160, 113),
    (142, 110, 190),
    (236, 232, 220),
    (232, 152, 170),
    (62, 76, 120),
)
_METALS: tuple[Color, ...] = (
    (150, 168, 186),
    (88, 178, 190),
    (222, 120, 92),
    (120, 150, 214),
    (150, 196, 120),
    (232, 190, 84),
)


def _paint(pen: Pen, rng: np.random.Generator, paints: tuple[Color, ...]) -> Color:
    """One of `paints` with a touch of the specimen's random colour; sets a matching outline."""
    color = mix(paints[int(rng.integers(len(paints)))], pen.palette.main, rng.uniform(0, 0.22))
    pen.ink, pen.ink_width = mix(color, (20, 16, 30), 0.68), rng.uniform(0.022, 0.04)
    return color


def _part(pen: Pen, points: Points, color: Color, depth: float = 0.22) -> None:
    """A filled part that looks round."""
    pen.fill(points, color)
    pen.model(points, mix(color, (40, 14, 50), 0.42), mix(color, WHITE, 0.55), depth)


def _shine(pen: Pen, cx: float, cy: float, rx: float, ry: float, turn: float) -> None:
    """A small bright reflection."""
    pen.fill(arc(cx, cy, rx, ry, turn=turn), WHITE, ink=False)


def draw_duck(pen: Pen, rng: np.random.Generator) -> None:
    """A rubber duck, facing right."""
    color = _paint(pen, rng, ((255, 208, 36), (255, 216, 70), (250, 196, 20)))
    beak = mix(ORANGE, (230, 70, 30), rng.uniform(0, 0.7))
    tail, chest, head = rng.uniform((-0.25, 0.7, 0.4), (0.0, 0.82, 0.47))
    back = [(-0.94, tail), (-0.66, 0.1), (-0.28, 0.06), (0.1, -0.06), (0.55, -0.02)]
    belly = [(chest, 0.3), (chest - 0.06, 0.62), (0.45, 0.88), (-0.1, 0.95), (-0.58, 0.84)]
    body = curve([*back, *belly, (-0.86, 0.46)])
    _part(pen, body, color, 0.34)
    feathers = [(-0.2, 0.2), (0.2, 0.36), (0.1, 0.58), (-0.2, 0.7), (-0.5, 0.62), (-0.72, 0.44)]
    wing = curve([(-0.62, 0.24), *feathers])
    _part(pen, wing, mix(color, ORANGE, 0.12), 0.14)
    lower = curve([(0.6, -0.28), (0.86, -0.22), (0.8, -0.1), (0.6, -0.14)])
    pen.fill(lower, mix(beak, BLACK, 0.25))
    y = -0.92 + head
    _part(pen, arc(0.36, y, head, head * 0.96), color, 0.3)
    _part(
        pen,
        curve(
            [(0.64, y - 0.1), (0.84, y + 0.02), (0.98, y + 0.14), (0.8, y + 0.24), (0.58, y + 0.17)]
        ),
        beak,
        0.1,
    )
    eye = head * rng.uniform(0.2, 0.27)
    pen.fill(arc(0.5, y - 0.14, eye * 0.9, eye * 1.15), WHITE)
    pen.fill(arc(0.53, y - 0.12, eye * 0.6, eye * 0.8), BLACK, ink=False)
    pen.fill(arc(0.55, y - 0.18, eye * 0.22, eye * 0.26), WHITE, ink=False)
    _shine(pen, 0.14, y - 0.2, 0.07, 0.13, 35)
    if rng.random() < 0.3:
        _draw_bow(pen, mix(pen.palette.accent, (210, 40, 60), 0.5))


def _draw_bow(pen: Pen, color: Color) -> None:
    for side in (-1, 1):
        _part(pen, [(0.4, 0.02), (0.4 + side * 0.24, -0.1), (0.4 + side * 0.24, 0.16)], color, 0.08)
    pen.fill(arc(0.4, 0.03, 0.07, 0.08), color)


def draw_cone(pen: Pen, rng: np.random.Generator) -> None:
    """A traffic cone, seen from a little above."""
    color = _paint(pen, rng, ((248, 104, 24), (255, 128, 30), (240, 78, 36)))
    top, foot, tilt, rubber = rng.uniform((0.09, 0.5, 0.1, 0), (0.14, 0.62, 0.17, 1))
    base = mix(color, (50, 50, 56), 1.0 if rubber < 0.35 else 0.12)
    slab = [(-0.96, 0.72), (-0.62, 0.5), (0.62, 0.5), (0.96, 0.72), (0.72, 0.92), (-0.72, 0.92)]
    _part(pen, [(x, min(0.97, y + 0.06)) for x, y in slab], mix(base, BLACK, 0.35), 0.1)
    _part(pen, slab, base, 0.1)

    def level(share: float) -> tuple[float, float, float]:
        """Centre y and radii of the cone's ellipse at `share` of its height from the top."""
        half = top + (foot - top) * share
        return -0.88 + 1.56 * share, half, half * tilt * 1.6

    def belt(upper: float, lower: float) -> Points:
        y1, rx1, ry1 = level(upper)
        y2, rx2, ry2 = level(lower)
        return np.concatenate(
            [arc(0, y1, rx1, ry1, 180, 0, steps=16), arc(0, y2, rx2, ry2, 0, 180, steps=16)]
        )

    _part(pen, belt(0.0, 1.0), color, 0.2)
    stripes = int(rng.integers(1, 4))
    for index in range(stripes):
        start = 0.16 + index * 0.74 / stripes
        _part(pen, belt(start, start + 0.36 / stripes), WHITE, 0.16)
    y, rx, ry = level(0.0)
    pen.fill(arc(0, y, rx, ry), mix(color, BLACK, 0.6))


def draw_robot(pen: Pen, rng: np.random.Generator) -> None:
    """A toy robot with antenna, arms and a panel on its chest."""
    color = _paint(pen, rng, _METALS)
    trim, joint = mix(pen.palette.accent, WHITE, 0.15), mix(color, (70, 74, 90), 0.65)
    wide, head, waist = rng.uniform((0.42, 0.36, 0.3), (0.56, 0.48, 0.5))
    for side in (-1, 1):
        _draw_leg(pen, side * 0.24, color, joint)
        _draw_arm(pen, rng, side, wide, color, joint)
    pen.fill(box(-0.12, -0.2, 0.12, 0.0), joint)
    torso = np.array([(-wide, -0.1), (wide, -0.1), (waist, 0.56), (-waist, 0.56)])
    _part(pen, _soften(torso, 0.1), color, 0.18)
    _draw_chest(pen, rng, trim)
    pen.line([(0, -0.62), (0, -0.84)], 0.05, joint)
    _part(pen, arc(0, -0.87, 0.08, 0.08), trim, 0.08)
    for side in (-1, 1):
        _part(
            pen, box(side * head - 0.07, -0.52, side * head + 0.07, -0.3, radius=0.04), joint, 0.06
        )
    _part(pen, box(-head, -0.7, head, -0.16, radius=rng.uniform(0.08, 0.22)), color, 0.16)
    _draw_face(pen, rng, head, trim)


def _soften(corners: Points, radius: float) -> Points:
    """The polygon with each corner cut by a curve that starts `radius` before it."""
    p = np.asarray(corners, np.float64)
    pieces = []
    for before, here, after in zip(np.roll(p, 1, 0), p, np.roll(p, -1, 0), strict=True):
        start = here + (before - here) * radius / np.linalg.norm(before - here)
        end = here + (after - here) * radius / np.linalg.norm(after - here)
        t = np.linspace(0, 1, 6)[:, None]
        pieces.append((1 - t) ** 2 * start + 2 * t * (1 - t) * here + t**2 * end)
    return np.concatenate(pieces)


def _draw_leg(pen: Pen, x: float, color: Color, joint: Color) -> None:
    pen.fill(box(x - 0.09, 0.5, x + 0.09, 0.8), joint)
    for y in (0.62, 0.71):
        pen.line([(x - 0.08, y), (x + 0.08, y)], 0.015, mix(joint, BLACK, 0.5))
    foot = np.concatenate(
        [arc(x, 0.93, 0.21, 0.19, 180, 360, steps=14), [(x + 0.21, 0.95), (x - 0.21, 0.95)]]
    )
    _part(pen, foot, color, 0.1)


def _draw_arm(
    pen: Pen, rng: np.random.Generator, side: int, wide: float, color: Color, joint: Color
) -> None:
    lift = rng.uniform(-0.5, 0.35)  # the hand against the shoulder: waving or hanging
    shoulder, elbow = (side * (wide + 0.02), 0.04), (side * (wide + 0.22), 0.16 + 0.2 * lift)
    hand = (side * min(0.84, wide + 0.3), 0.16 + lift)
    pen.line([shoulder, elbow, hand], 0.11, joint)
    _part(pen, arc(*shoulder, 0.11, 0.11), color, 0.1)
    turn = np.degrees(np.arctan2(hand[1] - elbow[1], hand[0] - elbow[0]))
    pen.line(arc(*hand, 0.1, 0.1, turn + 40, turn + 320, steps=14), 0.07, color)


def _draw_chest(pen: Pen, rng: np.random.Generator, trim: Color) -> None:
    panel = box(-0.26, 0.03, 0.26, 0.42, radius=0.06)
    _part(pen, panel, (44, 50, 66), 0.08)
    style = int(rng.integers(3))
    if style == 0:
        for x, share in ((-0.14, 0.0), (0.0, 0.4), (0.14, 0.8)):
            _part(pen, arc(x, 0.15, 0.055, 0.055), mix(trim, (255, 220, 90), share), 0.05)
        pen.line([(-0.17, 0.31), (0.17, 0.31)], 0.045, (120, 230, 200))
        return
    if style == 1:
        pen.fill(arc(0, 0.225, 0.155, 0.155), WHITE)
        pen.line([(0, 0.24), (0.09, 0.13)], 0.035, (220, 50, 50))
        return
    wave = [(-0.2, 0.23), (-0.09, 0.23), (-0.04, 0.1), (0.03, 0.35), (0.09, 0.23), (0.2, 0.23)]
    pen.line(wave, 0.035, mix(trim, (110, 255, 170), 0.6))


def _draw_face(pen: Pen, rng: np.random.Generator, head: float, trim: Color) -> None:
    eye, gap = rng.uniform((0.08, 0.16), (0.125, 0.22))
    glow = mix(trim, (130, 240, 255), 0.55)
    visor = rng.random() < 0.5
    if visor:
        _part(pen, box(-head * 0.8, -0.62, head * 0.8, -0.34, radius=0.13), (36, 40, 54), 0.1)
    for side in (-1, 1):
        if not visor:
            pen.fill(arc(side * gap, -0.48, eye * 1.35, eye * 1.35), WHITE)
        pen.fill(arc(side * gap, -0.48, eye, eye), glow if visor else BLACK, ink=False)
        pen.fill(arc(side * gap - 0.03, -0.52, eye * 0.32, eye * 0.32), WHITE, ink=False)
    if rng.random() < 0.5:
        pen.line(arc(0, -0.33, 0.16, 0.08, 20, 160, steps=10), 0.035, BLACK)
        return
    pen.fill(box(-0.17, -0.29, 0.17, -0.21, radius=0.03), WHITE)
    for x in (-0.08, 0.0, 0.08):
        pen.line([(x, -0.28), (x, -0.22)], 0.015, BLACK)


def draw_teapot(pen: Pen, rng: np.random.Generator) -> None:
    """A round teapot, its spout to the right."""
    color = _paint(pen, rng, _ENAMELS)
    trim = WHITE if rng.random() < 0.5 else mix(color, pen.palette.accent, 0.6)
    wide, tall, thick = rng.uniform((0.54, 0.44, 0.1), (0.62, 0.56, 0.14))
    pen.line(arc(-wide - 0.02, 0.16, 0.3, 0.36, 70, 300, steps=20), thick, color)
    outer = [(0.36, 0.4), (0.62, 0.26), (0.7, 0.0), (0.8, -0.2)]
    spout = curve([*outer, (0.98, -0.2), (0.96, 0.06), (0.84, 0.46), (0.5, 0.78)])
    _part(pen, spout, color, 0.14)
    pen.fill(arc(0.89, -0.22, 0.085, 0.035), mix(color, BLACK, 0.6))
    foot = tall + 0.3
    _part(pen, box(-0.32, foot - 0.05, 0.32, foot + 0.09, radius=0.05), color, 0.06)
    body = arc(0, 0.3, wide, tall, steps=40)
    _part(pen, body, color, 0.34)
    _decorate(pen, rng, wide, tall, trim)
    lid = np.concatenate(
        [
            arc(0, 0.3 - tall * 0.78, wide * 0.62, 0.3, 180, 360, steps=20),
            arc(0, 0.3 - tall * 0.78, wide * 0.62, 0.08, 0, 180, steps=12),
        ]
    )
    _part(pen, lid, mix(color, trim, 0.12), 0.14)
    knob = 0.3 - tall * 0.78 - 0.36
    _part(pen, arc(0, knob, 0.11, 0.1), trim, 0.08)
    _shine(pen, -wide * 0.52, 0.3 - tall * 0.42, 0.06, 0.17, 32)


def _decorate(pen: Pen, rng: np.random.Generator, wide: float, tall: float, trim: Color) -> None:
    style = int(rng.integers(4))
    if style == 0:  # dots round the belly
        for x in np.linspace(-0.72, 0.72, 5):
            pen.fill(arc(x * wide, 0.36 - 0.08 * abs(x), 0.07, 0.07), trim, ink=False)
    elif style == 1:  # a flower
        for angle in np.arange(6) * np.pi / 3:
            pen.fill(
                arc(0.17 * np.cos(angle), 0.34 + 0.17 * np.sin(angle), 0.1, 0.1), trim, ink=False
            )
        pen.fill(arc(0, 0.34, 0.09, 0.09), (250, 200, 60), ink=False)
    elif style == 2:  # a band
        y = 0.42
        half = wide * np.sqrt(1 - ((y - 0.3) / tall) ** 2)
        band = np.concatenate(
            [
                arc(0, y, half * 0.99, 0.09, 180, 0, steps=14),
                arc(0, y + 0.13, half * 0.95, 0.09, 0, 180, steps=14),
            ]
        )
        _part(pen, band, trim, 0.06)


QUICKSTART_KINDS: dict[str, Draw] = {
    "duck": draw_duck,
    "cone": draw_cone,
    "robot": draw_robot,
    "teapot": draw_teapot,
}
