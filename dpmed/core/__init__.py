"""THE VOCABULARY: frozen records, configuration, folders, events and errors. Free of torch."""
