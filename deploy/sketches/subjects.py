"""The twelve things that can be drawn, each with the variety in which people draw it.

Every function draws into the box -1..1, y down. What a person may leave out is left out now and then, what can be drawn
in two ways is drawn in both; some subjects look alike on purpose (sun and flower, cat and smiley face, tree and
umbrella), so that telling them apart has to be learned.
"""

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

from deploy.sketches.pen import Pen


def _car(pen: Pen) -> None:
    top, hood = pen.between(-0.55, -0.25), pen.between(0.05, 0.2)
    front, back = pen.between(0.25, 0.55), pen.between(-0.7, -0.35)
    base = hood + pen.between(0.25, 0.4)
    if pen.maybe(0.7):  # the outline in one go
        pen.polygon(
            (-1, base),
            (-1, hood),
            (back - 0.15, hood),
            (back, top),
            (front, top),
            (front + 0.2, hood),
            (1, hood),
            (1, base),
        )
    else:
        pen.polygon((-1, hood), (1, hood), (1, base), (-1, base))
        pen.line((back - 0.15, hood), (back, top), (front, top), (front + 0.2, hood))
    wheel = pen.between(0.16, 0.27)
    for x in (-0.55, 0.55):
        pen.circle(x, base, wheel)
        if pen.maybe(0.3):
            pen.circle(x, base, wheel / 2.5)
    if pen.maybe(0.5):
        middle = (back + front) / 2
        pen.line((middle, top), (middle, hood))
    if pen.maybe(0.3):
        pen.polygon((back, top + 0.1), (0, top + 0.1), (0, hood), (back - 0.05, hood))
    if pen.maybe(0.25):
        pen.circle(0.93, hood + 0.12, 0.07)


def _cat(pen: Pen) -> None:
    width = pen.between(0.65, 0.9)
    pen.ellipse(0, 0.1, width, pen.between(0.6, 0.8))
    ear, tip = pen.between(0.1, 0.25), pen.between(-1.05, -0.8)
    for side in (-1, 1):
        pen.line((side * width * 0.9, -0.2), (side * width * 0.8, tip), (side * ear, -0.55))
    _eyes(pen, -0.05, 0.3)
    if pen.maybe(0.8):
        pen.polygon((-0.1, 0.18), (0.1, 0.18), (0, 0.3))
    if pen.maybe(0.6):
        pen.arc(-0.13, 0.35, 0.13, 0.12, 0, 180)
        pen.arc(0.13, 0.35, 0.13, 0.12, 0, 180)
    if pen.maybe(0.75):
        for side in (-1, 1):
            for k in range(pen.rng.choice((2, 3, 3))):
                pen.line((side * 0.3, 0.22 + 0.1 * k), (side * pen.between(0.85, 1.1), 0.1 + 0.17 * k))


def _cup(pen: Pen) -> None:
    top, bottom = pen.between(0.5, 0.75), pen.between(0.35, 0.7)
    height = pen.between(0.55, 0.85)
    if pen.maybe(0.6):
        pen.ellipse(-0.15, -height, top, pen.between(0.08, 0.2))
    else:
        pen.line((-0.15 - top, -height), (-0.15 + top, -height))
    pen.line((-0.15 - top, -height), (-0.15 - bottom, height), (-0.15 + bottom, height), (-0.15 + top, -height))
    side = pen.rng.choice((-1, 1, 1))
    handle = pen.between(0.25, 0.42)
    x = -0.15 + side * (top + bottom) / 2
    pen.arc(x, 0, handle, handle * pen.between(0.9, 1.3), -90, side * 180)
    if pen.maybe(0.4):
        pen.arc(x, 0, handle * 0.6, handle * 0.7, -90, side * 180)
    if pen.maybe(0.35):
        for k in range(pen.rng.choice((2, 3))):
            x = -0.45 + 0.3 * k
            pen.line(
                (x, -height - 0.2), (x + 0.1, -height - 0.35), (x - 0.05, -height - 0.5), (x + 0.06, -height - 0.7)
            )


