"""Container images in files: `docker save` archives and OCI layouts, read and unpacked without a container engine."""

from conformance.oci.archive import ImageArchive, ImageConfig, open_archive
from conformance.oci.errors import ImageArchiveError
from conformance.oci.unpack import unpack

__all__ = ["ImageArchive", "ImageArchiveError", "ImageConfig", "open_archive", "unpack"]
