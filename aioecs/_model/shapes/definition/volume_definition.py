"""The data volumes of a task definition."""

from __future__ import annotations

from collections.abc import Mapping

from aioecs._model.codec.shape import Shape, member, shape
from aioecs._model.shapes.definition.enums import EFSAuthorizationConfigIAM, EFSTransitEncryption, Scope


@shape
class HostVolumeProperties(Shape):
    """A directory of the container instance that is mounted into containers."""

    source_path: str | None = None
    """Path on the container instance; empty, Docker assigns one, and the data may be gone with the containers.

    Not on AWS Fargate [model].
    """


@shape
class DockerVolumeConfiguration(Shape):
    """A Docker volume. Only on container instances, not on AWS Fargate [model]."""

    scope: Scope | str | None = None
    """Whether the volume goes with its task or stays."""
    autoprovision: bool | None = None
    """Whether the volume is created if it isn't there; only for the scope `shared` [model]."""
    driver: str | None = None
    """Docker's name of the volume driver. On Windows only `local` [model]."""
    driver_opts: Mapping[str, str] = member(factory=dict)
    """Options for the driver."""
    labels: Mapping[str, str] = member(factory=dict)
    """Labels of the volume."""


@shape
class EFSAuthorizationConfig(Shape):
    """How a task is authorized to use an Amazon EFS file system."""

    access_point_id: str | None = None
    """ID of the access point. It needs encryption in transit, and a root directory that is absent or `/` [model]."""
    iam: EFSAuthorizationConfigIAM | str | None = None
    """Whether the task's role is used to mount; it needs encryption in transit. DISABLED by default [model]."""


@shape
class EFSVolumeConfiguration(Shape):
    """A volume on an Amazon EFS file system."""

    file_system_id: str | None = None
    """ID of the file system."""
    root_directory: str | None = None
    """Directory to mount as the root; absent or `/`, the file system's own, or the access point's path."""
    transit_encryption: EFSTransitEncryption | str | None = None
    """Whether data is encrypted in transit to the EFS server. DISABLED by default [model]."""
    transit_encryption_port: int | None = None
    """Port for encrypted data; absent, the EFS mount helper chooses."""
    authorization_config: EFSAuthorizationConfig | None = None
    """How the task is authorized."""


@shape
class S3FilesVolumeConfiguration(Shape):
    """A volume on an Amazon S3 Files file system. The task needs a task role [model]."""

    file_system_arn: str | None = None
    """ARN of the file system."""
    root_directory: str | None = None
    """Directory to mount as the root; absent or `/`, the file system's own, or the access point's path."""
    transit_encryption_port: int | None = None
    """Port for encrypted data; absent, the S3 Files mount helper chooses."""
    access_point_arn: str | None = None
    """ARN of the access point. It needs a root directory that is absent or `/` [model]."""


@shape
class FSxWindowsFileServerAuthorizationConfig(Shape):
    """How a task is authorized to use an FSx for Windows File Server file system."""

    credentials_parameter: str | None = None
    """ARN of the secret (Secrets Manager) or parameter (SSM) that holds the credentials; not the credentials."""
    domain: str | None = None
    """Domain name of the Active Directory, fully qualified."""


@shape
class FSxWindowsFileServerVolumeConfiguration(Shape):
    """A volume on an FSx for Windows File Server file system."""

    file_system_id: str | None = None
    """ID of the file system."""
    root_directory: str | None = None
    """Directory to mount as the root."""
    authorization_config: FSxWindowsFileServerAuthorizationConfig | None = None
    """How the task is authorized."""


@shape
class Volume(Shape):
    """A data volume. Beside its name, one kind of volume at most is set; without any it is a host volume [model]."""

    name: str | None = None
    """Its name, which the containers' mount points refer to; at most 255 letters, digits, `_` and `-` [model]."""
    host: HostVolumeProperties | None = None
    """A directory of the container instance."""
    docker_volume_configuration: DockerVolumeConfiguration | None = None
    """A Docker volume."""
    efs_volume_configuration: EFSVolumeConfiguration | None = None
    """A volume on Amazon EFS."""
    s3files_volume_configuration: S3FilesVolumeConfiguration | None = None
    """A volume on Amazon S3 Files."""
    fsx_windows_file_server_volume_configuration: FSxWindowsFileServerVolumeConfiguration | None = None
    """A volume on FSx for Windows File Server."""
    configured_at_launch: bool | None = None
    """Whether the volume is made as each start says, in `volume_configurations`.

    At most one volume of a task definition may be [model].
    """
