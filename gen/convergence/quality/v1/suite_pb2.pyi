from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class IgnoreRowIf(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    IGNORE_ROW_IF_UNSPECIFIED: _ClassVar[IgnoreRowIf]
    IGNORE_ROW_IF_BOTH_VALUES_ARE_MISSING: _ClassVar[IgnoreRowIf]
    IGNORE_ROW_IF_EITHER_VALUE_IS_MISSING: _ClassVar[IgnoreRowIf]
    IGNORE_ROW_IF_NEITHER: _ClassVar[IgnoreRowIf]
IGNORE_ROW_IF_UNSPECIFIED: IgnoreRowIf
IGNORE_ROW_IF_BOTH_VALUES_ARE_MISSING: IgnoreRowIf
IGNORE_ROW_IF_EITHER_VALUE_IS_MISSING: IgnoreRowIf
IGNORE_ROW_IF_NEITHER: IgnoreRowIf

class CompiledSuite(_message.Message):
    __slots__ = ("suite", "row_rules", "table_rules")
    SUITE_FIELD_NUMBER: _ClassVar[int]
    ROW_RULES_FIELD_NUMBER: _ClassVar[int]
    TABLE_RULES_FIELD_NUMBER: _ClassVar[int]
    suite: str
    row_rules: _containers.RepeatedCompositeFieldContainer[RowRule]
    table_rules: _containers.RepeatedCompositeFieldContainer[TableRule]
    def __init__(self, suite: _Optional[str] = ..., row_rules: _Optional[_Iterable[_Union[RowRule, _Mapping]]] = ..., table_rules: _Optional[_Iterable[_Union[TableRule, _Mapping]]] = ...) -> None: ...

class TableRule(_message.Message):
    __slots__ = ("rule_id", "expectation_type")
    RULE_ID_FIELD_NUMBER: _ClassVar[int]
    EXPECTATION_TYPE_FIELD_NUMBER: _ClassVar[int]
    rule_id: str
    expectation_type: str
    def __init__(self, rule_id: _Optional[str] = ..., expectation_type: _Optional[str] = ...) -> None: ...

class RowRule(_message.Message):
    __slots__ = ("rule_id", "expectation_type", "quarantines", "not_be_null", "be_null", "be_in_set", "not_be_in_set", "be_between", "value_lengths_between", "match_regex", "not_match_regex", "pair_greater", "pair_equal")
    RULE_ID_FIELD_NUMBER: _ClassVar[int]
    EXPECTATION_TYPE_FIELD_NUMBER: _ClassVar[int]
    QUARANTINES_FIELD_NUMBER: _ClassVar[int]
    NOT_BE_NULL_FIELD_NUMBER: _ClassVar[int]
    BE_NULL_FIELD_NUMBER: _ClassVar[int]
    BE_IN_SET_FIELD_NUMBER: _ClassVar[int]
    NOT_BE_IN_SET_FIELD_NUMBER: _ClassVar[int]
    BE_BETWEEN_FIELD_NUMBER: _ClassVar[int]
    VALUE_LENGTHS_BETWEEN_FIELD_NUMBER: _ClassVar[int]
    MATCH_REGEX_FIELD_NUMBER: _ClassVar[int]
    NOT_MATCH_REGEX_FIELD_NUMBER: _ClassVar[int]
    PAIR_GREATER_FIELD_NUMBER: _ClassVar[int]
    PAIR_EQUAL_FIELD_NUMBER: _ClassVar[int]
    rule_id: str
    expectation_type: str
    quarantines: bool
    not_be_null: NotBeNull
    be_null: BeNull
    be_in_set: BeInSet
    not_be_in_set: NotBeInSet
    be_between: BeBetween
    value_lengths_between: ValueLengthsBetween
    match_regex: MatchRegex
    not_match_regex: NotMatchRegex
    pair_greater: PairGreater
    pair_equal: PairEqual
    def __init__(self, rule_id: _Optional[str] = ..., expectation_type: _Optional[str] = ..., quarantines: _Optional[bool] = ..., not_be_null: _Optional[_Union[NotBeNull, _Mapping]] = ..., be_null: _Optional[_Union[BeNull, _Mapping]] = ..., be_in_set: _Optional[_Union[BeInSet, _Mapping]] = ..., not_be_in_set: _Optional[_Union[NotBeInSet, _Mapping]] = ..., be_between: _Optional[_Union[BeBetween, _Mapping]] = ..., value_lengths_between: _Optional[_Union[ValueLengthsBetween, _Mapping]] = ..., match_regex: _Optional[_Union[MatchRegex, _Mapping]] = ..., not_match_regex: _Optional[_Union[NotMatchRegex, _Mapping]] = ..., pair_greater: _Optional[_Union[PairGreater, _Mapping]] = ..., pair_equal: _Optional[_Union[PairEqual, _Mapping]] = ...) -> None: ...

class NotBeNull(_message.Message):
    __slots__ = ("column",)
    COLUMN_FIELD_NUMBER: _ClassVar[int]
    column: str
    def __init__(self, column: _Optional[str] = ...) -> None: ...

class BeNull(_message.Message):
    __slots__ = ("column",)
    COLUMN_FIELD_NUMBER: _ClassVar[int]
    column: str
    def __init__(self, column: _Optional[str] = ...) -> None: ...

class BeInSet(_message.Message):
    __slots__ = ("column", "values")
    COLUMN_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    column: str
    values: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, column: _Optional[str] = ..., values: _Optional[_Iterable[str]] = ...) -> None: ...

