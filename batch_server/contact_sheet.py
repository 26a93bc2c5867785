"""A contact sheet: pictures on white cards with a caption under each, below a title."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

# Colours are RGB.
_GROUND = (241, 243, 245)
_CARD = (255, 255, 255)
_BORDER = (222, 226, 230)
_TEXT = (33, 37, 41)
_FAINT = (120, 128, 136)

_MARGIN_PX, _GAP_PX, _PADDING_PX, _RADIUS_PX = 28, 12, 8, 8
_TITLE_PX, _SUBTITLE_PX, _CAPTION_PX = 24, 14, 13
_CAPTION_BAND_PX = 26
# Pictures are shown as they are between these sides, enlarged by whole factors below, and shrunk above.
_SMALLEST_PX, _LARGEST_PX = 112, 256

_FONT = cv2.FontFace("sans")


class Card(NamedTuple):
    """One picture.

    Attributes:
        picture: uint8 `[side, side, channels]`, one or three (RGB) channels.
        caption: Under it; cut where it does not fit.
        faint: Whether the caption is a remark rather than a name.
    """

    picture: NDArray[np.uint8]
    caption: str
    faint: bool = False


def contact_sheet(title: str, subtitle: str, cards: Sequence[Card], columns: int) -> NDArray[np.uint8]:
    """Lays pictures out, row by row.

    Args:
        title: In large type.
        subtitle: Below it, broken into lines where needed.
        cards: At least one; all pictures have one side.
        columns: Cards in a row.

    Returns:
        uint8 `[height, width, 3]`, RGB.
    """
    side = _shown_side(len(cards[0].picture))
    card_width, card_height = side + 2 * _PADDING_PX, side + _PADDING_PX + _CAPTION_BAND_PX
    columns = min(columns, len(cards))
    rows = -(-len(cards) // columns)
    width = max(2 * _MARGIN_PX + columns * (card_width + _GAP_PX) - _GAP_PX, 560)
    lines = _wrap(subtitle, _SUBTITLE_PX, width - 2 * _MARGIN_PX)
    top = _MARGIN_PX + _TITLE_PX + 12 + len(lines) * (_SUBTITLE_PX + 8) + 12
    height = top + rows * (card_height + _GAP_PX) - _GAP_PX + _MARGIN_PX
    sheet = np.full((height, width, 3), _GROUND, np.uint8)
    _write(sheet, _fit(title, _TITLE_PX, width - 2 * _MARGIN_PX), (_MARGIN_PX, _MARGIN_PX + _TITLE_PX), _TITLE_PX, 600)
    for number, line in enumerate(lines):
        baseline = _MARGIN_PX + _TITLE_PX + 12 + number * (_SUBTITLE_PX + 8) + _SUBTITLE_PX
        _write(sheet, line, (_MARGIN_PX, baseline), _SUBTITLE_PX, colour=_FAINT)
    for number, card in enumerate(cards):
        row, column = divmod(number, columns)
        x, y = _MARGIN_PX + column * (card_width + _GAP_PX), top + row * (card_height + _GAP_PX)
        _rounded(sheet, x, y, card_width, card_height, _BORDER)
        _rounded(sheet, x + 1, y + 1, card_width - 2, card_height - 2, _CARD)
        picture = _shown(card.picture, side)
        left, upper = x + _PADDING_PX, y + _PADDING_PX
        cv2.rectangle(sheet, (left - 1, upper - 1), (left + side, upper + side), _BORDER)  # where paper is white
        sheet[upper : upper + side, left : left + side] = picture
        caption = _fit(card.caption, _CAPTION_PX, side)
        centre = x + (card_width - _text_width(caption, _CAPTION_PX)) // 2
        colour = _FAINT if card.faint else _TEXT
        _write(sheet, caption, (centre, y + card_height - _PADDING_PX), _CAPTION_PX, colour=colour)
    return sheet


def png(sheet: NDArray[np.uint8]) -> bytes:
    """A sheet as a PNG file.

    Args:
        sheet: uint8 `[height, width, 3]`, RGB.
    """
    _, encoded = cv2.imencode(".png", cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))
    return encoded.tobytes()


def _shown_side(side: int) -> int:
    return min(side * -(-_SMALLEST_PX // side), _LARGEST_PX)


def _shown(picture: NDArray[np.uint8], side: int) -> NDArray[Any]:
    how = cv2.INTER_NEAREST if side >= len(picture) else cv2.INTER_AREA
    return cv2.resize(picture, (side, side), interpolation=how).reshape(side, side, -1)


def _rounded(sheet: NDArray[np.uint8], x: int, y: int, width: int, height: int, colour: tuple[int, int, int]) -> None:
    """Fills a rectangle with round corners."""
    right, bottom = x + width - 1, y + height - 1
    cv2.rectangle(sheet, (x + _RADIUS_PX, y), (right - _RADIUS_PX, bottom), colour, cv2.FILLED)
    cv2.rectangle(sheet, (x, y + _RADIUS_PX), (right, bottom - _RADIUS_PX), colour, cv2.FILLED)
    for centre_x in (x + _RADIUS_PX, right - _RADIUS_PX):
        for centre_y in (y + _RADIUS_PX, bottom - _RADIUS_PX):
            cv2.circle(sheet, (centre_x, centre_y), _RADIUS_PX, colour, cv2.FILLED, cv2.LINE_AA)


def _write(
    sheet: NDArray[np.uint8],
    text: str,
    baseline: tuple[int, int],
    height_px: int,
    weight: int = 400,
    colour: tuple[int, int, int] = _TEXT,
) -> None:
    cv2.putText(sheet, text, baseline, colour, _FONT, height_px, weight)


def _text_width(text: str, height_px: int) -> int:
    left, _, width, _ = cv2.getTextSize((0, 0), text, (0, 0), _FONT, height_px, 400)
    return int(left + width)


def _fit(text: str, height_px: int, width_px: int) -> str:
    """As much of the text as fits, with an ellipsis where it is cut."""
    if _text_width(text, height_px) <= width_px:
        return text
    while text and _text_width(text + "…", height_px) > width_px:
        text = text[:-1]
    return text.rstrip() + "…"


def _wrap(text: str, height_px: int, width_px: int) -> list[str]:
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and _text_width(longer, height_px) > width_px:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines
