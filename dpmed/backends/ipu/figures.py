"""What was published about IPUs, each number with its source: all that an estimate without a device can rest on."""

from dpmed.core.record import Record

DOCS = "docs.graphcore.ai/projects"


class Figure(Record):
    """A number, and where it was published."""

    value: float
    unit: str
    source: str


class Chip(Record):
    """A kind of IPU: its name, and the operations a second of all its tiles together, at best."""

    name: str
    half: Figure
    single: Figure

    def peak(self, *, half: bool) -> float:
        """Operations a second at best, in float16 or float32."""
        return (self.half if half else self.single).value


TILES = Figure(value=1472, unit="tiles", source=f"5,888 cores on four IPUs: {DOCS}/bow-2000-datasheet")
TILE_BYTES = Figure(
    value=638_976, unit="bytes a tile", source=f"{DOCS}/memory-performance-optimisation, debugging an out-of-memory"
)
MEMORY_BYTES = int(TILES.value * TILE_BYTES.value)
"""Of one IPU, 897 MiB, which is sold as 900 MB."""

_POD128 = f"31.955 petaFLOPS FP16.16, 7.989 FP32 by 128 IPUs: {DOCS}/ipu-pod128-datasheet"
MK2 = Chip(
    name="Mk2",
    half=Figure(value=31.955e15 / 128, unit="FLOP/s", source=_POD128),
    single=Figure(value=7.989e15 / 128, unit="FLOP/s", source=_POD128),
)
BOW = Chip(
    name="Bow",
    half=Figure(
        value=1.4e15 / 4, unit="FLOP/s", source=f"1.4 petaFLOPS FP16.16 by four IPUs: {DOCS}/bow-2000-datasheet"
    ),
    single=Figure(value=1.4e15 / 16, unit="FLOP/s", source="a quarter of FP16.16, as on Mk2"),
)
CHIPS = (MK2, BOW)
PODS = (4, 16, 64, 256)
"""How many IPUs the systems have: POD4, POD16, POD64, POD256."""
MOST_IPUS_OF_A_COPY = 64
"""That one process can have, in a power of two: PopART's own check."""

_NANOBATCH = "ResNet-50, 100 epochs of 1,281,167 images in 6 hours on a POD16: arXiv:2109.12191, first version"
NANOBATCH_IMAGES = Figure(value=100 * 1_281_167 / (6 * 3600) / 16, unit="images/s an IPU", source=_NANOBATCH)
"""The one published speed of training with a clip after every single image: Mk2, float16."""
RESNET50_OPERATIONS = Figure(
    value=3 * 2 * 4.09e9,
    unit="FLOP an image",
    source="4.09e9 multiply-adds forward (torchvision's ResNet50_Weights), twice that again backward",
)
RESNET50_LAYERS = Figure(
    value=54, unit="layers with a product", source="53 convolutions and a linear layer: arXiv:1512.03385, table 1"
)

HOST_BYTES = Figure(
    value=100e9 / 8, unit="bytes/s", source=f"one host with one 100 GbE adapter: {DOCS}/ipu-podda-build-test"
)

TEMPORARY_SHARE = Figure(
    value=0.16,
    unit="of the memory",
    source="available_memory_proportion of ResNet-50 in graphcore/examples, vision/cnns/pytorch/train/configs.yml",
)
"""Set aside for what convolutions hold while they run; `hardware.ipu_memory_proportion` takes its place where set."""
CODE_SHARE = Figure(
    value=0.25,
    unit="of the memory",
    source="assumed: with it the ResNet-50 of that file, 18 images at once in float16, fills an IPU as published",
)
"""Set aside for programs and for what is passed between tiles."""


def figures() -> dict[str, Figure]:
    """All of them by name, for whoever wants to check an estimate."""
    return {
        "tiles": TILES,
        "tile_bytes": TILE_BYTES,
        **{f"{chip.name.lower()}_float16": chip.half for chip in CHIPS},
        **{f"{chip.name.lower()}_float32": chip.single for chip in CHIPS},
        "nanobatch_images_per_second": NANOBATCH_IMAGES,
        "resnet50_operations": RESNET50_OPERATIONS,
        "resnet50_layers": RESNET50_LAYERS,
        "host_bytes_per_second": HOST_BYTES,
        "temporary_share": TEMPORARY_SHARE,
        "code_share": CODE_SHARE,
    }
