"""A user of the server who has Python: what peer.py computes in its own process, asked of the server.

    python3 client.py URL

Reads one question a line, answers one line each:

    {"call": "inverses", "sides": [785, 1024], "packed": false, "repeats": 5}  ->  {"ms": [..]}

A time is that of a whole request: from arrays over encoding, sending, waiting and receiving to arrays. Only what Python and
numpy bring is used; the safetensors library would make one more copy each way.
"""
import http.client
import json
import struct
import sys
import time
from urllib.parse import urlsplit

import numpy as np

TYPE = "application/vnd.safetensors"


def factor(n):
    x = np.random.default_rng(n).standard_normal((2 * n, n)).astype(np.float32)
    return x.T @ x / (2 * n) + 1e-3 * np.eye(n, dtype=np.float32)


def encode(document, tensors):
    header = {"__metadata__": {"document": json.dumps(document)}}
    end = 0
    for name, values in tensors.items():
        start, end = end, end + values.nbytes
        header[name] = {"dtype": "F32", "shape": values.shape, "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return [struct.pack("<Q", len(text)), text, *(memoryview(v).cast("B") for v in tensors.values())]


def decode(body):
    (length,) = struct.unpack_from("<Q", body)
    header = json.loads(bytes(body[8 : 8 + length]))
    header.pop("__metadata__", None)
    return {
        name: np.frombuffer(
            body, np.float32, int(np.prod(entry["shape"])), 8 + length + entry["data_offsets"][0]
        ).reshape(entry["shape"])
        for name, entry in header.items()
    }


def ask(connection, call, document, tensors):
    parts = encode(document, tensors)
    length = sum(len(part) for part in parts)
    headers = {"Content-Type": TYPE, "Content-Length": str(length)}
    connection.request("POST", f"/v1/{call}", iter(parts), headers)
    answer = connection.getresponse()
    if answer.status != 200:
        raise RuntimeError(answer.read().decode())
    body = bytearray(int(answer.headers["Content-Length"]))
    view, filled = memoryview(body), 0
    while filled < len(body):
        filled += answer.readinto(view[filled:])
    return decode(body)


def main():
    url = urlsplit(sys.argv[1])
    connection = http.client.HTTPConnection(url.hostname, url.port)
    print(json.dumps({"version": "Python " + sys.version.split()[0]}), flush=True)
    for line in sys.stdin:
        question = json.loads(line)
        call, packed = question["call"], question["packed"]
        document = {"layers": {}}
        if call == "inverses":
            document |= {"damping": 1e-3, "output": {"symmetric": "packed" if packed else "full"}}
        tensors = {}
        for at, n in enumerate(question["sides"]):
            values = factor(n)
            name = f"fc{at // 2}.{'AG'[at % 2]}"
            tensors[name] = values[np.triu_indices(n)] if packed else values
        times = []
        for _ in range(question["repeats"]):
            start = time.perf_counter()
            ask(connection, call, document, tensors)
            times.append((time.perf_counter() - start) * 1e3)
        print(json.dumps({"ms": times}), flush=True)


main()
