"""Generated phantoms: chest CT as DICOM with planted identifiers, BraTS-like NIfTI."""
