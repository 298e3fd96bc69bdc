"""The bundle that a failing check leaves, and how secrets are kept out of it."""
