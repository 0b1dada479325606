/**
 * `deno task bench:keys`: whether the time to a 401 tells how much of a key was right.
 *
 * Two kinds of wrong secrets are asked in random order: of nothing in common with any key, and of all but the last
 * character of one. Welch's t between their times, the slowest tenth left out, is as large as 4.5 only where they differ
 * (Reparaz, Balasch & Verbauwhede 2017, "Dude, is my code constant time?", DATE 2017, IACR ePrint 2016/1123).
 * A comparison that stops at the first wrong character is measured beside them, and has to be found out.
 *
 *     deno task bench:keys [--samples=20000] [--save]
 *
 * @module
 */
import { parseArgs } from "node:util";
import { hashOf, type Key, Keyring, makeKey } from "@/keys/mod.ts";
import { appWith } from "../../tests/routes/fake_compute.ts";
import { saveReport } from "../report.ts";

const { values: options } = parseArgs({
  args: Deno.args,
  options: {
    samples: { type: "string", default: "20000" },
    save: { type: "boolean", default: false },
  },
});
const SAMPLES = Number(options.samples);
const KEYS = 100;
/** Largest |t| of times that do not differ. */
const BOUND = 4.5;

const secrets = Array.from({ length: KEYS }, () => makeKey("lab", ["read"]).secret);
const keys: Key[] = secrets.map((secret, i) => ({
  id: `key-${i}`,
  scopes: ["read"],
  hash: hashOf(secret),
}));
const keyring = new Keyring(keys);

/** All but the last character of a key. */
const near = secrets.map((secret) => secret.slice(0, -1) + (secret.endsWith("0") ? "1" : "0"));
/** As long, and nothing in common. */
const far = near.map((secret) => "~".repeat(secret.length));

const app = appWith(undefined, { keyring });

const rows = [
  await contest("keyring.find()", 20, (secret) => keyring.find(secret)),
  await contest(
    "GET /v1/device, 401",
    1,
    (secret) => app.request("/v1/device", { headers: { authorization: `Bearer ${secret}` } }),
  ),
  await contest("control: stops at the first wrong character", 20, stopsEarly),
];
app.codec.close();
console.table(rows);
if (options.save) {
  await saveReport("keys", `deno task bench:keys ${Deno.args.join(" ")}`.trim(), { rows });
}
const isRight = rows.every(({ t }, i) => i === rows.length - 1 ? t > BOUND : t < BOUND);
console.log(
  isRight ? "The time tells nothing, and the control is found out" : "NOT AS IT SHOULD BE",
);
Deno.exit(isRight ? 0 : 1);

/** Times both kinds of secrets in random order. @param batch lookups a sample. */
async function contest(what: string, batch: number, ask: (secret: string) => unknown) {
  const times = { near: [] as number[], far: [] as number[] };
  for (let i = 0; i < SAMPLES + 2000; i++) {
    const kind = Math.random() < 0.5 ? "near" : "far";
    const secret = (kind === "near" ? near : far)[Math.floor(Math.random() * KEYS)];
    const begun = performance.now();
    for (let j = 0; j < batch; j++) await ask(secret);
    const ms = performance.now() - begun;
    if (i >= 2000) times[kind].push(ms); // the first ones warm the compiler up
  }
  const all = [...times.near, ...times.far].sort((a, b) => a - b);
  const slowest = all[Math.floor(0.9 * all.length)];
  const [a, b] = [times.near, times.far].map((each) => each.filter((ms) => ms < slowest));
  const us = (ms: number) => (1000 * ms / batch).toFixed(2);
  return {
    what,
    "near, µs": us(mean(a)),
    "far, µs": us(mean(b)),
    t: Number(Math.abs(welch(a, b)).toFixed(2)),
  };
}

function stopsEarly(presented: string): string | undefined {
  return secrets.find((secret) => {
    for (let i = 0; i < secret.length; i++) {
      if (secret.charCodeAt(i) !== presented.charCodeAt(i)) return false;
    }
    return true;
  });
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** Welch's t: the difference of means in units of its own standard error. */
function welch(a: readonly number[], b: readonly number[]): number {
  const errorOf = (values: readonly number[]) => {
    const centre = mean(values);
    const squares = values.reduce((sum, value) => sum + (value - centre) ** 2, 0);
    return squares / (values.length - 1) / values.length;
  };
  return (mean(a) - mean(b)) / Math.sqrt(errorOf(a) + errorOf(b));
}
