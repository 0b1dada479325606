"""What a user of tritonclient would do, against the server whose host:port is given.

Prints one line for each thing that holds; ends with an AssertionError where one does not.
"""

import json
import sys

import numpy as np
import tritonclient.http as triton

client = triton.InferenceServerClient(url=sys.argv[1])


def tensor(name, array, datatype="FP32", binary=True):
    made = triton.InferInput(name, array.shape, datatype)
    made.set_data_from_numpy(array, binary_data=binary)
    return made


def spd(d, seed):
    x = np.random.default_rng(seed).standard_normal((4 * d, d))
    return (x.T @ x / len(x)).astype(np.float32)


def document(result):
    return json.loads(result.get_response()["parameters"]["document"])


assert client.is_server_live() and client.is_server_ready()
assert client.is_model_ready("inverses") and not client.is_model_ready("resnet")
assert client.get_server_metadata()["extensions"] == ["binary_tensor_data"]
metadata = client.get_model_metadata("inverses", "1")
assert {"name": "<layer>.A", "datatype": "FP32", "shape": [-1, -1]} in metadata["inputs"]
print("health and metadata")

A, G, damping = spd(96, 1), spd(33, 2), 0.01
pi = np.sqrt((np.trace(A) / 96) / (np.trace(G) / 33))
expected = {
    "net.fc1.A_inv": np.linalg.inv(A.astype(float) + np.sqrt(damping) * pi * np.eye(96)),
    "net.fc1.G_inv": np.linalg.inv(G.astype(float) + np.sqrt(damping) / pi * np.eye(33)),
}


def agrees(result):
    for name, inverse in expected.items():
        found = result.as_numpy(name)
        assert found.dtype == np.float32 and found.shape == inverse.shape
        assert np.linalg.norm(found - inverse) < 1e-4 * np.linalg.norm(inverse), name
    assert abs(document(result)["layers"]["net.fc1"]["pi"] - pi) < 1e-4


inputs = [tensor("net.fc1.A", A), tensor("net.fc1.G", G)]
agrees(client.infer("inverses", inputs, parameters={"damping": damping}, request_id="7"))
print("binary tensors both ways")

inputs = [tensor("net.fc1.A", A, binary=False), tensor("net.fc1.G", G)]
outputs = [triton.InferRequestedOutput(name, binary_data=False) for name in reversed(expected)]
agrees(client.infer("inverses", inputs, outputs=outputs, parameters={"damping": damping}))
print("JSON tensors both ways")

half = [tensor("l.A", A.astype(np.float16), "FP16")]
packed = client.infer(
    "inverses",
    half,
    parameters={"document": json.dumps({"damping": 1, "output": {"symmetric": "packed"}})},
)
exact = np.linalg.inv(A.astype(np.float16).astype(float) + np.eye(96))[np.triu_indices(96)]
assert np.linalg.norm(packed.as_numpy("l.A_inv") - exact) < 1e-4 * np.linalg.norm(exact)
print("FP16 in, parameters as one JSON document")

a = np.random.default_rng(3).standard_normal((40, 6)).astype(np.float32)
g = np.random.default_rng(4).standard_normal((40, 3)).astype(np.float32)
batch = [tensor("fc.inputs", a), tensor("fc.output_gradients", g), tensor("fc.gradient", g.T @ a)]
layers = {"layers": {"fc": {"kind": "dense", "bias": False}}}
update = client.infer(
    "updates",
    batch,
    parameters={"document": json.dumps({**layers, "damping": 0.1, "damping_rule": "plain"})},
    headers={"Curvd-Timeout-Ms": "30000"},
).as_numpy("fc.update")
inverses = [np.linalg.inv(x.T @ x / 40 + 0.1 * np.eye(x.shape[1])) for x in (g, a)]
expected_update = inverses[0] @ (g.T @ a) @ inverses[1]
assert np.linalg.norm(update - expected_update) < 1e-4 * np.linalg.norm(expected_update)
print("an update from a batch")

concurrent = [client.async_infer("inverses", [tensor("l.A", spd(16, seed))]) for seed in range(8)]
for seed, pending in enumerate(concurrent):
    inverse = pending.get_result().as_numpy("l.A_inv")
    assert np.linalg.norm(inverse @ spd(16, seed) - np.eye(16)) < 1e-2
print("several requests at a time")

for broken, status, words in [
    (lambda: client.infer("inverses", [tensor("l.A", -A)]), "422", "l.A as it must be"),
    (lambda: client.infer("inverses", [tensor("l.M", A)]), "422", "Unknown field"),
    (lambda: client.infer("resnet", [tensor("l.A", A)]), "404", "one of factors"),
]:
    try:
        broken()
    except triton.InferenceServerException as error:
        assert error.status() == status and words in error.message(), error
    else:
        raise AssertionError(f"{words} was not refused")
print("refusals are exceptions with status and message")