class NotBeInSet(_message.Message):
    __slots__ = ("column", "values")
    COLUMN_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    column: str
    values: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, column: _Optional[str] = ..., values: _Optional[_Iterable[str]] = ...) -> None: ...

class Range(_message.Message):
    __slots__ = ("min_value", "max_value", "strict_min", "strict_max")
    MIN_VALUE_FIELD_NUMBER: _ClassVar[int]
    MAX_VALUE_FIELD_NUMBER: _ClassVar[int]
    STRICT_MIN_FIELD_NUMBER: _ClassVar[int]
    STRICT_MAX_FIELD_NUMBER: _ClassVar[int]
    min_value: str
    max_value: str
    strict_min: bool
    strict_max: bool
    def __init__(self, min_value: _Optional[str] = ..., max_value: _Optional[str] = ..., strict_min: _Optional[bool] = ..., strict_max: _Optional[bool] = ...) -> None: ...

class BeBetween(_message.Message):
    __slots__ = ("column", "range")
    COLUMN_FIELD_NUMBER: _ClassVar[int]
    RANGE_FIELD_NUMBER: _ClassVar[int]
    column: str
    range: Range
    def __init__(self, column: _Optional[str] = ..., range: _Optional[_Union[Range, _Mapping]] = ...) -> None: ...

class ValueLengthsBetween(_message.Message):
    __slots__ = ("column", "range")
    COLUMN_FIELD_NUMBER: _ClassVar[int]
    RANGE_FIELD_NUMBER: _ClassVar[int]
    column: str
    range: Range
    def __init__(self, column: _Optional[str] = ..., range: _Optional[_Union[Range, _Mapping]] = ...) -> None: ...

class MatchRegex(_message.Message):
    __slots__ = ("column", "regex")
    COLUMN_FIELD_NUMBER: _ClassVar[int]
    REGEX_FIELD_NUMBER: _ClassVar[int]
    column: str
    regex: str
    def __init__(self, column: _Optional[str] = ..., regex: _Optional[str] = ...) -> None: ...

class NotMatchRegex(_message.Message):
    __slots__ = ("column", "regex")
    COLUMN_FIELD_NUMBER: _ClassVar[int]
    REGEX_FIELD_NUMBER: _ClassVar[int]
    column: str
    regex: str
    def __init__(self, column: _Optional[str] = ..., regex: _Optional[str] = ...) -> None: ...

class PairGreater(_message.Message):
    __slots__ = ("column_a", "column_b", "or_equal", "ignore")
    COLUMN_A_FIELD_NUMBER: _ClassVar[int]
    COLUMN_B_FIELD_NUMBER: _ClassVar[int]
    OR_EQUAL_FIELD_NUMBER: _ClassVar[int]
    IGNORE_FIELD_NUMBER: _ClassVar[int]
    column_a: str
    column_b: str
    or_equal: bool
    ignore: IgnoreRowIf
    def __init__(self, column_a: _Optional[str] = ..., column_b: _Optional[str] = ..., or_equal: _Optional[bool] = ..., ignore: _Optional[_Union[IgnoreRowIf, str]] = ...) -> None: ...

class PairEqual(_message.Message):
    __slots__ = ("column_a", "column_b", "ignore")
    COLUMN_A_FIELD_NUMBER: _ClassVar[int]
    COLUMN_B_FIELD_NUMBER: _ClassVar[int]
    IGNORE_FIELD_NUMBER: _ClassVar[int]
    column_a: str
    column_b: str
    ignore: IgnoreRowIf
    def __init__(self, column_a: _Optional[str] = ..., column_b: _Optional[str] = ..., ignore: _Optional[_Union[IgnoreRowIf, str]] = ...) -> None: ...

class RowRuleMetric(_message.Message):
    __slots__ = ("rule_id", "element_count", "missing_count", "unexpected_count", "unexpected_samples")
    RULE_ID_FIELD_NUMBER: _ClassVar[int]
    ELEMENT_COUNT_FIELD_NUMBER: _ClassVar[int]
    MISSING_COUNT_FIELD_NUMBER: _ClassVar[int]
    UNEXPECTED_COUNT_FIELD_NUMBER: _ClassVar[int]
    UNEXPECTED_SAMPLES_FIELD_NUMBER: _ClassVar[int]
    rule_id: str
    element_count: int
    missing_count: int
    unexpected_count: int
    unexpected_samples: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, rule_id: _Optional[str] = ..., element_count: _Optional[int] = ..., missing_count: _Optional[int] = ..., unexpected_count: _Optional[int] = ..., unexpected_samples: _Optional[_Iterable[str]] = ...) -> None: ...
