/**
 * SIGKILL at random moments under concurrent steps: nothing acknowledged is lost, nothing is counted twice.
 *
 * Four clients step two sessions and retry by key until each step is acknowledged. In the end every session has each step
 * once, in the order its revisions say, and its factors are the float64 running averages of that order. CURVD_SLOW=1 kills 50 times.
 */
import { deepStrictEqual as deepEqual, ok, strictEqual as equal } from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { gaussian } from "../support/matrices.ts";
import { type ServerProcess, startServer } from "./server_process.ts";

const KILLS = Deno.env.get("CURVD_SLOW") === "1" ? 50 : 4;
const CLIENTS = 4;
const SESSIONS = ["even", "odd"];
const DECAY = 0.9;
const [N, D_IN, D_OUT] = [8, 24, 12];
/** Between the last start and the next kill: long enough for steps, short enough to meet every part of one. */
const LONGEST_LIFE_MS = 800;

const rows = (data: Float32Array, width: number): number[][] =>
  Array.from(
    { length: data.length / width },
    (_, i) => [...data.subarray(i * width, (i + 1) * width)],
  );

const batchOf = (client: number, step: number) => ({
  a: gaussian([N, D_IN], 1000 * client + 2 * step),
  g: gaussian([N, D_OUT], 1000 * client + 2 * step + 1),
});

Deno.test(`${KILLS} kills lose no acknowledged step and double none`, async () => {
  const data = await Deno.makeTempDir();
  let server = await startServer(data);
  let isDone = false;
  const acknowledged = new Map(SESSIONS.map((id) => [id, new Map<number, Float32Array[]>()]));

  /** Asks until it is answered: the server may be gone meanwhile, or on its way back. */
  const untilAnswered = async (path: string, body: unknown, key: string) => {
    for (;;) {
      try {
        const response = await fetch(`${server.url}/v1/sessions${path}`, {
          method: "POST",
          body: JSON.stringify(body),
          headers: { "content-type": "application/json", "idempotency-key": key },
        });
        const answer = await response.json();
        if (response.ok) return answer;
        if (response.status !== 503) throw new RangeError(JSON.stringify(answer));
      } catch (error) {
        if (error instanceof RangeError) throw error;
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  };

  for (const id of SESSIONS) {
    const layers = { fc: { kind: "dense", bias: false, d_in: D_IN, d_out: D_OUT } };
    const refresh = { every: 5 };
    await untilAnswered("", { id, layers, damping: 0.1, decay: DECAY, refresh }, `create ${id}`);
  }

  const clients = Array.from({ length: CLIENTS }, async (_, client) => {
    const id = SESSIONS[client % SESSIONS.length];
    for (let step = 0; !isDone; step++) {
      const { a, g } = batchOf(client, step);
      const fc = { inputs: rows(a, D_IN), output_gradients: rows(g, D_OUT) };
      const body = { fisher: "empirical", layers: { fc } };
      const { revision } = await untilAnswered(`/${id}/steps`, body, `${client}-${step}`);
      const steps = acknowledged.get(id)!;
      ok(!steps.has(revision), `revision ${revision} of ${id} was acknowledged twice`);
      steps.set(revision, [a, g]);
    }
  });

  const readyMs: number[] = [];
  for (let kill = 0; kill < KILLS; kill++) {
    await new Promise((resolve) => setTimeout(resolve, Math.random() * LONGEST_LIFE_MS));
    await server.kill("SIGKILL");
    server = await startServer(data);
    readyMs.push(server.readyMs);
  }
  isDone = true;
  await Promise.all(clients);
  await server.kill("SIGKILL");
  expectSound(`${data}/sessions.sqlite`);

  server = await startServer(data);
  for (const id of SESSIONS) await expectAllThere(server, id, acknowledged.get(id)!);
  await server.kill("SIGTERM");
  console.log(
    `${KILLS} kills, ${[...acknowledged.values()].map(({ size }) => size).join(" and ")} steps; ` +
      `ready after ${Math.round(Math.max(...readyMs))} ms at most`,
  );
  await Deno.remove(data, { recursive: true });
});

/** The file itself, by SQLite's own check. */
function expectSound(path: string): void {
  const database = new DatabaseSync(path);
  deepEqual({ ...database.prepare("PRAGMA quick_check").get() }, { quick_check: "ok" });
  database.close();
}

/** Every acknowledged step once: revisions without a gap, and the factors of exactly these batches in this order. */
async function expectAllThere(
  { url }: ServerProcess,
  id: string,
  steps: ReadonlyMap<number, Float32Array[]>,
): Promise<void> {
  const revisions = [...steps.keys()].sort((x, y) => x - y);
  deepEqual(revisions, revisions.map((_, i) => i + 1), "revisions are without a gap");
  const { layers: { fc }, revision } = await (await fetch(`${url}/v1/sessions/${id}/factors`))
    .json();
  equal(revision, steps.size);
  equal(fc.batches, steps.size);
  for (const [field, side, width] of [["A", 0, D_IN], ["G", 1, D_OUT]] as const) {
    const expected = new Float64Array(width * width);
    for (const k of revisions) {
      const rho = Math.min(1 - 1 / k, DECAY);
      const x = steps.get(k)![side];
      for (let i = 0; i < width; i++) {
        for (let j = 0; j < width; j++) {
          let sum = 0;
          for (let n = 0; n < N; n++) sum += x[n * width + i] * x[n * width + j];
          expected[i * width + j] = rho * expected[i * width + j] + (1 - rho) * sum / N;
        }
      }
    }
    const actual = (fc[field] as number[][]).flat();
    const error = Math.hypot(...actual.map((value, i) => value - expected[i]));
    const bound = 1e-5 * Math.hypot(...expected);
    ok(error <= bound, `${id}.${field}: ${error} over ${bound}`);
  }
}
