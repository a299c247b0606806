import pytest

from engine import errors


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (errors.UsageError, 2),
        (errors.TakeError, 2),
        (errors.ControlError, 2),
        (errors.BundleError, 3),
        (errors.DeviceError, 4),
        (errors.NetworkError, 5),
    ],
)
def test_each_error_has_its_exit_code(kind: type[errors.PerpetuoError], code: int) -> None:
    assert issubclass(kind, errors.PerpetuoError)
    assert kind("x").exit_code == code


def test_a_message_is_one_line() -> None:
    assert str(errors.BundleError("first\n   second\tthird\n")) == "first second third"
