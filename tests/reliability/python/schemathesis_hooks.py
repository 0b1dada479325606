"""What schemathesis must know beyond the reference.

Safetensors: a request's body goes out as it was made up (the wrong files of the codec fuzz are made
elsewhere); an answer is read by the format's own reader, so that a file which only curvd can read is a
failure. Headers: one that the reference does not have is no fault in HTTP, and a deadline that is kept
to the millisecond would be answered, as asked, by 504.
"""

import schemathesis
from safetensors.numpy import load


@schemathesis.serializer("application/vnd.safetensors")
def write_file(ctx, value):
    return value if isinstance(value, bytes) else str(value).encode()


@schemathesis.deserializer("application/vnd.safetensors")
def read_file(ctx, response):
    load(response.content)
    return response.content.decode("latin-1")


@schemathesis.hook
def filter_case(ctx, case):
    return "x-schemathesis-unknown-property" not in (case.headers or {})


@schemathesis.hook
def before_call(ctx, case, kwargs):
    if str((case.headers or {}).get("Curvd-Timeout-Ms", "")).isdecimal():
        case.headers["Curvd-Timeout-Ms"] = "60000"
