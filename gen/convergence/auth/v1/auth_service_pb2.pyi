import datetime

from convergence.auth.v1 import tenant_pb2 as _tenant_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AuthenticateRequest(_message.Message):
    __slots__ = ("api_key", "audience", "peer")
    API_KEY_FIELD_NUMBER: _ClassVar[int]
    AUDIENCE_FIELD_NUMBER: _ClassVar[int]
    PEER_FIELD_NUMBER: _ClassVar[int]
    api_key: str
    audience: str
    peer: str
    def __init__(self, api_key: _Optional[str] = ..., audience: _Optional[str] = ..., peer: _Optional[str] = ...) -> None: ...

class AuthenticateResponse(_message.Message):
    __slots__ = ("principal", "identity_token", "expire_time", "cache_ttl", "key_expire_time")
    PRINCIPAL_FIELD_NUMBER: _ClassVar[int]
    IDENTITY_TOKEN_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    CACHE_TTL_FIELD_NUMBER: _ClassVar[int]
    KEY_EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    principal: Principal
    identity_token: str
    expire_time: _timestamp_pb2.Timestamp
    cache_ttl: _duration_pb2.Duration
    key_expire_time: _timestamp_pb2.Timestamp
    def __init__(self, principal: _Optional[_Union[Principal, _Mapping]] = ..., identity_token: _Optional[str] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., cache_ttl: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., key_expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Principal(_message.Message):
    __slots__ = ("tenant", "scopes", "key_id", "calls_per_second", "call_burst", "live_run_count", "slot_weight", "chunk_count", "read_bytes_per_day")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    SCOPES_FIELD_NUMBER: _ClassVar[int]
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    CALLS_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    CALL_BURST_FIELD_NUMBER: _ClassVar[int]
    LIVE_RUN_COUNT_FIELD_NUMBER: _ClassVar[int]
    SLOT_WEIGHT_FIELD_NUMBER: _ClassVar[int]
    CHUNK_COUNT_FIELD_NUMBER: _ClassVar[int]
    READ_BYTES_PER_DAY_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    scopes: _containers.RepeatedScalarFieldContainer[str]
    key_id: str
    calls_per_second: float
    call_burst: int
    live_run_count: int
    slot_weight: float
    chunk_count: int
    read_bytes_per_day: int
    def __init__(self, tenant: _Optional[str] = ..., scopes: _Optional[_Iterable[str]] = ..., key_id: _Optional[str] = ..., calls_per_second: _Optional[float] = ..., call_burst: _Optional[int] = ..., live_run_count: _Optional[int] = ..., slot_weight: _Optional[float] = ..., chunk_count: _Optional[int] = ..., read_bytes_per_day: _Optional[int] = ...) -> None: ...

class IssueRunTokenRequest(_message.Message):
    __slots__ = ("run", "audiences")
    RUN_FIELD_NUMBER: _ClassVar[int]
    AUDIENCES_FIELD_NUMBER: _ClassVar[int]
    run: str
    audiences: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, run: _Optional[str] = ..., audiences: _Optional[_Iterable[str]] = ...) -> None: ...

class IssueRunTokenResponse(_message.Message):
    __slots__ = ("identity_token", "expire_time", "limits")
    IDENTITY_TOKEN_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    identity_token: str
    expire_time: _timestamp_pb2.Timestamp
    limits: _tenant_pb2.TenantLimits
    def __init__(self, identity_token: _Optional[str] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., limits: _Optional[_Union[_tenant_pb2.TenantLimits, _Mapping]] = ...) -> None: ...

class ListSigningKeysRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListSigningKeysResponse(_message.Message):
    __slots__ = ("keys",)
    KEYS_FIELD_NUMBER: _ClassVar[int]
    keys: _containers.RepeatedCompositeFieldContainer[SigningKey]
    def __init__(self, keys: _Optional[_Iterable[_Union[SigningKey, _Mapping]]] = ...) -> None: ...

class SigningKey(_message.Message):
    __slots__ = ("key_id", "public_key")
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    PUBLIC_KEY_FIELD_NUMBER: _ClassVar[int]
    key_id: str
    public_key: bytes
    def __init__(self, key_id: _Optional[str] = ..., public_key: _Optional[bytes] = ...) -> None: ...
