"""What may stand at a key: a section of settings, a number, a level, a list without repetitions."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Annotated, Any, Self, TypeVar

from pydantic import (
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
            check(value)
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


def _level(value: Any) -> Any:
    kind = isinstance(value, str | int | float) and not isinstance(value, bool)
    if not kind or (isinstance(value, float) and not math.isfinite(value)):
        raise PydanticCustomError("level_type", "neither text nor a number")
    return value


NAME = r"^[a-z][a-z0-9_]{0,63}$"
SHA256 = r"^[0-9a-f]{64}$"
Digest = Annotated[str, Field(pattern=SHA256)]
Name = Annotated[str, Field(min_length=1)]
Level = Annotated[str | int | float, BeforeValidator(_level), WithJsonSchema({"type": ["string", "number"]})]
Number = Annotated[float, _AsWritten()]
Positive = Annotated[float, Field(gt=0), _AsWritten()]
NotNegative = Annotated[float, Field(ge=0), _AsWritten()]
Probability = Annotated[float, Field(gt=0, le=1), _AsWritten()]
Confidence = Annotated[float, Field(gt=0.5, lt=1), _AsWritten()]
Alpha = Annotated[float, Field(gt=0, lt=0.5), _AsWritten()]
Range = Annotated[list[Number], Field(min_length=2, max_length=2)]
Distinct = Annotated[list[T], _Distinct()]
Values = Annotated[list[Level], Field(min_length=1)]
Levels = Annotated[list[Level], Field(min_length=2), _Distinct()]
