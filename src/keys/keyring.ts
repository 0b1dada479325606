/**
 * The keys that are good now: found by a secret, read again when their file changes.
 *
 * @module
 */
import { timingSafeEqual } from "node:crypto";
import { log } from "@/log.ts";
import { hashOf, type Key, KeyFileError, parseKeys } from "./key_file.ts";

/** How often the file is looked at: a key taken out of it opens nothing more after so long. */
const POLL_MS = 1000;

export class Keyring {
  #keys: readonly Key[];

  constructor(keys: readonly Key[], private readonly equal = timingSafeEqual) {
    this.#keys = keys;
  }

  /**
   * The key of a secret.
   *
   * Hashes are compared, every one and each to its end: the time tells neither how much of a secret was right nor which
   * key it resembles.
   */
  find(secret: string): Key | undefined {
    const hash = hashOf(secret);
    let found: Key | undefined;
    for (const key of this.#keys) {
      if (this.equal(key.hash, hash)) found = key;
    }
    return found;
  }

  /** Whether a key that was found is still good, as what it opened may outlast it. */
  holds({ id, hash }: Key): boolean {
    return this.#keys.some((key) => key.id === id && this.equal(key.hash, hash));
  }

  replace(keys: readonly Key[]): void {
    this.#keys = keys;
  }
}

/** A keyring that follows its file. */
export interface WatchedKeyring {
  readonly keyring: Keyring;
  close(): void;
}

/**
 * Reads the file, and then each second whether it is another. One that cannot be read or understood is told in the log,
 * and changes nothing.
 *
 * @throws KeyFileError naming the file and the line; also where there is no key in it.
 */
export async function watchKeys(path: string, pollMs = POLL_MS): Promise<WatchedKeyring> {
  let text = await read(path);
  const keyring = new Keyring(named(path, text));

  let told = "";
  async function follow() {
    try {
      const now = await read(path);
      told = "";
      if (now === text) return;
      text = now;
      const keys = named(path, text);
      keyring.replace(keys);
      log.info("the keys were read again", { keys: keys.length });
    } catch (error) {
      if (!(error instanceof KeyFileError)) throw error;
      if (error.message === told) return;
      told = error.message;
      log.error("the keys were not read again, those before hold", { reason: error.message });
    }
  }
  let reading = Promise.resolve();
  const poll = setInterval(() => reading = reading.then(follow), pollMs);
  Deno.unrefTimer(poll);
  return { keyring, close: () => clearInterval(poll) };
}

async function read(path: string): Promise<string> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    throw new KeyFileError(
      `CURVD_KEYS: ${path} cannot be read: ${error instanceof Error ? error.name : error}`,
    );
  }
}

function named(path: string, text: string): Key[] {
  try {
    const keys = parseKeys(text);
    if (keys.length === 0) throw new KeyFileError("there is no key in it");
    return keys;
  } catch (error) {
    throw new KeyFileError(`${path}, ${error instanceof Error ? error.message : error}`);
  }
}
