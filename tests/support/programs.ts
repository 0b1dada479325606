/** Programs that a machine may lack. @module */

/**
 * What a program prints, or null where it is missing or fails.
 *
 * Of a missing program `Deno.Command` throws before there is a promise, whose `catch` thus never hears of it.
 */
export async function printedBy(program: string, args: readonly string[]): Promise<string | null> {
  try {
    const command = new Deno.Command(program, { args: [...args], stderr: "null" });
    const { success, stdout } = await command.output();
    return success ? new TextDecoder().decode(stdout).trim() : null;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
}
