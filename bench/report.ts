/**
 * Saves a bench's figures under bench/results/ with the date, the command and the machine they were made on.
 *
 * @module
 */
import { describeMachine } from "./linalg/machine.ts";

/** Writes `bench/results/<name>.json`. */
export async function saveReport(
  name: string,
  command: string,
  figures: Record<string, unknown>,
): Promise<void> {
  const report = {
    date: new Date().toISOString().slice(0, 10),
    command,
    machine: await describeMachine(),
    ...figures,
  };
  const file = new URL(`./results/${name}.json`, import.meta.url);
  await Deno.writeTextFile(file, `${JSON.stringify(report, null, 1)}\n`);
  console.log(`\nsaved as bench/results/${name}.json`);
}
