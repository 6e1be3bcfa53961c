"""Values of a suite become texts of a column's type without loss, or are refused."""

from decimal import Decimal

import pytest

from services.quality.values import number_text, ordered, text_of


@pytest.mark.parametrize(
    ("type_", "value", "text"),
    [
        ("STRING", " a\n", " a\n"),
        ("INT64", -(2**63), "-9223372036854775808"),
        ("INT64", Decimal("2.0"), "2"),
        ("INT64", Decimal("1E+3"), "1000"),
        ("NUMERIC", Decimal("0.000000001"), "0.000000001"),
        ("NUMERIC", 10**29 - 1, "9" * 29),
        ("BIGNUMERIC", Decimal("20.520226728990000001"), "20.520226728990000001"),
        ("BIGNUMERIC", Decimal("1.50"), "1.50"),
        ("FLOAT64", Decimal("0.1"), "0.1"),
        ("FLOAT64", Decimal("1E-320"), "1e-320"),
        ("FLOAT64", 2**60, "1.152921504606847e+18"),
        ("BOOL", True, "true"),
        ("BOOL", False, "false"),
        ("DATE", "2024-02-29", "2024-02-29"),
        ("DATE", "20240229", "2024-02-29"),
        ("DATETIME", "2024-02-29", "2024-02-29T00:00:00"),
        ("DATETIME", "2024-02-29 01:02:03.000004", "2024-02-29T01:02:03.000004"),
        ("TIMESTAMP", "2024-02-29T01:00:00+02:00", "2024-02-28T23:00:00+00:00"),
        ("TIMESTAMP", "2024-02-29T01:00:00Z", "2024-02-29T01:00:00+00:00"),
        ("TIMESTAMP", "2024-02-29T01:00:00", "2024-02-29T01:00:00+00:00"),
        ("TIME", "01:02", "01:02:00"),
    ],
)
def test_a_value_that_fits_becomes_one_spelling_of_it(type_: str, value: object, text: str) -> None:
    assert text_of(value, type_) == text


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        ("STRING", 1),
        ("INT64", 2**63),
        ("INT64", Decimal("0.5")),
        ("INT64", Decimal("1E+30")),
        ("INT64", "1"),
        ("INT64", True),
        ("NUMERIC", Decimal("0.0000000001")),
        ("NUMERIC", 10**29),
        ("BIGNUMERIC", 10**20),
        ("BIGNUMERIC", Decimal("1E-19")),
        ("BIGNUMERIC", "1"),
        ("BIGNUMERIC", Decimal("1E+999999999")),
        ("BIGNUMERIC", Decimal("1E-999999999")),
        ("FLOAT64", Decimal("1E+400")),
        ("FLOAT64", 10**400),
        ("FLOAT64", "1.5"),
        ("FLOAT64", False),
        ("BOOL", "true"),
        ("BOOL", 1),
        ("DATE", "2024-02-30"),
        ("DATE", "2024-02-29T00:00:00"),
        ("DATETIME", "2024-02-29T00:00:00+00:00"),
        ("DATETIME", "2024-02-29T00:00:00.0000001"),
        ("TIMESTAMP", "0001-01-01T00:00:00+12:00"),
        ("TIMESTAMP", 1709164800),
        ("TIME", "01:00:00+01:00"),
        ("TIME", "25:00"),
        ("JSON", "{}"),
        ("BYTES", "YQ=="),
        ("INT64", None),
        ("INT64", [1]),
        ("INT64", {"$PARAMETER": "n"}),
    ],
)
def test_a_value_that_does_not_fit_is_refused(type_: str, value: object) -> None:
    with pytest.raises(ValueError, match=type_):
        text_of(value, type_)


def test_an_endless_number_is_refused_without_being_written_out() -> None:
    with pytest.raises(ValueError, match="at most 76 digits before and after the point"):
        number_text(Decimal("1E+999999999999"))


@pytest.mark.parametrize(
    ("type_", "low", "high"),
    [
        ("INT64", "9", "10"),
        ("BIGNUMERIC", "0.1", "0.10000000000000000000000000001"),
        ("FLOAT64", "9.5", "1e3"),
        ("STRING", "Z", "a"),
        ("DATE", "2024-02-28", "2024-02-29"),
        ("DATETIME", "2024-02-29T00:00:00", "2024-02-29T00:00:00.000001"),
        ("TIMESTAMP", "2024-02-29T01:00:00+02:00", "2024-02-29T00:00:00+00:00"),
        ("TIME", "09:59:59", "10:00:00"),
    ],
)
def test_texts_of_a_type_compare_as_its_values(type_: str, low: str, high: str) -> None:
    assert ordered(low, type_) < ordered(high, type_)


def test_binary_numbers_compare_as_binary_numbers() -> None:
    assert ordered("0.1", "FLOAT64") == ordered("0.1000000000000000055", "FLOAT64")
