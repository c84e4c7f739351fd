"""Choices that the command line offers too. Apart from the records, so that `--help` need not load pydantic."""

from typing import Literal

Accountant = Literal["pld", "prv", "rdp"]
Device = Literal["auto", "cpu", "cuda", "ipu"]
Pretraining = Literal["supervised", "centre", "self-supervised"]
Task = Literal["covid-ct", "brats"]
OutputFormat = Literal["nifti", "dicom"]
Pixels = Literal["gate", "redact", "ignore"]
"""What becomes of pictures with text burned in."""
Faces = Literal["gate", "remove", "ignore"]
"""What becomes of volumes that show a face."""
ExportFormat = Literal["torchscript", "onnx", "monai-bundle", "safetensors"]
