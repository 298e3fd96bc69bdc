"""An image that a definition brings as an archive: what it starts with, and what can be wrong with it."""

from __future__ import annotations

from dataclasses import replace

from conformance.model.binding import ImageArtifact
from conformance.model.definition.findings import FieldPath, Findings
from conformance.oci import ImageArchiveError, open_archive

NO_COMMAND = "the sidecar's image has no command"
NO_COMMAND_FIX = "add the command that the image starts with; KubeVirt gives a sidecar none"


def archive_image(
    image: ImageArtifact, value: str, is_sidecar: bool, path: FieldPath, findings: Findings
) -> ImageArtifact:
    """Fill in what the archive itself says; what is wrong with it is noted at the field, with ``value`` as written.

    Its documents and layers are compared with their digests here; what is in the layers when they are unpacked.
    """
    assert image.archive is not None
    try:
        with open_archive(image.archive, image.name) as archive:
            config = archive.config
    except ImageArchiveError as error:
        findings.error((*path, "archive"), error.problem, error.fix, value=value)
        return image
    command = image.command or config.entrypoint
    args = () if image.command else config.cmd
    if is_sidecar and not (command or args):
        findings.error((*path, "archive"), NO_COMMAND, NO_COMMAND_FIX, value=value)
    return replace(
        image,
        command=command,
        args=args,
        env={**config.env, **image.env},
        user=config.user,
        working_directory=config.working_directory,
    )
