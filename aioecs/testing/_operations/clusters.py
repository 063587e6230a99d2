"""Clusters: creating, updating and deleting them, and associating capacity providers."""

from __future__ import annotations

from aioecs.testing._errors import AwsError, client_error, invalid
from aioecs.testing._operations.members import Json, structure, structures, text, texts
from aioecs.testing._operations.wire_format import cluster_on_wire
from aioecs.testing._placement import strategy as _strategy
from aioecs.testing._state.account import Account
from aioecs.testing._state.records import Cluster

ALL = frozenset({"TAGS", "SETTINGS", "CONFIGURATIONS", "STATISTICS", "ATTACHMENTS"})


def configure(account: Account, cluster: Cluster, request: Json) -> None:
    """Apply the members of the request that creates a cluster.

    Raises:
        AwsError: a setting, a capacity provider or the default strategy is invalid.
    """
    settings, names = _settings(request), _provider_names(account, cluster, request)
    strategy = _strategy.check(request, "defaultCapacityProviderStrategy", names)
    cluster.settings.update(settings)
    cluster.providers, cluster.strategy = names, strategy
    _set_configuration(cluster, request)


def update_cluster(account: Account, request: Json, _: float, __: int) -> Json:
    """Replace the settings that the request names, the configuration, and the Service Connect defaults."""
    cluster = account.cluster(_named(request))
    settings = _settings(request)
    cluster.settings.update(settings)
    _set_configuration(cluster, request)
    return {"cluster": cluster_on_wire(cluster, ALL)}


def update_cluster_settings(account: Account, request: Json, _: float, __: int) -> Json:
    """Replace the settings that the request names."""
    cluster = account.cluster(_named(request))
    settings = _settings(request)
    if not settings:
        raise invalid("Settings can not be empty.")
    cluster.settings.update(settings)
    return {"cluster": cluster_on_wire(cluster, ALL)}


def put_cluster_capacity_providers(account: Account, request: Json, _: float, __: int) -> Json:
    """Replace the capacity providers of a cluster and its default strategy; one in use can't be removed."""
    cluster = account.cluster(_named(request))
    names = _provider_names(account, cluster, request)
    strategy = _strategy.check(request, "defaultCapacityProviderStrategy", names)
    for task in cluster.task_index.live.values():
        if task.capacity_provider is not None and task.capacity_provider not in names:
            raise AwsError(
                "ResourceInUseException",
                f"The capacity provider {task.capacity_provider} is in use by tasks and can't be disassociated.",
            )
    cluster.providers, cluster.strategy = names, strategy
    return {"cluster": cluster_on_wire(cluster, ALL)}


def delete_cluster(account: Account, request: Json, _: float, __: int) -> Json:
    """Delete a cluster without instances and tasks; it remains as INACTIVE. [model]"""
    cluster = account.cluster(_named(request))
    if any(each.status != "INACTIVE" for each in cluster.instances.values()):
        raise AwsError(
            "ClusterContainsContainerInstancesException",
            "The Cluster cannot be deleted while Container Instances are active or draining.",
        )
    if cluster.task_index.live:
        raise AwsError("ClusterContainsTasksException", "The Cluster cannot be deleted while Tasks are active.")
    cluster.status = "INACTIVE"
    cluster.providers, cluster.strategy = [], []
    return {"cluster": cluster_on_wire(cluster, frozenset())}


def _named(request: Json) -> Json:
    if not text(request, "cluster"):
        raise invalid("Cluster name should not be empty.")
    return request


def _settings(request: Json) -> dict[str, str]:
    given = {text(each, "name") or "": text(each, "value") or "" for each in structures(request, "settings")}
    for name, value in given.items():
        if name != "containerInsights" or not value:
            raise invalid(f"Invalid cluster setting {name!r} with value {value!r}.")
    return given


def _set_configuration(cluster: Cluster, request: Json) -> None:
    configuration = structure(request, "configuration")
    if configuration is not None:
        cluster.configuration = configuration
    defaults = structure(request, "serviceConnectDefaults")
    if defaults is not None:
        cluster.service_connect = defaults


def _provider_names(account: Account, cluster: Cluster, request: Json) -> list[str]:
    """Return the capacity providers by name, which must exist; a group belongs to one cluster. [model]"""
    names = [account.provider(each).name for each in texts(request, "capacityProviders")]
    if len(names) > _strategy.PROVIDERS:
        raise invalid(f"capacityProviders can have at most {_strategy.PROVIDERS} items.")
    for name in names:
        for other in account.clusters.values():
            if other is not cluster and name in other.providers and not _strategy.is_fargate(name):
                raise client_error(f"The capacity provider {name} is associated with cluster {other.name} already.")
    return list(dict.fromkeys(names))
