/**
 * `deno task demo`: K-FAC through a curvd server against SGD with momentum and Adam, on MNIST.
 *
 * All three train the same net from the same weights on the same batches with TensorFlow.js's cpu
 * backend and the same matrix product. Each has as many tries at its learning rate as the others.
 *
 * @module
 */
import { openEngine } from "@/engine/mod.ts";
import { exit } from "@/exit.ts";
import { CurvdClient } from "@/trainer/mod.ts";
import { startServer } from "@/training/mod.ts";
import { compare } from "./compare.ts";
import { adam, kfac, sgd } from "./contestants.ts";
import { HELP, type Options, readOptions } from "./options.ts";

const options = optionsOrExit();
const { facts } = await openEngine({ engine: "cpu", blas: "auto" });
const server = options.server === undefined ? await startServer() : undefined;
const signals: Deno.Signal[] = Deno.build.os === "windows" ? ["SIGINT"] : ["SIGINT", "SIGTERM"];
for (const signal of signals) {
  Deno.addSignalListener(signal, async () => {
    console.error(`\nThe demo stops: ${signal}`);
    await server?.stop();
    exit(130);
  });
}
try {
  const client = new CurvdClient(server?.url ?? options.server!);
  const { engine, reason } = await client.device();
  console.log(`Server: ${client.url}, engine ${engine}. ${reason}`);
  console.log(
    `Training: TensorFlow.js on the CPU, products by ${facts.blas?.library ?? "built-in code"}; ` +
      `${navigator.hardwareConcurrency} cores, ${Deno.build.os} ${Deno.build.arch}, ` +
      `Deno ${Deno.version.deno}\n`,
  );
  console.log(await compare([sgd, adam, kfac(client)], options));
} finally {
  await server?.stop();
}
exit(0); // the BLAS's threads would keep the process

/** The options; prints the help and ends where it was asked for, or where they cannot be read. */
function optionsOrExit(): Options {
  try {
    const options = readOptions(Deno.args);
    if (!options.wantsHelp) return options;
    console.log(HELP);
    Deno.exit(0);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    console.error(`${error.message}\n\n${HELP}`);
    Deno.exit(1);
  }
}
