"""What may stand at a key: a section of settings, a number, a level, a list without repetitions."""

from __future__ import annotations

import datetime
import math
import unicodedata
from collections.abc import Iterable
from typing import Annotated, Any, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    WithJsonSchema,
)
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

T = TypeVar("T")

LARGEST = 1e15  # beyond it a number has no decimals left, and squares lose their meaning
LONGEST_LEVEL = 1000


class Section(BaseModel):
    """Settings that stand together; an undeclared key or a value of another kind is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    @classmethod
    def validate_list(cls, sections: Iterable[Any]) -> list[Self]:
        """Make a model of each section of a list."""
        return [cls.model_validate(section) for section in sections]


class _AsWritten:
    """Keeps a whole number whole where a number is asked: messages and tables show what was written."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        def checked(value: Any, check: core_schema.ValidatorFunctionWrapHandler) -> Any:
            if abs(check(value)) > LARGEST:
                raise PydanticCustomError("too_large", "too large")
            return value

        shown = core_schema.plain_serializer_function_ser_schema(lambda value: value)
        return core_schema.no_info_wrap_validator_function(checked, handler(source), serialization=shown)


class _Distinct:
    """Refuses a value that a list holds twice."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        def checked(values: list[Any]) -> list[Any]:
            if twice := sorted({str(value) for value in values if values.count(value) > 1}):
                raise PydanticCustomError("repeated", "listed twice", {"twice": twice})
            return values

        return core_schema.no_info_after_validator_function(checked, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return handler(schema) | {"uniqueItems": True}


def _visible(text: str) -> str:
    """Refuse a text of spaces and letters that nobody sees: it looks like an empty cell."""
    if all(unicodedata.category(letter)[0] in "ZC" for letter in text):
        raise PydanticCustomError("blank", "nothing to see")
    return text


def _level(value: Any) -> Any:
    kind = isinstance(value, str | int | float) and not isinstance(value, bool)
    if not kind or (isinstance(value, float) and not math.isfinite(value)):
        raise PydanticCustomError("level_type", "neither text nor a number")
    if isinstance(value, str):
        _visible(value)
    if len(str(value)) > LONGEST_LEVEL:
        raise PydanticCustomError("string_too_long", "too long", {"max_length": LONGEST_LEVEL})
    return value


def _path(name: str) -> str:
    """Refuse a name that no file can have."""
    if any(len(part.encode()) > 255 for part in name.split("/")) or len(name.encode()) > 4000:
        raise PydanticCustomError("file_name", "", {"expected": "a file name of at most 255 bytes"})
    if set("\n\t") & set(name) or not name.strip():
        raise PydanticCustomError("file_name", "", {"expected": "a file name without line ends and tabs"})
    return name


def _file(name: str) -> str:
    """Refuse a name in which Snakemake would see a wildcard, too: it knows no escape in a file's name."""
    if "{" in name or "}" in name:
        raise PydanticCustomError("file_name", "", {"expected": "a file name without braces"})
    return _path(name)


NAME = r"^[a-z][a-z0-9_]{0,63}$"
SHA256 = r"^[0-9a-f]{64}$"
DOI = r"^10\.\d{4,9}/\S+$"
ORCID = r"^https://orcid\.org/\d{4}-\d{4}-\d{4}-\d{3}[\dX]$"
DAY = r"^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$"
Digest = Annotated[str, Field(pattern=SHA256)]
Name = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_visible)]
Column = Annotated[str, Field(min_length=1), AfterValidator(_visible)]
PathName = Annotated[str, AfterValidator(_path)]
File = Annotated[str, AfterValidator(_file)]
# YAML reads an unquoted day as a date.
Day = Annotated[str, BeforeValidator(lambda day: day.isoformat() if isinstance(day, datetime.date) else day)]
Level = Annotated[str | int | float, BeforeValidator(_level), WithJsonSchema({"type": ["string", "number"]})]
Number = Annotated[float, _AsWritten()]
Positive = Annotated[float, Field(gt=0), _AsWritten()]
NotNegative = Annotated[float, Field(ge=0), _AsWritten()]
Probability = Annotated[float, Field(gt=0, le=1), _AsWritten()]
Share = Annotated[float, Field(ge=0, le=1), _AsWritten()]
Confidence = Annotated[float, Field(gt=0.5, lt=1), _AsWritten()]
Alpha = Annotated[float, Field(gt=0, lt=0.5), _AsWritten()]
Range = Annotated[list[Number], Field(min_length=2, max_length=2)]
Distinct = Annotated[list[T], _Distinct()]
Values = Annotated[list[Level], Field(min_length=1)]
Levels = Annotated[list[Level], Field(min_length=2), _Distinct()]
