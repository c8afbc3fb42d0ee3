"""The catalog of base models: a YAML file of this package, over which an operator's own is merged."""

from infra.catalog._files import CatalogError, read_catalog

__all__ = ["CatalogError", "read_catalog"]
