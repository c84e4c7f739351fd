"""THE PIPELINE: manifest to tensors, one MONAI pipeline for every task and every device."""

from dpmed.data.dataset import PatientDataset
from dpmed.data.spec import model_spec, task_spec
from dpmed.data.tensors import PatientTensors, WholeCase

__all__ = ["PatientDataset", "PatientTensors", "WholeCase", "model_spec", "task_spec"]
