import {
  deepStrictEqual as deepEqual,
  match,
  ok,
  strictEqual as equal,
  throws,
} from "node:assert/strict";
import { hashOf, KeyFileError, lineOf, makeKey, parseKeys } from "../../src/keys/mod.ts";

const HASH = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

Deno.test("parseKeys() reads ids, scopes and hashes, and passes over remarks and blanks", () => {
  const keys = parseKeys(
    `# id scopes hash\n\n  lab  read,compute\t${HASH} # of June\r\nops admin ${HASH}`,
  );
  deepEqual(keys.map(({ id, scopes }) => [id, scopes]), [
    ["lab", ["read", "compute"]],
    ["ops", ["admin"]],
  ]);
  equal(keys[0].hash.toHex(), HASH);
  deepEqual(parseKeys(keys.map(lineOf).join("\n")), keys);
});

Deno.test("a secret is known by its SHA-256", () => {
  equal(hashOf("test").toHex(), HASH);
});

const FAULTS: Record<string, [line: string, fault: RegExp]> = {
  "too few words": [`lab ${HASH}`, /an id, scopes and a hash/],
  "too many words": [`lab read ${HASH} more`, /an id, scopes and a hash/],
  "an id with a slash": [`lab/x read ${HASH}`, /an id has/],
  "an unknown scope": [`lab read,root ${HASH}`, /scopes are read, compute, admin/],
  "no scope": [`lab , ${HASH}`, /scopes are/],
  "a secret in the place of a hash": ["lab read curvd_SECRET", /SHA-256/],
  "a hash in capitals": [`lab read ${HASH.toUpperCase()}`, /lower case/],
};

for (const [what, [line, fault]] of Object.entries(FAULTS)) {
  Deno.test(`a line with ${what} is refused by its number, and not repeated`, () => {
    throws(() => parseKeys(`# first\n${line}`), (error: Error) => {
      ok(error instanceof KeyFileError);
      match(error.message, /^line 2: /);
      match(error.message, fault);
      ok(!error.message.includes("SECRET"));
      return true;
    });
  });
}

Deno.test("makeKey() makes another secret each time, whose line opens", () => {
  const made = [makeKey("lab", ["read"]), makeKey("lab", ["read"])];
  ok(made[0].secret !== made[1].secret);
  for (const { secret, line } of made) {
    match(secret, /^curvd_[\w-]{43}$/);
    ok(!line.includes(secret.slice(6)));
    equal(parseKeys(line)[0].hash.toHex(), hashOf(secret).toHex());
  }
  throws(() => makeKey("a b", ["read"]), KeyFileError);
  throws(() => makeKey("#a", ["read"]), KeyFileError);
  throws(() => makeKey("a", []), KeyFileError);
});

Deno.test("deno task key prints the line to be kept, and the secret beside it", async () => {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["task", "--quiet", "key", "lab", "read,admin"],
    cwd: new URL("../../", import.meta.url),
    env: { NO_COLOR: "1" },
  }).output();
  equal(code, 0);
  const [key, ...others] = parseKeys(new TextDecoder().decode(stdout));
  deepEqual([key.id, key.scopes, others.length], ["lab", ["read", "admin"], 0]);
  const [secret] = /curvd_[\w-]{43}/.exec(new TextDecoder().decode(stderr)) ?? [];
  equal(key.hash.toHex(), hashOf(secret!).toHex());
});
