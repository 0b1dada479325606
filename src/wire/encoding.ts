/** The two encodings of a document. @module */

export type Encoding = "json" | "safetensors";

/** Media type of each encoding, as answers declare it. */
export const MEDIA_TYPES: Readonly<Record<Encoding, string>> = {
  json: "application/json",
  safetensors: "application/vnd.safetensors",
};
