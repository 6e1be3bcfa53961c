"""What a transform's syntax tree may be made of: closed lists, so that anything new is refused."""

from collections.abc import Iterable
from typing import Final

from sqlglot import exp


def _classes(names: str) -> frozenset[type[exp.Expr]]:
    return frozenset(getattr(exp, name) for name in names.split())


STRUCTURE: Final = _classes("""
    Select Union Except Intersect Subquery With CTE Table TableAlias Identifier Column Alias Star
    From Join Where Group Having Qualify Order Ordered Limit Offset Window WindowSpec Distinct
    Cube Rollup GroupingSets Pivot PivotAlias PivotAny UnpivotColumns Unnest Parameter Var
    IgnoreNulls RespectNulls HavingMax PropertyEQ Bracket Slice Dot Tuple Paren Interval DataType
    DataTypeParam ColumnDef AtTimeZone
""")
"""Clauses, names and relations. `Dot` only selects a field: see `guard`."""

VALUES: Final = _classes("""
    Literal Null Boolean RawString ByteString HexString Add Sub Mul Div IntDiv Mod Neg DPipe
    BitwiseAnd BitwiseOr BitwiseXor BitwiseNot BitwiseLeftShift BitwiseRightShift
    EQ NEQ GT GTE LT LTE NullSafeEQ NullSafeNEQ Is In Between Like Escape Any All Not And Or Xor
    JSONPath JSONPathRoot JSONPathKey JSONPathSubscript JSONPathWildcard JSONKeyValue FormatJson
""")
"""Literals and operators."""

FUNCTIONS: Final = _classes("""
    Cast TryCast Case If Coalesce Nullif Greatest Least Exists Array Struct SafeFunc
    Abs Sign Round Ceil Floor Trunc Exp Ln Log Pow Sqrt IsInf IsNan RangeBucket
    SafeAdd SafeDivide SafeMultiply SafeNegate SafeSubtract Float64 Int64 String
    Ascii ByteLength Chr CodePointsToString ToCodePoints Concat Contains EndsWith StartsWith Format
    Initcap Left Right Length Lower Upper Normalize Pad Repeat Replace Reverse Soundex Split
    StrPosition Substring Translate Trim Unicode FromBase64 ToBase64 LowerHex Hex Unhex
    SafeConvertBytesToString FarmFingerprint MD5 MD5Digest SHA SHA1Digest SHA2 SHA2Digest
    RegexpExtract RegexpExtractAll RegexpInstr RegexpLike RegexpReplace
    Date DateAdd DateDiff DateFromParts DateFromUnixDate DateSub DateTrunc Datetime DatetimeAdd
    DatetimeDiff DatetimeSub DatetimeTrunc Extract LastDay Time TimeAdd TimeDiff TimeFromParts
    TimeSub TimeTrunc Timestamp TimestampAdd TimestampDiff TimestampFromParts TimestampSub
    TimestampTrunc TimeToStr StrToDate StrToTime ParseDatetime ParseTime UnixDate UnixMicros
    UnixMillis UnixSeconds UnixToTime CastToStrType TsOrDsToDate TsOrDsToDatetime TsOrDsToTime
    TsOrDsToTimestamp CurrentDate CurrentDatetime CurrentTime CurrentTimestamp WeekStart Week
    ParseBignumeric ParseNumeric ParseJSON
    JSONArray JSONExtract JSONExtractArray JSONExtractScalar JSONFormat JSONKeysAtDepth JSONObject
    JSONRemove JSONSet JSONStripNulls JSONType JSONValueArray LaxBool LaxFloat64 LaxInt64 LaxString
    ArrayConcat ArrayFirst ArrayLast ArrayReverse ArraySize ArraySlice ArrayToString
    GenerateDateArray GenerateSeries GenerateTimestampArray
    AnyValue ApproxDistinct ApproxQuantiles ApproxTopK ApproxTopSum ArgMax ArgMin ArrayAgg
    ArrayConcatAgg Avg BitwiseAndAgg BitwiseCount BitwiseOrAgg BitwiseXorAgg Corr Count CountIf
    CovarPop CovarSamp GroupConcat Grouping LogicalAnd LogicalOr Max Min Stddev StddevPop
    StddevSamp Sum Variance VariancePop
    CumeDist DenseRank FirstValue Lag LastValue Lead NthValue Ntile PercentRank PercentileCont
    PercentileDisc Rank RowNumber
""")
"""Functions of values: they read no table, call nothing outside and give the same for the same."""

UNTYPED_FUNCTIONS: Final = frozenset(
    {"DATE_BUCKET", "DATETIME_BUCKET", "TIMESTAMP_BUCKET", "IEEE_DIVIDE"}
)
"""Functions that the parser knows by name only."""

ALLOWED: Final = STRUCTURE | VALUES | FUNCTIONS


def sql_name(node: exp.Expr) -> str:
    """Return how the author knows `node`: `SESSION_USER()`, `TABLESAMPLE`, `FOR SYSTEM_TIME`."""
    if isinstance(node, exp.Func):
        return f"{function_name(node)}()"
    return _CLAUSES.get(type(node).__name__, type(node).__name__.upper())


def function_name(node: exp.Func) -> str:
    """Return the function's name as written, in upper case."""
    if isinstance(node, exp.Anonymous):
        return node.name.upper()
    written = node.meta.get("bigquery_name")
    return str(written) if written else next(iter(_names(node)), type(node).__name__.upper())


def _names(node: exp.Func) -> Iterable[str]:
    return type(node).sql_names()


_CLAUSES: Final = {
    "TableSample": "TABLESAMPLE",
    "Version": "FOR SYSTEM_TIME",
    "Into": "SELECT INTO",
    "Lock": "FOR UPDATE",
    "Placeholder": "positional parameter ?",
    "SessionParameter": "@@ variable",
    "LoadData": "LOAD DATA",
    "Export": "EXPORT DATA",
    "TruncateTable": "TRUNCATE TABLE",
    "UserDefinedFunction": "CREATE FUNCTION",
    "Command": "a procedural statement",
    "EndStatement": "END",
}
