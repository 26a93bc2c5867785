"""Sine and cosine with equal bits on every processor, which those of the C library and NumPy do not have."""

from batch_server.rendering.compiled import piece

RADIANS_PER_DEGREE = 0.017453292519943295


@piece
def sine_cosine(angle_deg: float) -> tuple[float, float]:
    """Sine and cosine of an angle in degrees, each within 1e-15; exact at multiples of 90.

    Args:
        angle_deg: -180 to 180.

    Returns:
        `(sine, cosine)`.
    """
    # Whole quarter turns are taken off first, so that the series sees at most 45 degrees.
    quarters = int(angle_deg / 90.0 + 2.5) - 2
    sine, cosine = _series((angle_deg - 90.0 * quarters) * RADIANS_PER_DEGREE)
    if quarters == 0:
        return sine, cosine
    if quarters == 1:
        return cosine, -sine
    if quarters == -1:
        return -cosine, sine
    return -sine, -cosine


@piece
def _series(x: float) -> tuple[float, float]:
    """The Taylor series by Horner's rule; the first term left out is below 1e-16 for |x| up to pi/4."""
    square = x * x
    sine = 1.0
    for n in (16.0, 14.0, 12.0, 10.0, 8.0, 6.0, 4.0, 2.0):
        sine = 1.0 - square / (n * (n + 1.0)) * sine
    cosine = 1.0
    for n in (15.0, 13.0, 11.0, 9.0, 7.0, 5.0, 3.0, 1.0):
        cosine = 1.0 - square / (n * (n + 1.0)) * cosine
    return sine * x, cosine
