/** Programs of the system, run to their end. @module */

/**
 * Runs a program; its output is shown, or with `capture` answered.
 *
 * @throws Error naming the program and its exit code.
 */
export async function run(
  program: string,
  args: readonly string[],
  { capture = false, cwd, input }: { capture?: boolean; cwd?: string; input?: string } = {},
): Promise<string> {
  const child = new Deno.Command(program, {
    args: [...args],
    cwd,
    stdin: input === undefined ? "null" : "piped",
    stdout: capture ? "piped" : "inherit",
    stderr: "inherit",
  }).spawn();
  if (input !== undefined) {
    const writer = child.stdin.getWriter();
    await writer.write(new TextEncoder().encode(input));
    await writer.close();
  }
  const [printed, { code }] = await Promise.all([
    capture ? new Response(child.stdout).text() : "",
    child.status,
  ]);
  if (code !== 0) throw new Error(`${program} ended with ${code}`);
  return printed;
}
