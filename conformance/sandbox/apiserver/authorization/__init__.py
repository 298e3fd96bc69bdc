"""Role-based access control as Kubernetes has it: who may do what, from Roles and bindings in the store."""
