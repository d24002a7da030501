"""The one error that serving raises for a request: a gRPC code and a message, and its HTTP status by TensorFlow Serving's table."""

import grpc

HTTP_STATUSES = {  # model_servers/http_server.cc, ToHTTPStatusCode; what is not named there is 500
    grpc.StatusCode.OK: 200,
    grpc.StatusCode.CANCELLED: 499,
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.ALREADY_EXISTS: 409,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.FAILED_PRECONDITION: 400,
    grpc.StatusCode.ABORTED: 409,
    grpc.StatusCode.OUT_OF_RANGE: 400,
    grpc.StatusCode.UNIMPLEMENTED: 501,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.UNAUTHENTICATED: 401,
}
_CODES = {code.value[0]: code for code in grpc.StatusCode}  # TensorFlow's error numbers are gRPC's


class ServingError(Exception):
    """A request that cannot be answered.

    Attributes:
      code: grpc.StatusCode.
      message: one line, shown to the client as it is.
      http_status: the HTTP status that TensorFlow Serving gives for the code.
    """

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    def __reduce__(self) -> tuple[type["ServingError"], tuple[grpc.StatusCode, str]]:
        return type(self), (self.code, self.message)

    @property
    def http_status(self) -> int:
        return HTTP_STATUSES.get(self.code, 500)


class TooLargeError(ServingError):
    """A request that asks for more than this server gives to one. TensorFlow Serving has no limit, and so no status for it."""

    http_status = 413


def as_serving_error(error: Exception, code: grpc.StatusCode = grpc.StatusCode.INTERNAL) -> ServingError:
    """A ServingError as it is; of what nobody foresaw one with the code, its class and its first line."""
    if isinstance(error, ServingError):
        return error
    return ServingError(code, f"{type(error).__name__}: {error}".splitlines()[0])


def code_of_number(number: int) -> grpc.StatusCode:
    """The grpc.StatusCode of TensorFlow's error number; UNKNOWN for a number outside the table."""
    return _CODES.get(number, grpc.StatusCode.UNKNOWN)
