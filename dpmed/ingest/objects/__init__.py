"""DICOM in, DICOM out: every element is looked at as it lies in the file, and kept only if a rule says so."""
