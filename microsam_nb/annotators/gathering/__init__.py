"""Images with their objects for a training: found, read, checked, cut into planes and split into two parts."""
