"""How much a single input may ask for. Generous for hospitals, far below what brings a machine down."""

MAX_FILES = 5_000_000
MAX_FOLDER_DEPTH = 32
MAX_FILE_BYTES = 4 * 2**30
MAX_IMAGE_BYTES = 4 * 2**30
"""Of one decoded image or volume, whatever its header or compressed form claims."""
MAX_INFLATED_BYTES = 512 * 2**20
"""Of a deflated DICOM file, which is inflated in memory."""
MAX_SLICE_PIXELS = 2**26
MAX_FRAMES = 2**14
MAX_SEQUENCE_DEPTH = 32
MAX_ELEMENTS = 200_000
MAX_ITEMS = 250_000
"""Of all sequences of one object, and fragments of its pixels."""
MAX_ZIP_FILES = 500_000
MAX_ZIP_BYTES = 64 * 2**30
MAX_CSV_BYTES = 256 * 2**20
MAX_JSON_BYTES = 64 * 2**20
"""Of a description of a dataset; a larger one is taken for no description."""
