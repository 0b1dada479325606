/**
 * The file of keys: one a line, never a secret.
 *
 *   # id  scopes        SHA-256 of the secret, in hex
 *   lab   read,compute  9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
 *
 * A secret is 256 random bits, so that its plain hash cannot be guessed from: nothing slower is needed. Two lines may have
 * the same id while a secret is exchanged: both open the same sessions.
 *
 * @module
 */
import { createHash, randomBytes } from "node:crypto";

/** `read` asks, `compute` works and keeps sessions, `admin` sees how the server is. */
export const SCOPES = ["read", "compute", "admin"] as const;
export type Scope = typeof SCOPES[number];

export interface Key {
  /** Names the key in logs and metrics, and the sessions that are its own. */
  readonly id: string;
  readonly scopes: readonly Scope[];
  /** SHA-256 of the secret `[32]`. */
  readonly hash: Uint8Array;
}

/** What the file says that cannot be used; the message names the line, not what it holds. */
export class KeyFileError extends Error {
  override readonly name = "KeyFileError";
}

const ID = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
const HASH = /^[0-9a-f]{64}$/;
/** Begins every secret, so that a search of a repository finds one that was left there. */
const SECRET_PREFIX = "curvd_";

/** @throws KeyFileError naming the first line that cannot be used. */
export function parseKeys(text: string): Key[] {
  return text.split(/\r?\n/).flatMap((line, index) => {
    const words = line.replace(/#.*/, "").trim();
    return words === "" ? [] : [parseLine(words.split(/\s+/), index + 1)];
  });
}

function parseLine(words: string[], line: number): Key {
  const [id, scopes, hash] = words;
  const fault = words.length !== 3
    ? "an id, scopes and a hash are expected"
    : !ID.test(id)
    ? "an id has 1 to 64 letters, digits, dots, dashes or underscores"
    : !scopes.split(",").every(isScope)
    ? `scopes are ${SCOPES.join(", ")}, with commas between`
    : !HASH.test(hash)
    ? "the hash must be a SHA-256, 64 hexadecimal digits in lower case"
    : null;
  if (fault !== null) throw new KeyFileError(`line ${line}: ${fault}`);
  return { id, scopes: scopes.split(",") as Scope[], hash: Uint8Array.fromHex(hash) };
}

/** The line of a key. */
export function lineOf({ id, scopes, hash }: Key): string {
  return `${id} ${scopes.join(",")} ${hash.toHex()}`;
}

/**
 * A key of a new secret.
 *
 * @throws KeyFileError where the id or a scope cannot stand in the file.
 */
export function makeKey(id: string, scopes: readonly string[]): { secret: string; line: string } {
  const secret = SECRET_PREFIX + randomBytes(32).toString("base64url");
  const line = lineOf({ id, scopes: scopes as Scope[], hash: hashOf(secret) });
  const [key] = parseKeys(line);
  if (key?.id !== id) throw new KeyFileError("an id is needed, of letters and digits");
  return { secret, line };
}

/** SHA-256 of a secret `[32]`. */
export function hashOf(secret: string): Uint8Array {
  return createHash("sha256").update(secret).digest();
}

function isScope(text: string): text is Scope {
  return (SCOPES as readonly string[]).includes(text);
}
