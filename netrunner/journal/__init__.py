"""The journal: segments of records and bodies, written before anything leaves, read by cursors."""
