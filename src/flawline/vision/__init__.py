"""Images in, images out: decoding, folder layouts, storage, patches, defects, anomaly maps. Plain numpy."""
