/** `deno task train` as a user starts it. */
import { match, ok, strictEqual as equal } from "node:assert/strict";

const ROOT = new URL("../../", import.meta.url);

async function train(args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["task", "--quiet", "train", ...args],
    cwd: ROOT,
    env: { NO_COLOR: "1", CURVD_ENGINE: "cpu" },
  }).output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

Deno.test("deno task train trains through a server of its own and writes a log and a plot", async () => {
  const out = `dist/training/test-${crypto.randomUUID()}`;
  try {
    const args = ["--model", "mlp", "--method", "kfac", "--steps", "12", "--batch", "64"];
    const { code, stdout, stderr } = await train([...args, "--out", out]);
    equal(code, 0, stderr);
    match(stdout, /^MNIST classifier 784-128-64-10, kfac, seed 1$/m);
    match(stdout, /^Server: http:\/\/127\.0\.0\.1:\d+, engine cpu\. /m);
    match(stdout, /^step 12, [\d.]+ s, loss [\d.]+, test [\d.]+, [\d.]+ % right$/m);

    const log = JSON.parse(await Deno.readTextFile(new URL(`${out}.json`, ROOT)));
    equal(log.steps.loss.length, 12);
    equal(log.marks.at(-1).step, 12);
    equal(log.server.engine, "cpu");
    ok(log.marks.at(-1).trainingLoss < 1.8 && log.steps.loss[0] > 2);
    ok(Math.max(...log.steps.age) >= 5, "a refresh every 10 steps leaves older curvature between");
    match(await Deno.readTextFile(new URL(`${out}.svg`, ROOT)), /^<svg.*MNIST classifier/s);
  } finally {
    for (const ending of ["json", "svg"]) {
      await Deno.remove(new URL(`${out}.${ending}`, ROOT)).catch(() => {});
    }
  }
});

Deno.test("deno task train refuses what it does not know before anything is started", async () => {
  const { code, stdout, stderr } = await train(["--method", "newton"]);
  equal(code, 1);
  equal(stdout, "");
  match(stderr, /^Cannot use --method newton; there are sgd, adam, kfac, /);
});
