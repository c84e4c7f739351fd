"""Scattering features and a linear head: what private training reaches with nothing learned but a line.

Two layers of fixed wavelets, each followed by a modulus, averaged (Bruna and Mallat 2013, arXiv:1203.1513); Tramer and
Boneh 2021 (arXiv:2011.11660) found a linear classifier on them hard to beat without public data. The Morlet wavelets
are those of Kymatio (Andreux et al. 2020), as plain strided convolutions, so that every engine and export has them.
"""

import math

import torch
from jaxtyping import Complex, Float
from torch import Tensor, nn
from torch.nn.functional import conv2d, pad

from dpmed.core.specs import ModelSpec

SCALES, ANGLES = 2, 8
CHANNELS = 1 + SCALES * ANGLES + ANGLES**2
"""Of one input channel: its mean, what each wavelet finds, and what each wavelet of scale 1 finds in those of 0."""
IN_GROUP = 9
"""Channels that are normalised together, as in Tramer and Boneh 2021."""
SLANT = 4 / ANGLES
DEVIATIONS = 3
"""How far from its centre a wavelet is cut off, in standard deviations of its envelope."""


class Scattering(nn.Module):
    """From images to `CHANNELS` maps for each of their channels, a quarter as wide. Nothing in it is learned.

    The wavelets are parameters that need no gradient: they move with the network, and no forward pass can write to
    them.
    """

    def __init__(self) -> None:
        super().__init__()
        self.fine = _fixed(_bank(scale=0))
        self.coarse = _fixed(_bank(scale=1))
        self.mean = _fixed(_window(scale=1))
        self.half_mean = _fixed(_window(scale=0))

    def forward(self, images: Float[Tensor, "image channel row column"]) -> Float[Tensor, "image feature r c"]:
        """Channel by channel."""
        count, channels = images.shape[:2]
        each = images.flatten(0, 1).unsqueeze(1)
        fine, coarse = _modulus(each, self.fine, stride=1), _modulus(each, self.coarse, stride=2)
        again = _modulus(fine, self.coarse, stride=2)
        maps = [
            _each_by(each, self.mean, stride=4),
            _each_by(fine, self.mean, stride=4),
            _each_by(coarse, self.half_mean, stride=2),
            _each_by(again, self.half_mean, stride=2),
        ]
        stacked = torch.cat(maps, dim=1)
        return stacked.view(count, channels * CHANNELS, *stacked.shape[2:])


class ScatteringNet(nn.Module):
    """Features, normalised in groups within each image, averaged over a grid of `width` by `width`, and a linear head.

    A volume's slices are looked at one by one, and their features averaged.
    """

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        channels = CHANNELS * spec.in_channels
        self.scattering = Scattering()
        self.norm = nn.GroupNorm(channels // IN_GROUP, channels, affine=False)
        self.pool = nn.AdaptiveAvgPool2d(spec.width)
        self.head = nn.Linear(channels * spec.width**2, spec.out_channels)

    def forward(self, images: Float[Tensor, "image channel *space"]) -> Float[Tensor, "image output"]:
        """Logits."""
        if images.dim() == 4:
            features = self._features(images)
        else:
            slices = images.transpose(1, 2)
            features = self._features(slices.flatten(0, 1)).view(*slices.shape[:2], -1).mean(1)
        answer: Tensor = self.head(features)
        return answer

    def _features(self, images: Tensor) -> Float[Tensor, "image feature"]:
        pooled: Tensor = self.pool(self.norm(self.scattering(images)))
        return pooled.flatten(1)


def _fixed(values: Tensor) -> nn.Parameter:
    return nn.Parameter(values, requires_grad=False)


def _modulus(images: Float[Tensor, "image map row column"], bank: Tensor, *, stride: int) -> Tensor:
    """The size of what each wavelet finds in each map; `bank` has real parts first, then imaginary ones."""
    found = _each_by(images, bank, stride=stride)
    real, imaginary = found.view(found.shape[0], images.shape[1], 2, -1, *found.shape[2:]).unbind(2)
    size: Tensor = (real.square() + imaginary.square()).sqrt()
    return size.flatten(1, 2)


def _each_by(images: Float[Tensor, "image map row column"], filters: Tensor, *, stride: int) -> Tensor:
    """Every map by every filter, mirrored at the edges."""
    margin = filters.shape[-1] // 2
    flat = pad(images.flatten(0, 1).unsqueeze(1), [margin] * 4, mode="reflect")
    found = conv2d(flat, filters, stride=stride)
    return found.view(images.shape[0], -1, *found.shape[2:])


def _bank(*, scale: int) -> Float[Tensor, "wavelet 1 size size"]:
    """The Morlet wavelets of a scale, at every angle: real parts, then imaginary parts."""
    waves = [_morlet(scale, (ANGLES - ANGLES // 2 - 1 - angle) * math.pi / ANGLES) for angle in range(ANGLES)]
    bank = torch.stack(waves)
    return torch.cat([bank.real, bank.imag]).unsqueeze(1).float()


def _morlet(scale: int, angle: float) -> Complex[Tensor, "size size"]:
    """A plane wave under a Gaussian that is twice as long across the wave as along it; its mean is zero."""
    sigma, frequency = 0.8 * 2.0**scale, 0.75 * math.pi / 2.0**scale
    rows, columns = _places(sigma / SLANT)
    along = rows * math.cos(angle) + columns * math.sin(angle)
    across = columns * math.cos(angle) - rows * math.sin(angle)
    envelope = torch.exp(-(along.square() + SLANT**2 * across.square()) / (2 * sigma**2))
    wave = envelope * torch.exp(1j * frequency * along)
    centred: Tensor = (wave - wave.sum() / envelope.sum() * envelope) * (SLANT / (2 * math.pi * sigma**2))
    return centred


def _window(*, scale: int) -> Float[Tensor, "1 1 size size"]:
    """A Gaussian that averages, of sum one."""
    sigma = 0.8 * 2.0**scale
    rows, columns = _places(sigma)
    window: Tensor = torch.exp(-(rows.square() + columns.square()) / (2 * sigma**2))
    return (window / window.sum()).float()[None, None]


def _places(sigma: float) -> tuple[Tensor, Tensor]:
    reach = math.ceil(DEVIATIONS * sigma)
    line = torch.arange(-reach, reach + 1, dtype=torch.float64)
    rows, columns = torch.meshgrid(line, line, indexing="ij")
    return rows, columns
