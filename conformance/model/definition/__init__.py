"""The file boundary: reads definitions and mutants, and says everything that is wrong with them at once."""

from conformance.model.definition.load import bundled, load_binding, load_mutant, resolve

__all__ = ["bundled", "load_binding", "load_mutant", "resolve"]
