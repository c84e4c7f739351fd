"""The layers every network of the catalogue is made of: normalisation within one image, and ReLU that keeps its input.

GroupNorm (Wu and He 2018) looks at one image alone, so no patient's output depends on another patient. An activation
that overwrites its input would break `torch.func`, which still needs that input for the gradient.
"""

Layer = tuple[str, dict[str, object]]
"""A layer as MONAI's factories take it: a name and its arguments."""

RELU: Layer = ("relu", {"inplace": False})
MOST_GROUPS = 8


def group_norm(channels: int) -> Layer:
    """GroupNorm with as many groups as divide `channels`, at most eight; it fits every multiple of `channels` too."""
    groups = max(n for n in range(1, MOST_GROUPS + 1) if channels % n == 0)
    return ("group", {"num_groups": groups})
