"""Colours of strokes in the encoding `rainbow`: the hue starts at red and turns with every stroke.

Hues are counted as OpenCV does, 0..179 for a full turn.
"""

import numpy as np
import numpy.typing as npt

from batch_server.rendering.compiled import piece

HUES = 180

# RGB of OpenCV's 180 hues at saturation 255 and value 220, as `cvtColor(..., COLOR_HSV2RGB)` gives them in rows of a
# multiple of 32 pixels. A table, because the conversion differs by 1 between processors, and between the body and the
# tail of a row.
CLASSIC_RGB: npt.NDArray[np.uint8] = np.frombuffer(
    bytes.fromhex(
        "dc0000dc0700dc0e00dc1600dc1d00dc2400dc2c00dc3300dc3a00dc4200dc4900dc5000dc5800dc5f00dc6600dc6e00dc7500dc7c00"
        "dc8400dc8b00dc9200dc9a00dca100dca800dcb000dcb700dcbe00dcc600dccd00dcd400dcdc00d4dc00cddc00c6dc00bedc00b7dc00"
        "b0dc00a8dc00a1dc0099dc0092dc008bdc0083dc007cdc0075dc006ddc0066dc005fdc0057dc0050dc0049dc0041dc003adc0033dc00"
        "2bdc0024dc001ddc0015dc000edc0007dc0000dc0000dc0700dc0e00dc1600dc1d00dc2400dc2c00dc3300dc3a00dc4200dc4900dc50"
        "00dc5800dc5f00dc6600dc6e00dc7500dc7c00dc8400dc8b00dc9200dc9a00dca100dca800dcb000dcb700dcbe00dcc600dccd00dcd4"
        "00dbdc00d4dc00cddc00c5dc00bedc00b7dc00afdc00a8dc00a1dc0099dc0092dc008bdc0083dc007cdc0075dc006ddc0066dc005fdc"
        "0057dc0050dc0049dc0041dc003adc0033dc002bdc0024dc001ddc0015dc000edc0007dc0000dc0700dc0e00dc1600dc1d00dc2400dc"
        "2c00dc3300dc3a00dc4200dc4900dc5000dc5800dc5f00dc6600dc6e00dc7500dc7c00dc8400dc8b00dc9200dc9a00dca100dca800dc"
        "b000dcb700dcbe00dcc600dccd00dcd400dcdc00dbdc00d4dc00cddc00c5dc00bedc00b7dc00afdc00a8dc00a1dc0099dc0092dc008b"
        "dc0083dc007cdc0075dc006ddc0066dc005fdc0057dc0050dc0049dc0041dc003adc0033dc002bdc0024dc001ddc0015dc000edc0007"
    ),
    np.uint8,
).reshape(HUES, 3)


@piece
def stroke_hue(stroke: int, strokes: int) -> int:
    """The hue of stroke number `stroke` (from 0) of `strokes`: steps of the integer 180 / strokes, starting at red."""
    return stroke * (HUES // strokes)


@piece
def rainbow_colour(stroke: int, strokes: int, brightness: int) -> tuple[int, int, int]:
    """Red, green and blue of a stroke in the antialiased style, full saturation, each in 0..brightness."""
    sector, turned = divmod(stroke_hue(stroke, strokes), 30)
    rising = (brightness * turned + 15) // 30
    falling = (brightness * (30 - turned) + 15) // 30
    if sector == 0:
        return brightness, rising, 0
    if sector == 1:
        return falling, brightness, 0
    if sector == 2:
        return 0, brightness, rising
    if sector == 3:
        return 0, falling, brightness
    if sector == 4:
        return rising, 0, brightness
    return brightness, 0, falling
