"""Things from the house, each a random specimen in unit coordinates."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from sightline.data.drawn.object import Draw
from sightline.data.drawn.pen import CLEAR, Pen, arc, box, curve, mix

WHITE = (245, 245, 240)
BLACK = (25, 25, 30)


def draw_cup(pen: Pen, rng: np.random.Generator) -> None:
    top, bottom, wall = rng.uniform((0.5, 0.35, 0.1), (0.65, 0.6, 0.16))
    pen.line(arc(0.55, 0.0, 0.32, 0.4, -100, 100), wall, pen.palette.main)
    pen.fill(
        [(-top - 0.2, -0.8), (top - 0.2, -0.8), (bottom - 0.2, 0.85), (-bottom - 0.2, 0.85)],
        pen.palette.main,
    )
    pen.disc(-0.2, -0.8, top, pen.palette.light, 0.17)
    pen.disc(-0.2, -0.78, top * 0.82, mix(pen.palette.second, (60, 30, 10), 0.6), 0.11)
    if rng.random() < 0.6:
        y = rng.uniform(-0.3, 0.2)
        pen.fill(
            [
                (-top * 0.9 - 0.2, y),
                (top * 0.9 - 0.2, y),
                (top * 0.85 - 0.2, y + 0.25),
                (-top * 0.85 - 0.2, y + 0.25),
            ],
            pen.palette.second,
        )


def draw_key(pen: Pen, rng: np.random.Generator) -> None:
    radius, width, teeth = rng.uniform(0.28, 0.4), rng.uniform(0.1, 0.18), int(rng.integers(2, 5))
    color = pen.palette.main
    pen.line([(-0.3, 0), (0.93, 0)], width, color)
    for x in np.linspace(0.9, 0.9 - 0.16 * (teeth - 1), teeth):
        pen.line([(x, 0), (x, rng.uniform(0.2, 0.36))], 0.1, color)
    pen.disc(-0.6, 0, radius, color)
    pen.disc(-0.6, 0, radius * rng.uniform(0.4, 0.65), CLEAR)


def draw_umbrella(pen: Pen, rng: np.random.Generator) -> None:
    p, panels = pen.palette, int(rng.integers(2, 5)) * 2
    pen.line([(0, -0.9), (0, 0.7)], 0.08, p.dark)
    pen.line(arc(0.15, 0.7, 0.15, 0.22, 180, 0, steps=10), 0.08, p.dark)
    edges = np.linspace(-0.95, 0.95, panels + 1)
    for index, (left, right) in enumerate(pairwise(edges)):
        rim = arc((left + right) / 2, 0.08, (right - left) / 2, 0.12, 180, 360, steps=8)
        outer = [
            (x, 0.08 - 0.85 * np.sqrt(max(0, 1 - (x / 0.96) ** 2)))
            for x in np.linspace(right, left, 7)
        ]
        pen.fill(np.concatenate([rim, outer]), p.main if index % 2 else p.second)


def draw_lamp(pen: Pen, rng: np.random.Generator) -> None:
    top, wide, foot = rng.uniform((0.2, 0.6, 0.3), (0.4, 0.85, 0.5))
    p = pen.palette
    pen.line([(0, -0.1), (0, 0.85)], rng.uniform(0.08, 0.2), p.second)
    pen.disc(0, 0.85, foot, p.second, 0.12)
    if rng.random() < 0.5:
        pen.disc(0, 0.4, rng.uniform(0.15, 0.3), p.accent)
    pen.fill([(-top, -0.95), (top, -0.95), (wide, 0.05), (-wide, 0.05)], p.main)
    pen.fill(
        [(-wide, 0.05), (wide, 0.05), (wide * 0.96, -0.07), (-wide * 0.96, -0.07)],
        p.light,
        ink=False,
    )


def draw_bottle(pen: Pen, rng: np.random.Generator) -> None:
    body, neck, shoulder = rng.uniform((0.26, 0.09, -0.45), (0.42, 0.16, -0.1))
    p = pen.palette
    pen.fill(
        [
            (-neck, -0.8),
            (neck, -0.8),
            (neck, shoulder - 0.2),
            (body, shoulder + 0.1),
            (body, 0.95),
            (-body, 0.95),
            (-body, shoulder + 0.1),
            (-neck, shoulder - 0.2),
        ],
        p.main,
    )
    pen.fill(box(-neck * 1.3, -0.97, neck * 1.3, -0.78, radius=0.04), p.accent)
    low = rng.uniform(0.2, 0.4)
    pen.fill(box(-body, low, body, low + rng.uniform(0.2, 0.45)), p.light)
    pen.line(
        [(-body * 0.6, shoulder + 0.2), (-body * 0.6, low - 0.1)], 0.06, mix(p.main, WHITE, 0.6)
    )


def draw_ladder(pen: Pen, rng: np.random.Generator) -> None:
    top, foot, width = rng.uniform((0.25, 0.35, 0.09), (0.4, 0.55, 0.16))
    for y in np.linspace(-0.75, 0.75, int(rng.integers(4, 8))):
        half = top + (foot - top) * (y + 1) / 2
        pen.line([(-half, y), (half, y)], width * 0.8, pen.palette.second)
    for side in (-1, 1):
        pen.line([(side * top, -0.93), (side * foot, 0.93)], width, pen.palette.main)


def draw_ring(pen: Pen, rng: np.random.Generator) -> None:
    thick = rng.uniform(0.15, 0.4)
    pen.disc(0, 0, 0.95, pen.palette.main)
    for start in range(0, 360, 60) if rng.random() < 0.4 else ():
        pen.line(
            arc(0, 0, 0.95 - thick / 2, 0.95 - thick / 2, start, start + 25, steps=6),
            thick * 0.5,
            pen.palette.second,
        )
    pen.disc(0, 0, 0.95 - thick, CLEAR)


def draw_hammer(pen: Pen, rng: np.random.Generator) -> None:
    p, width, head = pen.palette, *rng.uniform((0.12, 0.2), (0.2, 0.3))
    pen.fill(
        box(-width, -0.5, width, 0.95, radius=0.1),
        mix((160, 110, 60), p.second, rng.uniform(0, 0.7)),
    )
    pen.fill(
        box(-0.55, -0.6 - head, 0.8, -0.6 + head), mix((130, 135, 145), p.main, rng.uniform(0, 0.6))
    )
    if rng.random() < 0.6:
        pen.fill(
            [(-0.5, -0.6 - head), (-0.97, -0.45), (-0.9, -0.3), (-0.5, -0.6 + head)],
            mix((110, 115, 125), p.main, 0.3),
        )


def draw_book(pen: Pen, rng: np.random.Generator) -> None:
    p = pen.palette
    if rng.random() < 0.5:
        sag = rng.uniform(0.1, 0.25)
        for side in (-1, 1):
            pen.fill(
                [(0, -0.5), (side * 0.95, -0.5 - sag), (side * 0.95, 0.55 - sag), (0, 0.6)], p.main
            )
            pen.fill(
                [(0, -0.45), (side * 0.87, -0.46 - sag), (side * 0.87, 0.45 - sag), (0, 0.5)], WHITE
            )
            for y in (-0.25, -0.05, 0.15):
                pen.line([(side * 0.12, y), (side * 0.72, y - sag * 0.8)], 0.04, (120, 120, 120))
        return
    pen.fill([(-0.6, -0.95), (0.75, -0.95), (0.75, 0.95), (-0.6, 0.95)], p.main)
    pen.fill(box(-0.6, -0.95, -0.4, 0.95), p.dark)
    pen.fill(box(-0.2, -0.6, 0.55, rng.uniform(-0.3, 0.1)), p.light)
    pen.fill([(-0.55, 0.83), (0.75, 0.83), (0.75, 0.93), (-0.55, 0.93)], WHITE, ink=False)


def draw_chair(pen: Pen, rng: np.random.Generator) -> None:
    p, width, seat = pen.palette, *rng.uniform((0.09, -0.05), (0.15, 0.2))
    for x, foot in ((-0.5, -0.55), (0.5, 0.6), (-0.25, -0.2), (0.3, 0.3)):
        pen.line(
            [(x, seat), (foot, 0.92 if abs(x) == 0.5 else 0.7)],
            width,
            p.dark if abs(x) < 0.5 else p.main,
        )
    pen.line([(-0.5, seat), (-0.58, -0.9)], width, p.main)
    pen.line([(-0.2, seat - 0.15), (-0.28, -0.9)], width, p.main)
    for y in np.linspace(-0.8, seat - 0.4, int(rng.integers(2, 5))):
        pen.line([(-0.56, y), (-0.26, y - 0.04)], width, p.second)
    pen.fill(
        [(-0.6, seat + 0.1), (0.55, seat + 0.1), (0.38, seat - 0.15), (-0.3, seat - 0.15)], p.second
    )


def draw_table(pen: Pen, rng: np.random.Generator) -> None:
    p, width, top = pen.palette, *rng.uniform((0.08, -0.45), (0.16, -0.2))
    for x in (-0.55, 0.62):
        pen.line([(x, top), (x, 0.55)], width, p.dark)
    for x in (-0.78, 0.78):
        pen.line([(x, top + 0.2), (x, 0.8)], width, p.main)
    pen.fill(
        [(-0.97, top + 0.22), (0.97, top + 0.22), (0.75, top - 0.2), (-0.7, top - 0.2)], p.main
    )
    pen.fill(box(-0.97, top + 0.22, 0.97, top + 0.36), mix(p.main, BLACK, 0.3))


def draw_kite(pen: Pen, rng: np.random.Generator) -> None:
    p, wide, waist = pen.palette, *rng.uniform((0.45, -0.5), (0.65, -0.2))
    top, right, low, left = (0.0, -0.95), (wide, waist), (0.0, 0.45), (-wide, waist)
    tail = [(0, 0.45), (0.15, 0.6), (-0.1, 0.75), (0.12, 0.93)]
    pen.line(curve(tail, closed=False), 0.05, p.dark)
    for x, y in tail[1:3]:
        pen.fill(
            [
                (x - 0.12, y - 0.07),
                (x + 0.12, y + 0.07),
                (x + 0.12, y - 0.07),
                (x - 0.12, y + 0.07),
            ],
            p.accent,
        )
    centre = (0.0, waist)
    for index, (a, b) in enumerate(((top, right), (right, low), (low, left), (left, top))):
        pen.fill([a, b, centre], p.second if index % 2 else p.main)


def draw_die(pen: Pen, rng: np.random.Generator) -> None:
    color, value = mix(pen.palette.main, WHITE, rng.uniform(0, 0.8)), int(rng.integers(1, 7))
    pip = BLACK if sum(color) > 380 else WHITE
    pen.fill([(-0.8, -0.4), (-0.4, -0.85), (0.9, -0.85), (0.55, -0.4)], mix(color, WHITE, 0.4))
    pen.fill([(0.55, -0.4), (0.9, -0.85), (0.9, 0.45), (0.55, 0.9)], mix(color, BLACK, 0.35))
    pen.fill(box(-0.8, -0.4, 0.55, 0.9), color)
    spots = {1: "4", 2: "08", 3: "048", 4: "0268", 5: "02468", 6: "035268"}[value]
    for spot in spots:
        row, column = divmod(int(spot), 3)
        pen.disc(-0.52 + 0.4 * column, -0.13 + 0.38 * row, 0.11, pip)


def draw_clock(pen: Pen, rng: np.random.Generator) -> None:
    p, rim = pen.palette, rng.uniform(0.1, 0.2)
    if rng.random() < 0.5:
        for side in (-1, 1):
            pen.disc(side * 0.5, -0.75, 0.2, p.second)
            pen.line([(side * 0.4, 0.6), (side * 0.55, 0.92)], 0.1, p.dark)
    pen.disc(0, 0, 0.88, p.main)
    pen.disc(0, 0, 0.88 - rim, WHITE if rng.random() < 0.7 else p.light)
    for angle in np.arange(12) * np.pi / 6:
        x, y = 0.66 * np.cos(angle), 0.66 * np.sin(angle)
        pen.line([(x * 0.9, y * 0.9), (x, y)], 0.05, BLACK)
    for long, width in ((0.35, 0.09), (0.55, 0.06)):
        angle = rng.uniform(0, 2 * np.pi)
        pen.line([(0, 0), (long * np.cos(angle), long * np.sin(angle))], width, BLACK)


def draw_spoon(pen: Pen, rng: np.random.Generator) -> None:
    color, wide, width = (
        mix((190, 195, 205), pen.palette.main, rng.uniform(0, 0.8)),
        *rng.uniform((0.2, 0.08), (0.32, 0.14)),
    )
    pen.line([(-0.3, 0), (0.92, rng.uniform(-0.08, 0.08))], width, color)
    pen.disc(-0.6, 0, 0.37, color, wide)
    pen.disc(-0.58, 0.02, 0.26, mix(color, BLACK, 0.25), wide * 0.65)


def draw_glasses(pen: Pen, rng: np.random.Generator) -> None:
    color, width, tall = pen.palette.main, *rng.uniform((0.07, 0.28), (0.16, 0.4))
    lens = mix(pen.palette.second, BLACK, rng.uniform(0, 0.8)) if rng.random() < 0.5 else CLEAR
    radius = rng.uniform(0.1, 0.4)
    pen.line(arc(0, -0.02, 0.16, 0.12, 190, 350, steps=8), width, color)
    for x in (-0.5, 0.5):
        frame = box(x - 0.38, -tall, x + 0.38, tall, radius=radius)
        pen.fill(frame, lens, ink=False)
        pen.line(frame, width, color, closed=True)


def draw_envelope(pen: Pen, rng: np.random.Generator) -> None:
    color, tall = mix(pen.palette.main, WHITE, rng.uniform(0, 0.7)), rng.uniform(0.55, 0.7)
    edge = mix(color, BLACK, 0.4)
    pen.fill(box(-0.95, -tall, 0.95, tall), color)
    pen.line([(-0.9, tall * 0.93), (-0.2, 0.0), (0.2, 0.0), (0.9, tall * 0.93)], 0.05, edge)
    pen.fill([(-0.95, -tall), (0.95, -tall), (0.0, rng.uniform(0.0, 0.2))], mix(color, BLACK, 0.12))
    pen.line([(-0.93, -tall), (0.0, 0.12), (0.93, -tall)], 0.05, edge)
    if rng.random() < 0.5:
        pen.disc(0, 0.08, 0.16, pen.palette.accent)


def draw_flag(pen: Pen, rng: np.random.Generator) -> None:
    p, wave = pen.palette, rng.uniform(-0.15, 0.15)
    x = np.linspace(-0.6, 0.9, 10)
    ripple = wave * np.sin((x + 0.6) * 4)
    bands, colors = int(rng.integers(1, 4)), (p.main, p.light, p.second)
    edges = np.linspace(-0.8, 0.15, bands + 1)
    for index in range(bands):
        upper = np.stack([x, edges[index] + ripple], -1)
        lower = np.stack([x, edges[index + 1] + ripple], -1)[::-1]
        pen.fill(np.concatenate([upper, lower]), colors[index])
    pen.line([(-0.65, -0.92), (-0.65, 0.92)], rng.uniform(0.08, 0.14), p.dark)


def draw_balloon(pen: Pen, rng: np.random.Generator) -> None:
    p, wide, sway = pen.palette, *rng.uniform((0.45, -0.2), (0.6, 0.2))
    pen.line(
        curve([(0, 0.35), (sway, 0.55), (-sway, 0.75), (sway * 0.5, 0.95)], closed=False),
        0.035,
        p.dark,
    )
    pen.fill([(0, 0.2), (0.1, 0.4), (-0.1, 0.4)], p.main)
    pen.fill(
        curve(
            [
                (0, -0.95),
                (wide * 0.8, -0.72),
                (wide, -0.3),
                (wide * 0.5, 0.12),
                (0, 0.28),
                (-wide * 0.5, 0.12),
                (-wide, -0.3),
                (-wide * 0.8, -0.72),
            ]
        ),
        p.main,
    )
    pen.fill(arc(-wide * 0.4, -0.55, 0.08, 0.16, turn=30), mix(p.main, WHITE, 0.7), ink=False)


def draw_pencil(pen: Pen, rng: np.random.Generator) -> None:
    p, half, neck = pen.palette, *rng.uniform((0.1, 0.45), (0.2, 0.65))
    pen.fill(box(-0.95, -half, -0.75, half, radius=0.06), (230, 130, 140))
    pen.fill(box(-0.78, -half, -0.66, half), (190, 190, 195))
    pen.fill(box(-0.66, -half, neck, half), p.main)
    pen.fill(box(-0.66, -half * 0.35, neck, half * 0.35), mix(p.main, WHITE, 0.3), ink=False)
    pen.fill([(neck, -half), (0.95, 0), (neck, half)], (230, 190, 140))
    pen.fill([(0.82, -half * 0.35), (0.97, 0), (0.82, half * 0.35)], p.dark)


HOUSEHOLD_KINDS: dict[str, Draw] = {
    "cup": draw_cup,
    "key": draw_key,
    "umbrella": draw_umbrella,
    "lamp": draw_lamp,
    "bottle": draw_bottle,
    "ladder": draw_ladder,
    "ring": draw_ring,
    "hammer": draw_hammer,
    "book": draw_book,
    "chair": draw_chair,
    "table": draw_table,
    "kite": draw_kite,
    "die": draw_die,
    "clock": draw_clock,
    "spoon": draw_spoon,
    "glasses": draw_glasses,
    "envelope": draw_envelope,
    "flag": draw_flag,
    "balloon": draw_balloon,
    "pencil": draw_pencil,
}
