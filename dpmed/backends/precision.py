"""Products in bfloat16, everything else in float32: what the speed flag `precision = "bfloat16"` does."""

import torch
from torch import Tensor, nn


def half_precision(model: nn.Module, device: str) -> None:
    """Make the network's forward, and so its backward, multiply in bfloat16 (autocast); logits come in float32."""
    forward = model.forward

    def lowered_forward(images: Tensor) -> Tensor:
        with torch.autocast(device, torch.bfloat16):
            logits: Tensor = forward(images)
        return logits.float()

    model.forward = lowered_forward


def lowered(tensor: Tensor) -> Tensor:
    """As autocast would hand it to a convolution here; unchanged outside of autocast."""
    device = tensor.device.type
    return tensor.to(torch.get_autocast_dtype(device)) if torch.is_autocast_enabled(device) else tensor


def raised(tensor: Tensor) -> Tensor:
    """In the precision of norms and sums: float32 at least."""
    return tensor.float() if tensor.dtype == torch.bfloat16 else tensor