def _envelope(pen: Pen) -> None:
    height = pen.between(0.5, 0.75)
    pen.polygon((-1, -height), (1, -height), (1, height), (-1, height))
    tip = pen.between(-0.1, 0.3) * height
    pen.line((-1, -height), (0, tip), (1, -height))
    if pen.maybe(0.35):
        pen.line((-1, height), (-0.3, tip - 0.1))
        pen.line((1, height), (0.3, tip - 0.1))
    if pen.maybe(0.15):
        pen.circle(0, tip, 0.12)
    if pen.maybe(0.12):
        pen.polygon((0.65, -height + 0.1), (0.9, -height + 0.1), (0.9, -height + 0.35), (0.65, -height + 0.35))


def _fish(pen: Pen) -> None:
    way = pen.rng.choice((-1, 1))
    body, thick = pen.between(0.6, 0.75), pen.between(0.3, 0.5)
    joint, tail = pen.between(0.5, 0.6), pen.between(0.25, 0.45)
    if pen.maybe(0.45):  # one loop that crosses itself at the tail
        pen.line(
            (way * 1, -tail),
            (way * joint, 0),
            (way * 0.1, thick),
            (-way * 0.45, thick * 0.9),
            (-way * 0.95, 0),
            (-way * 0.45, -thick * 0.9),
            (way * 0.1, -thick),
            (way * joint, 0),
            (way * 1, tail),
            (way * 1, -tail),
        )
    else:
        pen.ellipse(-way * 0.2, 0, body, thick)
        pen.polygon((way * (joint - 0.05), 0), (way * 1, -tail), (way * 1, tail))
    if pen.maybe(0.85):
        _eye(pen, -way * 0.6, -0.1, 0.06)
    if pen.maybe(0.4):
        pen.arc(-way * 0.4, 0, 0.12, thick * 0.7, -60, 120)
    if pen.maybe(0.3):
        pen.line((-way * 0.3, -thick), (way * 0.05, -thick - 0.25), (way * 0.2, -thick * 0.8))
    if pen.maybe(0.3):
        pen.line((-way * 0.85, 0.12), (-way * 0.65, 0.15))
    if pen.maybe(0.2):
        for k in range(3):
            pen.arc(-way * 0.1 + way * 0.2 * k, 0, 0.08, 0.12, -90, 180)


def _flower(pen: Pen) -> None:
    y = pen.between(-0.6, -0.35)
    heart = pen.between(0.12, 0.25)
    pen.circle(0, y, heart)
    petals = pen.rng.choice((4, 5, 5, 6, 6, 7, 8))
    turn, reach = pen.between(0, 6.3), pen.between(0.15, 0.25)
    if pen.maybe(0.75):  # round petals
        for k in range(petals):
            angle = turn + 2 * math.pi * k / petals
            pen.circle((heart + reach) * math.cos(angle), y + (heart + reach) * math.sin(angle), reach)
    else:  # petals as bows, in one stroke each
        for k in range(petals):
            angle, half = turn + 2 * math.pi * k / petals, math.pi / petals
            foot = [(heart * math.cos(a), y + heart * math.sin(a)) for a in (angle - half, angle + half)]
            far = heart + 2 * reach
            tip = [(far * math.cos(a), y + far * math.sin(a)) for a in (angle - half / 2, angle + half / 2)]
            pen.line(foot[0], tip[0], tip[1], foot[1])
    if pen.maybe(0.85):
        pen.line((0, y + heart), (pen.between(-0.15, 0.15), 0.4), (pen.between(-0.15, 0.15), 1))
        for side in (-1, 1):
            if pen.maybe(0.55):
                low = pen.between(0.45, 0.8)
                pen.line(
                    (0, low), (side * 0.25, low - 0.3), (side * 0.5, low - 0.25), (side * 0.3, low - 0.05), (0, low)
                )


