"""What happens to each attribute of DICOM: the standard's table, an allow-list, words, and profiles."""
