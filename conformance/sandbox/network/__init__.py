"""Nodes and pods of the sandbox as Linux network namespaces, and the CNI and Multus semantics that join them."""
