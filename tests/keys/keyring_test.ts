import {
  deepStrictEqual as deepEqual,
  ok,
  rejects,
  strictEqual as equal,
} from "node:assert/strict";
import { timingSafeEqual } from "node:crypto";
import { hashOf, type Key, KeyFileError, Keyring, lineOf, watchKeys } from "../../src/keys/mod.ts";

const keyOf = (id: string, secret: string): Key => ({ id, scopes: ["read"], hash: hashOf(secret) });

Deno.test("find() answers the key of a secret, and nothing for any other", () => {
  const keyring = new Keyring([keyOf("a", "first"), keyOf("b", "second")]);
  equal(keyring.find("first")?.id, "a");
  equal(keyring.find("second")?.id, "b");
  for (const wrong of ["", "firs", "first ", "First", "third"]) {
    equal(keyring.find(wrong), undefined);
  }
});

Deno.test("find() compares the whole hash with every key, whatever the secret", () => {
  const keys = ["a", "b", "c", "d"].map((id) => keyOf(id, `secret of ${id}`));
  const compared: [left: string, right: string][] = [];
  const keyring = new Keyring(keys, (left, right) => {
    compared.push([(left as Uint8Array).toHex(), (right as Uint8Array).toHex()]);
    return timingSafeEqual(left, right);
  });
  for (const secret of ["secret of a", "secret of b", "secret of d", "secret of", "x", ""]) {
    compared.length = 0;
    keyring.find(secret);
    deepEqual(compared, keys.map(({ hash }) => [hash.toHex(), hashOf(secret).toHex()]));
  }
});

Deno.test("two secrets may open one id, and each holds only while its line is there", () => {
  const [old, young] = [keyOf("lab", "old"), keyOf("lab", "young")];
  const keyring = new Keyring([old, young]);
  deepEqual([keyring.find("old")?.id, keyring.find("young")?.id], ["lab", "lab"]);
  keyring.replace([young]);
  deepEqual([keyring.holds(old), keyring.holds(young)], [false, true]);
});

async function withFile(run: (path: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await run(`${folder}/keys`);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function eventually(what: string, holds: () => boolean): Promise<void> {
  for (let i = 0; i < 200; i++) {
    if (holds()) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error(`Not within 2 seconds: ${what}`);
}

Deno.test("a keyring follows its file, also one put in its place, and keeps the last that was right", () =>
  withFile(async (path) => {
    await Deno.writeTextFile(path, lineOf(keyOf("a", "first")));
    const { keyring, close } = await watchKeys(path, 10);
    try {
      equal(keyring.find("first")?.id, "a");

      await Deno.writeTextFile(path, lineOf(keyOf("b", "second")));
      await eventually("the new key opens", () => keyring.find("second")?.id === "b");
      equal(keyring.find("first"), undefined);

      await Deno.writeTextFile(path, "not a line of keys");
      await new Promise((resolve) => setTimeout(resolve, 60));
      equal(keyring.find("second")?.id, "b");

      await Deno.writeTextFile(`${path}.new`, lineOf(keyOf("c", "third")));
      await Deno.rename(`${path}.new`, path);
      await eventually("the file put in its place opens", () => keyring.find("third")?.id === "c");

      await Deno.remove(path);
      await new Promise((resolve) => setTimeout(resolve, 60));
      equal(keyring.find("third")?.id, "c");
    } finally {
      close();
    }
  }));

Deno.test("a file that is not there, holds no key or a wrong line stops the start, naming it", () =>
  withFile(async (path) => {
    const refused = (fault: RegExp) =>
      rejects(watchKeys(path), (error: Error) => {
        ok(error instanceof KeyFileError && error.message.includes(path));
        return fault.test(error.message);
      });
    await refused(/cannot be read: NotFound/);
    await Deno.writeTextFile(path, "# none yet\n");
    await refused(/there is no key/);
    await Deno.writeTextFile(path, "lab read abc");
    await refused(/line 1: the hash/);
  }));