def _house(pen: Pen) -> None:
    side, eaves = pen.between(0.6, 0.85), pen.between(-0.25, 0.05)
    base, over = pen.between(0.75, 1), pen.between(0, 0.15)
    ridge = pen.between(-1, -0.7)
    pen.polygon((-side, eaves), (side, eaves), (side, base), (-side, base))
    if pen.maybe(0.8):
        pen.line((-side - over, eaves), (0, ridge), (side + over, eaves))
    else:
        pen.polygon((-side - over, eaves), (-side * 0.55, ridge), (side * 0.55, ridge), (side + over, eaves))
    if pen.maybe(0.75):
        x, width, lintel = pen.between(-0.2, 0.2), pen.between(0.12, 0.2), pen.between(0.25, 0.45)
        pen.line((x - width, base), (x - width, lintel), (x + width, lintel), (x + width, base))
        if pen.maybe(0.35):
            pen.dot(x + width * 0.6, (lintel + base) / 2)
    for x in (-0.45, 0.45):
        if pen.maybe(0.45):
            _window(pen, x * side / 0.7, eaves + 0.25, 0.13)
    if pen.maybe(0.3):
        pen.line((0.35, ridge + 0.35), (0.35, ridge), (0.55, ridge), (0.55, ridge + 0.5))


def _sailboat(pen: Pen) -> None:
    deck, keel = pen.between(0.35, 0.55), pen.between(0.8, 1)
    stern = pen.between(0.5, 0.75)
    if pen.maybe(0.7):
        pen.polygon((-1, deck), (1, deck), (stern, keel), (-stern, keel))
    else:
        pen.arc(0, deck, 0.95, keel - deck + 0.1, 0, 180)
        pen.line((-0.95, deck), (0.95, deck))
    top, x = pen.between(-1, -0.8), pen.between(-0.15, 0.15)
    pen.line((x, deck), (x, top))
    side, boom = pen.rng.choice((-1, 1)), deck - pen.between(0.08, 0.25)
    pen.line((x, top), (x + side * pen.between(0.55, 0.8), boom), (x, boom))
    if pen.maybe(0.5):
        pen.line((x, top + 0.15), (x - side * pen.between(0.35, 0.6), boom), (x, boom))
    if pen.maybe(0.2):
        pen.polygon((x, top), (x + 0.2, top - 0.08), (x, top - 0.16))
    if pen.maybe(0.25):
        pen.line(*((-1 + 0.25 * k, 1.1 + 0.08 * (k % 2)) for k in range(9)))


def _smiley_face(pen: Pen) -> None:
    pen.circle(0, 0, 0.95)
    _eyes(pen, pen.between(-0.4, -0.2), pen.between(0.28, 0.42))
    if pen.maybe(0.85):
        width, low = pen.between(0.4, 0.6), pen.between(0.1, 0.3)
        pen.arc(0, low, width, pen.between(0.25, 0.45), 5, 170)
        if pen.maybe(0.2):
            pen.line((-width, low), (width, low))
    if pen.maybe(0.25):
        pen.line((0, -0.1), (pen.rng.choice((-0.1, 0.1)), 0.12), (0, 0.14))
    if pen.maybe(0.12):
        for k in range(5):
            pen.line((-0.4 + 0.2 * k, -0.85), (-0.5 + 0.25 * k, -1.15))


def _sun(pen: Pen) -> None:
    radius = pen.between(0.35, 0.55)
    pen.circle(0, 0, radius)
    rays = pen.rng.choice((6, 7, 8, 8, 9, 10, 12))
    turn, gap, far = pen.between(0, 6.3), pen.between(0, 0.12), pen.between(0.8, 1.05)
    pointed = pen.maybe(0.2)
    for k in range(rays):
        angle, half = turn + 2 * math.pi * k / rays, math.pi / rays
        reach = far * pen.between(0.85, 1.1)
        near = radius + gap
        tip = (reach * math.cos(angle), reach * math.sin(angle))
        if pointed:
            foot = [(near * math.cos(a), near * math.sin(a)) for a in (angle - half * 0.8, angle + half * 0.8)]
            pen.line(foot[0], tip, foot[1])
        else:
            pen.line((near * math.cos(angle), near * math.sin(angle)), tip)
    if pen.maybe(0.15):
        _eyes(pen, -0.1, 0.15)
        pen.arc(0, 0.05, 0.2, 0.18, 0, 180)


