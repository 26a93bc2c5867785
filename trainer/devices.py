"""Which devices compute, from what the user wrote; to be called before anything else makes JAX look for devices."""

import jax

from inkstream.command_line import UsageError


def choose_devices(text: str) -> list[jax.Device]:
    """The local devices that `text` names.

    Args:
        text: `all`; a count; a list of numbers, `0,2` or `1,`; `cpu`, one CPU device; `cpu:N`, N of them.

    Raises:
        UsageError: It names none, or more than there are.
    """
    if text == "cpu" or text.startswith("cpu:"):
        return _cpu_devices(_whole(text.removeprefix("cpu").removeprefix(":") or "1", text))
    devices = jax.local_devices()
    if text == "all":
        return devices
    if "," in text:
        numbers = [_whole(part, text) for part in text.split(",") if part]
        if not numbers or len(set(numbers)) < len(numbers):
            raise UsageError(f"--devices must name each device once, got {text!r}")
    else:
        numbers = list(range(_whole(text, text)))
        if not numbers:
            raise UsageError("--devices must be at least 1, got 0")
    if max(numbers) >= len(devices):
        raise UsageError(f"--devices {text} asks for device {max(numbers)}, there are 0 to {len(devices) - 1}")
    return [devices[number] for number in numbers]


def _cpu_devices(count: int) -> list[jax.Device]:
    if count < 1:
        raise UsageError("--devices cpu:N needs at least 1 device, got 0")
    try:
        jax.config.update("jax_platforms", "cpu")
        jax.config.update("jax_num_cpu_devices", count)
    except RuntimeError:  # JAX has started already, as within a larger program: take what it has
        pass
    devices = jax.local_devices(backend="cpu")
    if len(devices) < count:
        raise UsageError(f"--devices cpu:{count} asks for {count} devices, JAX was started with {len(devices)}")
    return devices[:count]


def _whole(part: str, text: str) -> int:
    if not part.isascii() or not part.isdigit():
        raise UsageError(f"--devices must be all, a count, a list such as 0,2, cpu or cpu:N, got {text!r}")
    return int(part)
