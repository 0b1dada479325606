/**
 * `deno task bench:linalg`: the linear algebra against what a user would pick instead.
 *
 *     deno task bench:linalg [--rows=cpu,built-in,webgpu] [--sizes=64,256,…] [--batches=16x64,…]
 *                            [--python=python3] [--threads=N] [--quick] [--save]
 *
 * Prints a table; with `--save` also writes it to bench/results/linalg.json with machine, date and command.
 *
 * @module
 */
import "./tfjs_mat_mul.ts"; // before ours takes its place
import { parseArgs } from "node:util";
import { builtInRows } from "./built_in_rows.ts";
import { cpuRows, type Work } from "./cpu_rows.ts";
import { describeMachine } from "./machine.ts";
import { Peer, type PeerName } from "./peer.ts";
import { isHeld, type Row, table } from "./row.ts";
import { webGpuRows } from "./webgpu_rows.ts";

const { values: options } = parseArgs({
  args: Deno.args,
  options: {
    rows: { type: "string", default: "cpu,built-in,webgpu" },
    sizes: { type: "string", default: "64,256,512,1024,2048" },
    batches: { type: "string", default: "16x64,32x256,16x512" },
    peers: { type: "string", default: "scipy,torch" },
    python: { type: "string", default: "python3" },
    threads: { type: "string", default: String(navigator.hardwareConcurrency) },
    quick: { type: "boolean", default: false },
    save: { type: "boolean", default: false },
  },
});

const groups = options.rows.split(",");
const threads = Number(options.threads);
const results = new URL("../results/linalg.json", import.meta.url);
const rows: Row[] = [];

if (groups.includes("cpu")) {
  const peers = await startPeers();
  const singles = listOf(options.sizes).map((n): Work => ({ batch: 1, n: Number(n) }));
  const batches = listOf(options.batches).map((each): Work => {
    const [batch, n] = each.split("x").map(Number);
    return { batch, n };
  });
  const works = options.quick ? singles.slice(0, 2) : [...singles, ...batches];
  await collect(cpuRows(works, peers));
  for (const peer of peers) await peer.close();
}
if (groups.includes("built-in")) await collect(builtInRows(options.quick ? [256] : [256, 512]));
if (groups.includes("webgpu")) {
  await collect(webGpuRows(
    options.quick
      ? { products: [512], refreshes: [] }
      : { products: [512, 1024], refreshes: [256, 512] },
  ));
}

console.log(`\n${table(rows)}`);
if (options.save) {
  const report = {
    date: new Date().toISOString(),
    command: `deno task bench:linalg ${Deno.args.join(" ")}`.trim(),
    threads,
    machine: await describeMachine(),
    rows,
  };
  await Deno.mkdir(new URL("./", results), { recursive: true });
  await Deno.writeTextFile(results, `${JSON.stringify(report, null, 2)}\n`);
  console.log(`\nwritten to ${decodeURIComponent(results.pathname)}`);
}
Deno.exit(rows.every(isHeld) ? 0 : 1);

async function startPeers(): Promise<Peer[]> {
  const script = decodeURIComponent(new URL("peer.py", import.meta.url).pathname);
  const started: Peer[] = [];
  for (const name of listOf(options.peers) as PeerName[]) {
    const peer = await Peer.start(name, { python: options.python, script, threads });
    if (peer) started.push(peer);
    else console.error(`${options.python} has no ${name}: its rows are left out`);
  }
  return started;
}

/** Shows each row as it comes. */
async function collect(source: AsyncIterable<Row>): Promise<void> {
  for await (const each of source) {
    rows.push(each);
    console.error(table([each]).split("\n")[1]);
  }
}

function listOf(text: string): string[] {
  return text.split(",").filter((each) => each !== "");
}
