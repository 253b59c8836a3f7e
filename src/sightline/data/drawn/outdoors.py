"""Plants, animals, vehicles, food and signs, each a random specimen in unit coordinates."""

from __future__ import annotations

import numpy as np

from sightline.data.drawn.object import Draw
from sightline.data.drawn.pen import Pen, arc, box, curve, mix

WHITE = (245, 245, 240)
BLACK = (25, 25, 30)


def draw_fish(pen: Pen, rng: np.random.Generator) -> None:
    height, tail = rng.uniform((0.32, 0.3), (0.6, 0.55))
    p = pen.palette
    pen.fill([(0.4, 0), (0.95, -tail), (0.8, 0), (0.95, tail)], p.second)
    pen.fill(curve([(-0.3, -height * 0.8), (0.1, -height - 0.25), (0.3, -height * 0.5)]), p.second)
    pen.fill(
        curve(
            [
                (-0.95, 0.02),
                (-0.6, -height * 0.8),
                (0.0, -height),
                (0.55, -0.1),
                (0.55, 0.1),
                (0.0, height),
                (-0.6, height * 0.8),
            ]
        ),
        p.main,
    )
    for x in np.linspace(-0.25, 0.3, int(rng.integers(0, 4))):
        half = height * (0.85 - abs(x) * 0.9)
        pen.line([(x, -half), (x + 0.06, 0), (x, half)], 0.09, p.light)
    pen.disc(-0.62, -0.1, 0.11, WHITE)
    pen.disc(-0.64, -0.1, 0.06, BLACK)


def draw_star(pen: Pen, rng: np.random.Generator) -> None:
    count, inner = int(rng.integers(5, 8)), rng.uniform(0.38, 0.58)
    angles = np.arange(2 * count) * np.pi / count - np.pi / 2
    radii = np.where(np.arange(2 * count) % 2, inner, 0.97)
    points = np.stack([radii * np.cos(angles), radii * np.sin(angles)], -1)
    pen.fill(points, pen.palette.main)
    if rng.random() < 0.4:
        pen.fill(points * 0.55, pen.palette.light, ink=False)


def draw_heart(pen: Pen, rng: np.random.Generator) -> None:
    t = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    x = np.sin(t) ** 3
    y = -(13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)) / 15.5
    shape = np.stack([x * rng.uniform(0.8, 0.95), y * 0.9 - 0.1], -1)
    pen.fill(shape, pen.palette.main)
    if rng.random() < 0.5:
        pen.line(arc(-0.4, -0.4, 0.2, 0.2, 170, 280, steps=8), 0.09, pen.palette.light)


def draw_arrow(pen: Pen, rng: np.random.Generator) -> None:
    shaft, head, neck = rng.uniform((0.13, 0.42, -0.05), (0.28, 0.75, 0.4))
    pen.fill(
        [
            (-0.95, -shaft),
            (neck, -shaft),
            (neck, -head),
            (0.95, 0),
            (neck, head),
            (neck, shaft),
            (-0.95, shaft),
        ],
        pen.palette.main,
    )
    if rng.random() < 0.3:
        pen.line([(-0.8, 0), (neck, 0)], 0.06, pen.palette.light)


def draw_leaf(pen: Pen, rng: np.random.Generator) -> None:
    wide, bend = rng.uniform((0.3, -0.15), (0.55, 0.15))
    color = mix(pen.palette.main, (60, 160, 50), rng.uniform(0.2, 0.9))
    pen.fill(
        curve(
            [
                (-0.75, bend),
                (-0.3, -wide + bend),
                (0.35, -wide * 0.8),
                (0.95, -bend),
                (0.35, wide * 0.8),
                (-0.3, wide + bend),
            ]
        ),
        color,
    )
    vein = mix(color, BLACK if rng.random() < 0.5 else WHITE, 0.45)
    pen.line([(-0.97, bend), (0.0, bend * 0.5), (0.8, -bend * 0.8)], 0.06, vein)
    for x in (-0.4, -0.05, 0.3):
        pen.line([(x + 0.25, -wide * 0.5), (x, 0), (x + 0.25, wide * 0.5)], 0.03, vein)


def draw_flower(pen: Pen, rng: np.random.Generator) -> None:
    count, long = int(rng.integers(5, 10)), rng.uniform(0.26, 0.34)
    p = pen.palette
    for index in range(count):
        angle = 360 * index / count
        x, y = 0.6 * np.cos(np.radians(angle)), 0.6 * np.sin(np.radians(angle))
        pen.fill(
            arc(x, y, long, min(0.3, 1.7 / count), turn=angle, steps=18),
            p.main if index % 2 else mix(p.main, WHITE, 0.25),
        )
    pen.disc(0, 0, rng.uniform(0.22, 0.36), p.accent)


