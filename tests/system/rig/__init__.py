"""The real things the system tests are made of: network namespaces, Warder, OPA, origins, clients."""
