"""Shipped configuration files: the general one, one per mode, the aliases of base models."""
