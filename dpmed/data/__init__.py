"""THE PIPELINE: manifest to tensors, one MONAI pipeline for every task and every device."""
