"""The same work as others do it: what jaxcolor is measured against."""
