/**
 * The tables of the store, and how a file of an older version becomes one of this.
 *
 * Every row carries the SHA-256 of what it says: SQLite guards the form of its file, not the bits within a value.
 *
 * @module
 */
import type { DatabaseSync } from "node:sqlite";
import { CurvdError } from "@/errors.ts";

/** "curv" in ASCII: tells our files from others'. */
const APPLICATION_ID = 0x63757276;

/** One list of statements a version; a version once released is never edited. */
const MIGRATIONS: readonly (readonly string[])[] = [
  [
    `CREATE TABLE session (
      id TEXT PRIMARY KEY,
      head TEXT NOT NULL,
      digest BLOB NOT NULL
    )`,
    `CREATE TABLE record (
      number INTEGER PRIMARY KEY AUTOINCREMENT,
      session TEXT NOT NULL,
      kind TEXT NOT NULL,
      revision INTEGER NOT NULL,
      bytes INTEGER NOT NULL,
      digest BLOB NOT NULL
    )`,
    "CREATE INDEX record_of_session ON record (session, number)",
    `CREATE TABLE chunk (
      record INTEGER NOT NULL,
      part INTEGER NOT NULL,
      digest BLOB NOT NULL,
      bytes BLOB NOT NULL,
      PRIMARY KEY (record, part)
    )`,
    `CREATE TABLE remembered (
      scope TEXT NOT NULL,
      key TEXT NOT NULL,
      hash TEXT NOT NULL,
      answer TEXT NOT NULL,
      at INTEGER NOT NULL,
      digest BLOB NOT NULL,
      PRIMARY KEY (scope, key)
    )`,
    "CREATE INDEX remembered_by_age ON remembered (at)",
  ],
];

/** The version that this program writes. */
export const SCHEMA_VERSION = MIGRATIONS.length;

/**
 * Brings a file to this version, in one transaction.
 *
 * @throws CurvdError `unsupported` for a file of another program, or of a later version of this.
 */
export function migrate(database: DatabaseSync, path: string): void {
  const version = pragma(database, "user_version");
  const application = pragma(database, "application_id");
  if (version > 0 && application !== APPLICATION_ID) {
    throw new CurvdError("unsupported", `${path} is a database of another program`, {
      value: path,
    });
  }
  if (version > SCHEMA_VERSION) {
    throw new CurvdError(
      "unsupported",
      `${path} was written by a later version: its schema is ${version}, this program's ${SCHEMA_VERSION}`,
      { value: version, limit: SCHEMA_VERSION },
    );
  }
  if (version === SCHEMA_VERSION) return;
  database.exec("BEGIN IMMEDIATE");
  for (const statement of MIGRATIONS.slice(version).flat()) database.exec(statement);
  database.exec(`PRAGMA application_id = ${APPLICATION_ID}`);
  database.exec(`PRAGMA user_version = ${SCHEMA_VERSION}`);
  database.exec("COMMIT");
}

function pragma(database: DatabaseSync, name: string): number {
  return Number(Object.values(database.prepare(`PRAGMA ${name}`).get()!)[0]);
}
