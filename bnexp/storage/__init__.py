"""Files on the disk: arrays, checkpoints, and the folders that hold them."""
