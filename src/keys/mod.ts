/**
 * API keys: their file, and who may do what.
 *
 * @module
 */
export {
  hashOf,
  type Key,
  KeyFileError,
  lineOf,
  makeKey,
  parseKeys,
  type Scope,
  SCOPES,
} from "./key_file.ts";
export { Keyring, type WatchedKeyring, watchKeys } from "./keyring.ts";
