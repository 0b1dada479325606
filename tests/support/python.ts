/** Python for tests: the interpreter that CURVD_PYTHON names, else python3 on the path. @module */

const named = Deno.env.get("CURVD_PYTHON");

export const PYTHON = named ?? "python3";

/**
 * Whether Python has what a test needs; where not, it says so and the test counts as skipped.
 *
 * @throws Error where CURVD_PYTHON names an interpreter that lacks it: then it was meant to be there.
 */
export async function pythonHas(modules: readonly string[], what: string): Promise<boolean> {
  const { success } = await new Deno.Command(PYTHON, {
    args: ["-c", `import ${modules.join(", ")}`],
    stderr: "null",
  }).output().catch(() => ({ success: false }));
  if (success) return true;
  const reason = `${what}: ${PYTHON} lacks one of ${modules.join(", ")}`;
  if (named !== undefined) throw new Error(`Cannot test ${reason}`);
  console.warn(`NOT TESTED: ${reason}`);
  return false;
}