def draw_car(pen: Pen, rng: np.random.Generator) -> None:
    p, roof, left, right = pen.palette, *rng.uniform((-0.6, -0.6, 0.2), (-0.4, -0.35, 0.5))
    pen.fill([(left - 0.2, -0.05), (left, roof), (right, roof), (right + 0.3, -0.05)], p.main)
    pen.fill(
        [(left - 0.05, -0.05), (left + 0.06, roof + 0.1), (-0.05, roof + 0.1), (-0.05, -0.05)],
        p.light,
    )
    pen.fill(
        [(0.05, -0.05), (0.05, roof + 0.1), (right - 0.05, roof + 0.1), (right + 0.13, -0.05)],
        p.light,
    )
    pen.fill(box(-0.95, -0.1, 0.95, 0.38, radius=0.16), p.main)
    pen.disc(0.84, 0.08, 0.08, (255, 240, 170))
    wheel = rng.uniform(0.18, 0.25)
    for x in (-0.52, 0.52):
        pen.disc(x, 0.38, wheel, BLACK)
        pen.disc(x, 0.38, wheel * 0.5, (170, 170, 175))


def draw_boat(pen: Pen, rng: np.random.Generator) -> None:
    p, mast = pen.palette, rng.uniform(-0.15, 0.15)
    pen.line([(mast, -0.92), (mast, 0.4)], 0.07, p.dark)
    pen.fill(
        [(mast + 0.06, -0.9), (mast + rng.uniform(0.5, 0.8), 0.25), (mast + 0.06, 0.25)], p.second
    )
    if rng.random() < 0.7:
        pen.fill(
            [(mast - 0.06, -0.7), (mast - rng.uniform(0.4, 0.7), 0.25), (mast - 0.06, 0.25)],
            p.light,
        )
    pen.fill([(-0.95, 0.35), (0.95, 0.35), (0.6, 0.85), (-0.6, 0.85)], p.main)
    pen.line([(-0.8, 0.5), (0.8, 0.5)], 0.06, p.accent)


def draw_house(pen: Pen, rng: np.random.Generator) -> None:
    p, wide, eaves = pen.palette, *rng.uniform((0.6, -0.3), (0.78, 0.0))
    if rng.random() < 0.5:
        pen.fill(box(0.3, -0.85, 0.5, -0.3), p.dark)
    pen.fill(box(-wide, eaves, wide, 0.95), p.main)
    pen.fill([(-wide - 0.17, eaves), (0, -0.95), (wide + 0.17, eaves)], p.second)
    pen.fill(box(-0.16, 0.35, 0.16, 0.95), p.dark)
    for x in (-0.48, 0.48):
        pen.fill(box(x - 0.14, 0.15, x + 0.14, 0.45), (200, 225, 240))


def draw_tree(pen: Pen, rng: np.random.Generator) -> None:
    green = mix((50, 140, 50), pen.palette.main, rng.uniform(0.0, 0.6))
    pen.fill(
        [(-0.1, 0.2), (0.1, 0.2), (0.17, 0.95), (-0.17, 0.95)],
        mix((110, 70, 35), pen.palette.dark, 0.3),
    )
    if rng.random() < 0.5:
        wide = rng.uniform(0.5, 0.8)
        for index, top in enumerate((0.0, -0.4, -0.85)):
            half = wide * (1 - 0.25 * index)
            pen.fill(
                [(-half, top + 0.62), (0, top - 0.1), (half, top + 0.62)],
                mix(green, WHITE, 0.08 * index),
            )
        return
    for _ in range(int(rng.integers(5, 8))):
        x, y, radius, share = rng.uniform((-0.4, -0.5, 0.3, 0), (0.4, 0.1, 0.45, 0.25))
        pen.disc(x, y, radius, mix(green, WHITE, share))


def draw_letter_a(pen: Pen, rng: np.random.Generator) -> None:
    width, wide, bar = rng.uniform((0.16, 0.5, 0.1), (0.32, 0.75, 0.4))
    color = pen.palette.main
    pen.line([(-wide, 0.82), (0, -0.82), (wide, 0.82)], width, color)
    half = wide * (bar + 0.82) / 1.64
    pen.line([(-half, bar), (half, bar)], width * 0.85, color)


def draw_letter_h(pen: Pen, rng: np.random.Generator) -> None:
    half, width = rng.uniform((0.4, 0.1), (0.6, 0.2))
    color = pen.palette.main
    pen.fill(box(-half - width, -0.95, -half + width, 0.95), color)
    pen.fill(box(half - width, -0.95, half + width, 0.95), color)
    pen.fill(box(-half, -width, half, width), color, ink=False)


