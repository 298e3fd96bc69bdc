"""Every image and third-party manifest the suite uses, locked by digest in one file, and how they get to a cluster."""
