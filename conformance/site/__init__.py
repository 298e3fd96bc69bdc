"""What a cluster's owner says about it: the site file."""

from conformance.site.load import SiteError, load_site
from conformance.site.site import Guest, Mirror, Site

__all__ = ["Guest", "Mirror", "Site", "SiteError", "load_site"]