def draw_letter_t(pen: Pen, rng: np.random.Generator) -> None:
    half, width = rng.uniform((0.55, 0.12), (0.85, 0.24))
    pen.fill(
        [
            (-half, -0.95),
            (half, -0.95),
            (half, -0.95 + 2 * width),
            (width, -0.95 + 2 * width),
            (width, 0.95),
            (-width, 0.95),
            (-width, -0.95 + 2 * width),
            (-half, -0.95 + 2 * width),
        ],
        pen.palette.main,
    )


def draw_cross(pen: Pen, rng: np.random.Generator) -> None:
    w, color = rng.uniform(0.18, 0.36), pen.palette.main
    plus = [
        (-w, -0.9),
        (w, -0.9),
        (w, -w),
        (0.9, -w),
        (0.9, w),
        (w, w),
        (w, 0.9),
        (-w, 0.9),
        (-w, w),
        (-0.9, w),
        (-0.9, -w),
        (-w, -w),
    ]
    if rng.random() < 0.3:
        pen.disc(0, 0, 0.97, pen.palette.light)
        plus, color = [(x * 0.8, y * 0.8) for x, y in plus], pen.palette.accent
    pen.fill(plus, color)


def draw_moon(pen: Pen, rng: np.random.Generator) -> None:
    bite, reach = rng.uniform((0.3, 115), (0.6, 135))
    outer = arc(0.15, 0, 0.95, 0.95, 180 - reach, 180 + reach, steps=24)
    (x, y), deep = outer[0], 0.95 * bite
    inner = curve(
        [
            tuple(outer[-1]),
            (x * 0.5 - deep * 0.35, -y * 0.65),
            (-0.8 + deep, 0.0),
            (x * 0.5 - deep * 0.35, y * 0.65),
            (x, y),
        ],
        closed=False,
    )
    pen.fill(
        np.concatenate([outer, inner]), mix(pen.palette.main, (250, 230, 120), rng.uniform(0, 0.8))
    )


def draw_mushroom(pen: Pen, rng: np.random.Generator) -> None:
    stem, wide = rng.uniform((0.15, 0.75), (0.3, 0.95))
    pen.fill(
        curve(
            [
                (-stem, -0.1),
                (stem, -0.1),
                (stem * 1.1, 0.6),
                (stem * 1.3, 0.92),
                (-stem * 1.3, 0.92),
                (-stem * 1.1, 0.6),
            ]
        ),
        mix(WHITE, pen.palette.second, 0.25),
    )
    pen.fill(
        np.concatenate([arc(0, 0, wide, 0.9, 180, 360), arc(0, 0, wide, 0.15, 0, 180, steps=12)]),
        pen.palette.main,
    )
    for _ in range(int(rng.integers(0, 7))):
        x, y, radius = rng.uniform((-0.55, -0.6, 0.06), (0.55, -0.12, 0.14))
        pen.disc(x, y, radius, pen.palette.light)


def draw_butterfly(pen: Pen, rng: np.random.Generator) -> None:
    p = pen.palette
    high, low, wide = rng.uniform((0.6, 0.5, 0.75), (0.95, 0.85, 0.95))
    for side in (-1, 1):
        pen.fill(
            curve(
                [
                    (side * 0.05, -0.1),
                    (side * 0.45, -high),
                    (side * wide, -high * 0.85),
                    (side * 0.75, -0.1),
                    (side * 0.3, 0.08),
                ]
            ),
            p.main,
        )
        pen.fill(
            curve(
                [
                    (side * 0.05, 0.0),
                    (side * 0.5, 0.02),
                    (side * wide * 0.85, 0.35),
                    (side * 0.45, low),
                    (side * 0.15, 0.4),
                ]
            ),
            p.second,
        )
        pen.disc(side * 0.6, -high * 0.55, 0.13, p.accent)
        pen.line([(side * 0.04, -0.4), (side * 0.25, -0.85)], 0.04, p.dark)
    pen.disc(0, 0, 0.1, p.dark, 0.5)


def draw_rocket(pen: Pen, rng: np.random.Generator) -> None:
    p, half = pen.palette, rng.uniform(0.24, 0.36)
    pen.fill(
        curve([(-0.2, 0.55), (0.2, 0.55), (0.1, 0.8), (0.0, 0.95), (-0.1, 0.8)]), (250, 150, 40)
    )
    for side in (-1, 1):
        pen.fill(
            [(side * half * 0.8, 0.05), (side * 0.68, 0.75), (side * half * 0.6, 0.58)], p.second
        )
    pen.fill(
        curve(
            [
                (0, -0.95),
                (half, -0.4),
                (half, 0.2),
                (half * 0.7, 0.6),
                (-half * 0.7, 0.6),
                (-half, 0.2),
                (-half, -0.4),
            ]
        ),
        p.main,
    )
    pen.fill([(-half * 0.75, -0.55), (half * 0.75, -0.55), (0, -0.95)], p.second)
    pen.disc(0, -0.18, half * 0.55, p.light)
    pen.disc(0, -0.18, half * 0.38, (110, 170, 220))


