"""Records in, text or tables out. Nothing here prints, measures or reads a device."""
