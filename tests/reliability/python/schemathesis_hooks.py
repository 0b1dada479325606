"""What schemathesis must know of safetensors, which it has no words for.

A request's body goes out as it was made up: the wrong files of the codec fuzz are made elsewhere. An
answer's is read by the format's own reader, so that a file which only curvd can read is a failure.
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
