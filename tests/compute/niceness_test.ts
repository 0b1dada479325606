import { ok, strictEqual as equal } from "node:assert/strict";
import { NICENESS } from "@/compute/niceness.ts";

const code = (giveWay: string) => `
  import { giveWay } from "${new URL("../../src/compute/niceness.ts", import.meta.url)}";
  const libc = Deno.dlopen("libc.so.6", {
    getpriority: { parameters: ["i32", "u32"], result: "i32" },
  });
  const niceness = () => libc.symbols.getpriority(0, 0);
  const before = niceness();
  ${giveWay}
  self.postMessage(niceness() - before);
  self.close();
`;

async function nicenessOf(giveWay: string): Promise<number> {
  const url = URL.createObjectURL(new Blob([code(giveWay)], { type: "text/javascript" }));
  const worker = new Worker(url, { type: "module" });
  try {
    return await new Promise((resolve, reject) => {
      worker.onmessage = ({ data }) => resolve(data);
      worker.onerror = ({ message }) => reject(new Error(message));
    });
  } finally {
    worker.terminate();
    URL.revokeObjectURL(url);
  }
}

Deno.test({
  name: "a Worker gives way, and no other thread does",
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    equal(await nicenessOf("giveWay();"), NICENESS);
    equal(await nicenessOf(""), 0);
    ok(NICENESS > 0);
  },
});
