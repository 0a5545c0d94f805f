"""From a checkpoint to a file that runs anywhere."""
