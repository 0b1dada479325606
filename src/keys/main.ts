/**
 * `deno task key <id> [scopes]`: makes a key.
 *
 * Its line for the file of `CURVD_KEYS` goes to standard output, the secret to standard error, once and nowhere else, so
 * that `deno task key lab >> keys` keeps the one and shows the other.
 *
 * @module
 */
import { KeyFileError, makeKey, SCOPES } from "./key_file.ts";

const [id, scopes = "read,compute", ...rest] = Deno.args;
if (id === undefined || id.startsWith("-") || rest.length > 0) {
  console.error(
    `deno task key <id> [scopes]\n\nScopes, with commas between: ${
      SCOPES.join(", ")
    } (read,compute)`,
  );
  Deno.exit(id === "--help" ? 0 : 2);
}
try {
  const { secret, line } = makeKey(id, scopes.split(","));
  console.log(line);
  console.error(`\nThe secret, shown once: ${secret}`);
} catch (error) {
  if (!(error instanceof KeyFileError)) throw error;
  console.error(`No key was made: ${error.message.replace(/^line 1: /, "")}`);
  Deno.exit(2);
}
