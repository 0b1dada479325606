/** The client against the application's own routes, over a socket. */
import {
  deepStrictEqual as deepEqual,
  match,
  ok,
  rejects,
  strictEqual as equal,
} from "node:assert/strict";
import { CurvdError } from "@/errors.ts";
import { CurvdClient } from "@/trainer/mod.ts";
import { type Document, type Encoding, isTensor, tensorOf } from "@/wire/mod.ts";
import { appWith, DEVICE, inverseAnswer, TIMING } from "../../routes/fake_compute.ts";

type Handler = (request: Request) => Response | Promise<Response>;

/** Serves on a free port for the time of `work`. */
async function serving(handler: Handler, work: (url: string) => Promise<void>): Promise<void> {
  const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, handler);
  try {
    await work(`http://127.0.0.1:${server.addr.port}`);
  } finally {
    await server.shutdown();
  }
}

for (const encoding of ["json", "safetensors"] satisfies Encoding[]) {
  Deno.test(`call() carries tensors both ways in ${encoding}`, async () => {
    let received: Document | undefined;
    const app = appWith((call, request) => {
      equal(call, "updates");
      received = request;
      const layer = {
        update: tensorOf([1, 2], new Float32Array([0.1, -3e-9])),
        bias_update: tensorOf([1], new Float32Array([7])),
      };
      return { layers: { "net.fc1": layer }, inner_product: 2.5, timing: TIMING, warnings: [] };
    });
    await serving(app.fetch, async (url) => {
      const { layers, inner_product } = await new CurvdClient(url, { encoding }).call("updates", {
        damping: 0.5,
        layers: {
          "net.fc1": {
            kind: "dense",
            gradient: tensorOf([1, 2], new Float32Array([1, 2])),
            bias_gradient: tensorOf([1], new Float32Array([3])),
            A: tensorOf([3, 3], new Float32Array([1, 0, 0, 0, 1, 0, 0, 0, 1])),
            G: tensorOf([1, 1], new Float32Array([4])),
          },
        },
      });
      equal(inner_product, 2.5);
      const { update, bias_update } = layers["net.fc1"];
      deepEqual([update!.shape, [...update!.data]], [[1, 2], [...new Float32Array([0.1, -3e-9])]]);
      deepEqual([bias_update!.shape, [...bias_update!.data]], [[1], [7]]);
    });
    equal(received!.damping, 0.5);
    const { gradient, kind } = received!.layers!["net.fc1"];
    equal(kind, "dense");
    ok(isTensor(gradient));
    deepEqual([gradient.shape, [...gradient.data]], [[1, 2], [1, 2]]);
  });
}

Deno.test("call() throws the server's own error, with its code and facts", async () => {
  const app = appWith(() => {
    throw new CurvdError("not-positive-definite", "A is singular", { layer: "fc1", pivot: 0.25 });
  });
  await serving(app.fetch, async (url) => {
    const A = tensorOf([1, 1], new Float32Array([0]));
    const failed = new CurvdClient(url).call("inverses", { layers: { fc1: { A } } });
    await rejects(failed, (error: CurvdError) => {
      equal(error.code, "not-positive-definite");
      equal(error.message, "A is singular");
      deepEqual([error.facts.layer, error.facts.pivot, error.facts.status], ["fc1", 0.25, 422]);
      return true;
    });
  });
});

Deno.test("call() says that a stranger is no curvd, whatever it answers", async () => {
  const A = tensorOf([1, 1], new Float32Array([1]));
  const answers = [
    () => new Response("<html>", { headers: { "content-type": "text/html" } }),
    () => new Response("gone", { status: 404 }),
  ];
  for (const answer of answers) {
    await serving(answer, async (url) => {
      const failed = new CurvdClient(url).call("inverses", { layers: { fc1: { A } } });
      await rejects(failed, { code: "malformed-body", message: /is no curvd: .*(html|404 gone)/ });
    });
  }
});

Deno.test("call() refuses an answer that is not of the call's form", async () => {
  await serving(() => Response.json({ layers: { fc1: { A_inv: 3 } } }), async (url) => {
    const A = tensorOf([1, 1], new Float32Array([1]));
    const failed = new CurvdClient(url).call("inverses", { layers: { fc1: { A } } });
    await rejects(failed, { code: "invalid-tensor" });
  });
});

Deno.test("call() goes on over a new connection where the kept one was closed under it", async () => {
  const body = JSON.stringify(
    { layers: { fc1: { A_inv: [[0.5]] } }, timing: TIMING, warnings: [] },
  );
  const answer = new TextEncoder().encode(
    `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n` +
      body,
  );
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  let connections = 0;
  /** Answers the first request of a connection, hangs up at the second. */
  async function answerOnce(connection: Deno.Conn): Promise<void> {
    const buffer = new Uint8Array(2 ** 16);
    await connection.read(buffer);
    await connection.write(answer);
    await connection.read(buffer);
    connection.close();
  }
  (async () => {
    for await (const connection of listener) {
      connections++;
      answerOnce(connection);
    }
  })();

  const client = new CurvdClient(`http://127.0.0.1:${(listener.addr as Deno.NetAddr).port}`);
  const A = tensorOf([1, 1], new Float32Array([2]));
  for (let call = 1; call <= 3; call++) {
    const { layers } = await client.call("inverses", { layers: { fc1: { A } } });
    deepEqual([...layers.fc1.A_inv!.data], [0.5]);
    equal(connections, call);
  }
  listener.close();
});

Deno.test("call() ends when its signal is aborted", async () => {
  const leaving = new AbortController();
  const app = appWith(() => {
    leaving.abort(new Error("the trainer stops"));
    return inverseAnswer();
  });
  await serving(app.fetch, async (url) => {
    const A = tensorOf([1, 1], new Float32Array([1]));
    const request = { layers: { fc1: { A } } };
    const failed = new CurvdClient(url).call("inverses", request, { signal: leaving.signal });
    await rejects(failed, /the trainer stops/);
  });
});

Deno.test("device() tells which engine the server runs", async () => {
  await serving(appWith().fetch, async (url) => {
    const { engine, reason } = await new CurvdClient(url).device();
    equal(engine, DEVICE.engine);
    match(reason, /no WebGPU adapter/);
  });
});
