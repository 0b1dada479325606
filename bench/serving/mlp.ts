/**
 * The factors of a whole network in one request, as clients in Python and in Deno see it, against what a user would have in
 * Python's own process.
 *
 * @module
 */
import { decodeSafetensors, type Document, tensorOf } from "@/wire/mod.ts";
import { type Contender, contest, here } from "../linalg/contest.ts";
import { LineProcess } from "../linalg/lines.ts";
import { Peer, type PeerName } from "../linalg/peer.ts";
import { type Row, row } from "../linalg/row.ts";
import { bodyOf, factorOf, SAFETENSORS_HEADERS } from "./factors.ts";
import type { RunningServer } from "./server.ts";

/** d_a (with bias) and d_out of each layer. */
const MLP = [[785, 1024], [1025, 512], [513, 256], [257, 128], [129, 64], [65, 10]];
const SIDES = MLP.flat();

const CALLS = [
  { call: "inverses", op: "inverse", bar: 1.25 },
  { call: "eigenbases", op: "eigh", bar: 1.1 },
] as const;
type Call = typeof CALLS[number]["call"];

export async function mlpRows({ url }: RunningServer, python: string): Promise<Row[]> {
  const peers = await startPeers(python);
  const client = await LineProcess.start(python, [pathOf("./client.py"), url]);
  const rows: Row[] = [];
  for (const { call, op, bar } of CALLS) {
    const theirs = peers.map((peer): Contender => ({
      name: peer.version,
      times: (repeats) => timesOfLoop(peer, op, repeats),
    }));
    const inPython = (packed: boolean): Contender => ({
      name: client!.version,
      times: async (repeats) =>
        (await client!.ask({ call, sides: SIDES, packed, repeats }) as { ms: number[] }).ms,
    });
    const layers = Object.fromEntries(MLP.map((sides, l) => {
      const [A, G] = sides.map((n) => tensorOf([n, n], factorOf(n)));
      return [`fc${l}`, { A, G }] as const;
    }));
    const document: Document = call === "inverses" ? { layers, damping: 1e-3 } : { layers };
    const ours: [as: string, contender: Contender, bar?: number][] = [
      // what costs more here than from Python is fetch's own copying
      ["Deno's fetch", here("fetch", () => fetchOf(url, call, document))],
    ];
    if (client) {
      ours.unshift(["Python", inPython(false), bar]);
      if (call === "inverses") ours.push(["Python, triangles both ways", inPython(true), bar]);
    }
    for (const [as, contender, bar] of ours) {
      const result = await contest(contender, theirs);
      rows.push(row({ engine: "cpu over HTTP", work: `${call} mlp set, ${as}`, ...result, bar }));
    }
  }
  await Promise.all([...peers, ...client ? [client] : []].map((process) => process.close()));
  return rows;
}

async function startPeers(python: string): Promise<Peer[]> {
  const threads = navigator.hardwareConcurrency;
  const peers: Peer[] = [];
  for (const name of ["scipy", "torch"] as PeerName[]) {
    const peer = await Peer.start(name, { python, script: pathOf("../linalg/peer.py"), threads });
    if (peer) peers.push(peer);
    else console.error(`${python} has no ${name}: it is left out`);
  }
  return peers;
}

/** A peer's loop over the set: each side as often as is asked, which is kinder to its caches than a set after another. */
async function timesOfLoop(peer: Peer, op: "inverse" | "eigh", repeats: number): Promise<number[]> {
  const sums = Array<number>(repeats).fill(0);
  for (const n of SIDES) {
    const { ms } = await peer.ask({ op, n, batch: 1, repeats });
    ms.forEach((time, at) => sums[at] += time);
  }
  return sums;
}

/** One request with all factors, from arrays to arrays. */
async function fetchOf(url: string, call: Call, document: Document): Promise<void> {
  const response = await fetch(`${url}/v1/${call}`, {
    method: "POST",
    body: bodyOf(document),
    headers: SAFETENSORS_HEADERS,
  });
  if (!response.ok) throw new Error(await response.text());
  decodeSafetensors(new Uint8Array(await response.arrayBuffer()));
}

function pathOf(script: string): string {
  return decodeURIComponent(new URL(script, import.meta.url).pathname);
}
