/** The store: transactions, what it remembers, and what it does with a file that is not as it was written. */
import { deepStrictEqual as deepEqual, ok, strictEqual as equal, throws } from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { SCHEMA_VERSION } from "../../src/sessions/sqlite_schema.ts";
import { SqliteStore } from "../../src/sessions/sqlite_store.ts";
import type { Parts, RecordKind } from "../../src/sessions/store.ts";

const bytes = (length: number, seed = 1) =>
  Uint8Array.from({ length }, (_, i) => Math.imul(i + 7919 * seed, i ^ 0x9e3779b1) >>> 13);

function withFile(run: (path: string) => void): void {
  const folder = Deno.makeTempDirSync();
  try {
    run(`${folder}/sessions.sqlite`);
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
}

function withStore(path: string, run: (store: SqliteStore) => void): void {
  const store = new SqliteStore(path);
  try {
    run(store);
  } finally {
    store.close();
  }
}

const SNAPSHOT = bytes(400_000);

let lastDraft = 0;

/** Begins a record of a session and writes it. @returns its draft. */
function draft(
  store: SqliteStore,
  kind: RecordKind,
  revision: number,
  parts: Parts,
  session = "s",
): number {
  const number = lastDraft++;
  store.begin(number, { session, kind, revision });
  for (const part of parts) store.write(number, [part]);
  return number;
}

/** A session with a snapshot and two entries. */
function fill(store: SqliteStore): void {
  const commit = (revision: number, draft: number) =>
    store.commit({ session: "s", head: `{"revision":${revision}}`, draft });
  commit(0, draft(store, "snapshot", 0, [SNAPSHOT]));
  for (const revision of [1, 2]) {
    commit(revision, draft(store, "entry", revision, [bytes(1000, revision), bytes(500)]));
  }
}

const recordsOf = (store: SqliteStore) => store.session("s")!.records;

Deno.test("what was committed is read again, in order, by the next to open the file", () =>
  withFile((path) => {
    withStore(path, fill);
    withStore(path, (store) => {
      deepEqual(store.sessions(), [{ id: "s", head: '{"revision":2}' }]);
      const records = recordsOf(store);
      deepEqual(records.map(({ kind, revision }) => `${kind} ${revision}`), [
        "snapshot 0",
        "entry 1",
        "entry 2",
      ]);
      deepEqual(store.read(records[1].number), Uint8Array.of(...bytes(1000, 1), ...bytes(500)));
      equal(store.session("other"), null);
    });
  }));

Deno.test("a snapshot stands for all records before it", () =>
  withStore(":memory:", (store) => {
    fill(store);
    store.commit({ session: "s", head: "{}", draft: draft(store, "snapshot", 3, [bytes(10)]) });
    deepEqual(recordsOf(store).map(({ revision }) => revision), [3]);
  }));

Deno.test("blobs larger than a chunk come back whole", () =>
  withStore(":memory:", (store) => {
    const large = new Uint8Array(40 * 2 ** 20);
    for (let i = 0; i < large.length; i += 4093) large[i] = i;
    store.commit({
      session: "s",
      head: "{}",
      draft: draft(store, "snapshot", 0, [bytes(7), large]),
    });
    const read = store.read(recordsOf(store)[0].number);
    equal(read.length, large.length + 7);
    equal(read.subarray(7).every((byte, i) => byte === large[i]), true);
  }));

Deno.test("a draft that was discarded, or never committed, is not there", () =>
  withFile((path) => {
    withStore(path, (store) => {
      fill(store);
      store.discard(draft(store, "entry", 3, [bytes(10)]));
      equal(recordsOf(store).length, 3);
      draft(store, "entry", 3, [bytes(10)]);
      equal(recordsOf(store).length, 3);
    });
    withStore(path, (store) => equal(recordsOf(store).length, 3));
  }));

Deno.test("drafts of several sessions are committed in whatever order their changes are done", () =>
  withFile((path) => {
    withStore(path, (store) => {
      const ids = ["a", "b", "c"];
      const drafts = ids.map((id) => draft(store, "snapshot", 0, [bytes(10), bytes(20)], id));
      store.commit({ session: "c", head: "{}", draft: drafts[2] });
      store.discard(drafts[1]);
      store.commit({ session: "a", head: "{}", draft: drafts[0] });
    });
    withStore(path, (store) => {
      deepEqual(store.sessions().map(({ id }) => id), ["a", "c"]);
      for (const id of ["a", "c"]) {
        const [{ number }] = store.session(id)!.records;
        deepEqual(store.read(number), Uint8Array.of(...bytes(10), ...bytes(20)));
      }
    });
  }));

Deno.test("a snapshot written beside changes stands for what was there when it began", () =>
  withStore(":memory:", (store) => {
    fill(store);
    const snapshot = draft(store, "snapshot", 2, [bytes(10)]);
    const entry = draft(store, "entry", 3, [bytes(20)]);
    store.commit({ session: "s", head: '{"revision":3}', draft: entry });
    store.write(snapshot, [bytes(30, 2)]);
    equal(recordsOf(store).length, 4);
    store.commit({ session: "s", head: '{"revision":3}', draft: snapshot });
    deepEqual(recordsOf(store).map(({ kind, revision }) => `${kind} ${revision}`), [
      "snapshot 2",
      "entry 3",
    ]);
    deepEqual(
      store.read(recordsOf(store)[0].number),
      Uint8Array.of(...bytes(10), ...bytes(30, 2)),
    );
  }));

Deno.test("the room of what is gone is used again", () =>
  withFile((path) =>
    withStore(path, (store) => {
      const size = () => {
        while (store.tidy());
        return Deno.statSync(path).size;
      };
      const replace = (seed: number) => {
        const large = new Uint8Array(20 * 2 ** 20).fill(seed);
        store.commit({ session: "s", head: "{}", draft: draft(store, "snapshot", 0, [large]) });
      };
      replace(0);
      replace(1);
      const before = size();
      for (let seed = 2; seed < 5; seed++) {
        replace(seed);
        size();
      }
      ok(size() <= before + 2 ** 20, `${size()} bytes after ${before}`);
    })
  ));

Deno.test("a key is remembered with its change, and only with it", () =>
  withStore(":memory:", (store) => {
    const key = { scope: "s", key: "k", hash: "h", answer: '{"revision":1}' };
    store.commit({ session: "s", head: "{}", keys: [key] });
    deepEqual(store.remembered("s", "k"), { hash: "h", answer: '{"revision":1}' });
    equal(store.remembered("t", "k"), null);
    const end = { ...key, key: "end" };
    store.commit({ session: "s", head: null, keys: [end] });
    equal(store.session("s"), null);
    equal(store.remembered("s", "k"), null, "what it was about is gone");
    equal(store.remembered("s", "end")?.hash, "h");
    store.commit({ session: "s", head: "{}", isAnew: true });
    equal(store.remembered("s", "end"), null);
  }));

Deno.test("a second server on the same file is refused, naming it", () =>
  withFile((path) => {
    withStore(path, () => {
      throws(() => new SqliteStore(path), { code: "conflict", message: /sessions\.sqlite/ });
    });
    withStore(path, (store) => deepEqual(store.sessions(), []));
  }));

Deno.test("a file of a later version or of another program is refused, naming it", () =>
  withFile((path) => {
    withStore(path, fill);
    const change = (pragma: string) => {
      const database = new DatabaseSync(path);
      database.exec(`PRAGMA ${pragma}`);
      database.close();
    };
    change(`user_version = ${SCHEMA_VERSION + 1}`);
    throws(() => new SqliteStore(path), { code: "unsupported", message: /later version/ });
    change(`user_version = ${SCHEMA_VERSION}`);
    change("application_id = 1");
    throws(() => new SqliteStore(path), { code: "unsupported", message: /another program/ });
  }));

/** The file with its log folded in, changed by `spoil`. */
function spoiled(path: string, spoil: (file: Uint8Array) => Uint8Array): void {
  withStore(path, fill); // the last to close folds the log into the file
  Deno.writeFileSync(path, spoil(Deno.readFileSync(path)));
}

/** What opening and reading everything answers: damage, or exactly what was written. */
function outcome(path: string): "damaged" | "intact" {
  try {
    let intact = false;
    withStore(path, (store) => {
      const sessions = store.sessions();
      const records = store.session("s")?.records.map(({ number }) => store.read(number)) ?? [];
      intact = sessions.length === 1 && sessions[0].head === '{"revision":2}' &&
        records.length === 3 &&
        records[0].every((byte, i) => byte === SNAPSHOT[i]) && records[2].length === 1500;
    });
    ok(intact, "something else than what was written was served");
    return "intact";
  } catch (error) {
    equal((error as { code?: string }).code, "store-damaged", String(error));
    return "damaged";
  }
}

Deno.test("a bit flipped anywhere is detected and named, or changes nothing", () => {
  let damaged = 0;
  for (let trial = 0; trial < 60; trial++) {
    withFile((path) => {
      spoiled(path, (file) => {
        // past the header of the file, whose every bit SQLite minds by itself or not at all
        const at = 100 + Math.floor((trial + 0.5) / 60 * (file.length - 100));
        file[at] ^= 1 << (trial % 8);
        return file;
      });
      if (outcome(path) === "damaged") damaged++;
    });
  }
  ok(damaged >= 20, `${damaged} of 60 flips hit something that is read`);
});

Deno.test("a flipped bit of a blob is named with its session and chunk", () =>
  withFile((path) => {
    const needle = SNAPSHOT.subarray(200_000, 200_032);
    spoiled(path, (file) => {
      const at = file.findIndex((_, i) => needle.every((byte, j) => file[i + j] === byte));
      ok(at > 0);
      file[at] ^= 4;
      return file;
    });
    withStore(path, (store) =>
      throws(() =>
        recordsOf(store).map(({ number }) => store.read(number)), {
        code: "store-damaged",
        message: /snapshot of session "s" at revision 0, chunk 0/,
      }));
  }));

Deno.test("a truncated file is detected and named", () => {
  for (const share of [0.02, 0.3, 0.6, 0.9]) {
    withFile((path) => {
      spoiled(path, (file) => file.slice(0, Math.floor(file.length * share)));
      equal(outcome(path), "damaged", `cut to ${share}`);
    });
  }
});
