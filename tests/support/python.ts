/** Python for tests: the interpreter that CURVD_PYTHON names, else python3 on the path. @module */
import { printedBy } from "./programs.ts";

const named = Deno.env.get("CURVD_PYTHON");

export const PYTHON = named ?? "python3";

/**
 * Whether Python has what a test needs; where not, it says so and the test counts as skipped.
 *
 * @throws Error where CURVD_PYTHON names an interpreter that lacks it: then it was meant to be there.
 */
export async function pythonHas(modules: readonly string[], what: string): Promise<boolean> {
  if (await printedBy(PYTHON, ["-c", `import ${modules.join(", ")}`]) !== null) return true;
  const reason = `${what}: there is no ${PYTHON} with ${modules.join(", ")}`;
  if (named !== undefined) throw new Error(`Cannot test ${reason}`);
  console.warn(`NOT TESTED: ${reason}`);
  return false;
}
