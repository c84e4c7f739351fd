"""The allow-list: every DICOM attribute whose value may influence an output, and why. Nothing else is ever copied.

The output is NIfTI, which carries an array, an affine and voxel sizes. Attributes that only sort files into series
and patients are read too; of those, nothing but a keyed pseudonym survives.
"""

KEPT = {
    "Rows": "size of the picture",
    "Columns": "size of the picture",
    "SamplesPerPixel": "grey or colour",
    "PhotometricInterpretation": "grey or colour, and which end is bright",
    "BitsAllocated": "how pixels are stored",
    "BitsStored": "how pixels are stored",
    "HighBit": "how pixels are stored",
    "PixelRepresentation": "how pixels are stored",
    "PixelData": "the picture",
    "NumberOfFrames": "one slice a file or more",
    "RescaleSlope": "stored number to Hounsfield unit",
    "RescaleIntercept": "stored number to Hounsfield unit",
    "RescaleType": "whether that unit is the Hounsfield unit",
    "PixelSpacing": "voxel size",
    "ImagerPixelSpacing": "voxel size of X-rays",
    "SliceThickness": "voxel size of a single slice",
    "SpacingBetweenSlices": "voxel size of a single slice",
    "ImagePositionPatient": "place of a slice",
    "ImageOrientationPatient": "direction of a slice",
    "Modality": "CT, MR or X-ray",
    "ImageType": "localiser or not",
}
"""Reach the output as an array, an affine, voxel sizes and a modality."""

GROUPING = {
    "PatientID": "which files are one patient; becomes a pseudonym",
    "IssuerOfPatientID": "which files are one patient; becomes a pseudonym",
    "SeriesInstanceUID": "which files are one series; becomes a pseudonym",
    "SOPClassUID": "what kind of object this is; not kept",
    "BurnedInAnnotation": "whether text is burned in; not kept",
}
"""Read to sort files, then dropped."""
