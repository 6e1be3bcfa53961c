"""Limits of a tenant as messages, and back: field by field of the same name."""

import dataclasses

from convergence.auth.v1 import tenant_pb2

from services.auth.tenants import Limits


def limits_message(limits: Limits) -> tenant_pb2.TenantLimits:
    return tenant_pb2.TenantLimits(**dataclasses.asdict(limits))


def limits_of(message: tenant_pb2.TenantLimits) -> Limits:
    return Limits(**{f.name: getattr(message, f.name) for f in dataclasses.fields(Limits)})