def _tree(pen: Pen) -> None:
    width, foot = pen.between(0.08, 0.18), pen.between(0.8, 1)
    style = pen.rng.random()
    if style < 0.35:  # a cloud of leaves
        y, lobes = pen.between(-0.4, -0.25), pen.rng.choice((6, 7, 8, 9))
        rx, ry = pen.between(0.5, 0.7), pen.between(0.4, 0.6)
        crown = []
        for k in range(3 * lobes + 1):  # three points a lobe: in the notch, and on the bulge to both sides
            angle, bulge = math.pi / 2 + 2 * math.pi * k / (3 * lobes), 0.85 if k % 3 == 0 else 1.1
            crown.append((rx * bulge * math.cos(angle), y + ry * bulge * math.sin(angle)))
        pen.line(*crown)
        top = y + ry * 0.9
    elif style < 0.65:  # one round crown
        y, ry = pen.between(-0.4, -0.3), pen.between(0.45, 0.6)
        pen.ellipse(0, y, pen.between(0.5, 0.7), ry)
        top = y + ry
    else:  # a fir of one or more tiers
        tiers = pen.rng.choice((1, 2, 3, 3))
        for k in range(tiers):
            low, high = -1 + 1.5 * (k + 1) / tiers, -1 + 1.2 * k / tiers
            half = 0.35 + 0.35 * (k + 1) / tiers
            pen.polygon((0, high), (half, low), (-half, low))
        top = 0.5
    pen.line((-width, top), (-width * pen.between(0.9, 1.5), foot))
    pen.line((width, top), (width * pen.between(0.9, 1.5), foot))
    if pen.maybe(0.3):
        pen.line((-0.7, foot), (0.7, foot))


def _umbrella(pen: Pen) -> None:
    rim, high = pen.between(-0.1, 0.05), pen.between(0.65, 0.9)
    pen.arc(0, rim, 0.95, high, 180, 180)
    bows = pen.rng.choice((0, 1, 3, 3, 4, 5))
    if bows < 2:
        pen.line((-0.95, rim), (0.95, rim))
    for k in range(bows if bows > 1 else 0):
        half = 0.95 / bows
        pen.arc(-0.95 + half * (2 * k + 1), rim, half, 0.15, 180, 180)
    foot, hook = pen.between(0.7, 0.9), pen.between(0.12, 0.2)
    pen.line((0, rim - (high if pen.maybe(0.3) else 0)), (0, foot))
    if pen.maybe(0.85):
        side = pen.rng.choice((-1, 1))
        pen.arc(side * hook, foot, hook, hook, 180 if side > 0 else 0, -side * 180)
    if bows > 1 and pen.maybe(0.4):
        for k in range(1, bows):
            pen.line((-0.95 + 1.9 * k / bows, rim), (0, rim - high))


def _eyes(pen: Pen, y: float, x: float) -> None:
    """A pair of eyes, at x to both sides."""
    radius, filled = pen.between(0.05, 0.12), pen.maybe(0.4)
    for side in (-1, 1):
        if pen.maybe(0.95):
            _eye(pen, side * x, y, 0.03 if filled else radius)


def _eye(pen: Pen, x: float, y: float, radius: float) -> None:
    if radius < 0.05 and pen.maybe(0.7):
        pen.dot(x, y)
    else:
        pen.circle(x, y, radius)


def _window(pen: Pen, x: float, y: float, half: float) -> None:
    pen.polygon((x - half, y - half), (x + half, y - half), (x + half, y + half), (x - half, y + half))
    if pen.maybe(0.5):
        pen.line((x, y - half), (x, y + half))
        pen.line((x - half, y), (x + half, y))


SUBJECTS: Mapping[str, Callable[[Pen], None]] = MappingProxyType(
    {
        "car": _car,
        "cat": _cat,
        "cup": _cup,
        "envelope": _envelope,
        "fish": _fish,
        "flower": _flower,
        "house": _house,
        "sailboat": _sailboat,
        "smiley face": _smiley_face,
        "sun": _sun,
        "tree": _tree,
        "umbrella": _umbrella,
    }
)
"""What can be drawn, by name, in code-point order."""
