"""The machine this process runs on: the programs it has, and what it lacks."""