def draw_cloud(pen: Pen, rng: np.random.Generator) -> None:
    color = mix(pen.palette.main, WHITE, rng.uniform(0.3, 0.9))
    pen.fill(box(-0.9, 0.05, 0.9, 0.5, radius=0.22), color)
    for x, top in ((-0.5, 0.32), (0.45, 0.36), (-0.05, 0.5)):
        radius = top * rng.uniform(0.85, 1.1)
        pen.fill(arc(x, 0.12 - radius * 0.4, radius, radius), color, ink=False)
    if rng.random() < 0.4:
        for x in (-0.5, 0, 0.5):
            pen.line([(x, 0.62), (x - 0.08, 0.88)], 0.07, (80, 140, 220))


def draw_cactus(pen: Pen, rng: np.random.Generator) -> None:
    color, width = (
        mix((60, 140, 70), pen.palette.main, rng.uniform(0, 0.5)),
        rng.uniform(0.24, 0.36),
    )
    for side in (-1, 1):
        y = rng.uniform(-0.2, 0.25)
        pen.line([(0, y), (side * 0.55, y), (side * 0.55, y - 0.4)], width * 0.75, color)
    pen.line([(0, -0.75), (0, 0.5)], width * 1.2, color)
    for x in (-0.1, 0.08):
        pen.line([(x, -0.7), (x, 0.45)], 0.03, mix(color, WHITE, 0.4))
    pen.fill([(-0.5, 0.4), (0.5, 0.4), (0.36, 0.95), (-0.36, 0.95)], pen.palette.second)


def draw_ice_cream(pen: Pen, rng: np.random.Generator) -> None:
    p, wide = pen.palette, rng.uniform(0.4, 0.55)
    cone = mix((220, 170, 100), p.dark, rng.uniform(0, 0.3))
    pen.fill([(-wide, -0.05), (wide, -0.05), (0, 0.96)], cone)
    for x in (-0.5, 0.0):
        pen.line([(x * wide, 0.0), (x * wide * 0.2 + 0.12, 0.6)], 0.04, mix(cone, BLACK, 0.3))
        pen.line([(-x * wide, 0.0), (-x * wide * 0.2 - 0.12, 0.6)], 0.04, mix(cone, BLACK, 0.3))
    pen.disc(0, -0.2, wide * 1.15, p.main, 0.36)
    if rng.random() < 0.6:
        pen.disc(0, -0.6, wide * 0.8, p.second, 0.32)
    if rng.random() < 0.4:
        pen.disc(0.05, -0.84, 0.12, (210, 30, 50))


def draw_apple(pen: Pen, rng: np.random.Generator) -> None:
    wide, color = rng.uniform(0.7, 0.85), mix(pen.palette.main, (205, 40, 40), rng.uniform(0, 0.6))
    pen.line(curve([(0, -0.45), (0.04, -0.7), (0.14, -0.92)], closed=False), 0.09, (95, 60, 35))
    if rng.random() < 0.7:
        pen.fill(curve([(0.1, -0.65), (0.3, -0.9), (0.62, -0.85), (0.4, -0.62)]), (80, 160, 60))
    pen.fill(
        curve(
            [
                (0, -0.42),
                (0.4, -0.56),
                (wide, -0.2),
                (wide * 0.85, 0.45),
                (0.35, 0.92),
                (0, 0.82),
                (-0.35, 0.92),
                (-wide * 0.85, 0.45),
                (-wide, -0.2),
                (-0.4, -0.56),
            ]
        ),
        color,
    )
    pen.fill(arc(-0.4, -0.12, 0.1, 0.22, turn=25), mix(color, WHITE, 0.6), ink=False)


OUTDOOR_KINDS: dict[str, Draw] = {
    "fish": draw_fish,
    "star": draw_star,
    "heart": draw_heart,
    "arrow": draw_arrow,
    "leaf": draw_leaf,
    "flower": draw_flower,
    "car": draw_car,
    "boat": draw_boat,
    "house": draw_house,
    "tree": draw_tree,
    "letter a": draw_letter_a,
    "letter h": draw_letter_h,
    "letter t": draw_letter_t,
    "cross": draw_cross,
    "moon": draw_moon,
    "mushroom": draw_mushroom,
    "butterfly": draw_butterfly,
    "rocket": draw_rocket,
    "cloud": draw_cloud,
    "cactus": draw_cactus,
    "ice cream": draw_ice_cream,
    "apple": draw_apple,
}
