/**
 * Which encoding a body has, and which one its answer is to have.
 *
 * @module
 */
import { CurvdError } from "@/errors.ts";
import { type Encoding, MEDIA_TYPES } from "@/wire/mod.ts";

/** Media types taken, `application/octet-stream` as safetensors. */
const ENCODINGS: Readonly<Record<string, Encoding>> = {
  "application/json": "json",
  "application/vnd.safetensors": "safetensors",
  "application/octet-stream": "safetensors",
};
const OFFERED = Object.values(MEDIA_TYPES);

/**
 * The encoding of a body.
 *
 * @throws CurvdError `unsupported-media-type`, naming what is taken.
 */
export function encodingOfBody(headers: Headers): Encoding {
  const contentEncoding = headers.get("content-encoding") ?? "identity";
  if (contentEncoding !== "identity") {
    throw new CurvdError("unsupported-media-type", "A compressed body is not taken", {
      value: contentEncoding,
      suggestion: "send it without Content-Encoding",
    });
  }
  const mediaType = headers.get("content-type");
  const encoding = ENCODINGS[bareType(mediaType ?? "")];
  if (encoding === undefined) {
    const found = mediaType === null ? "no Content-Type" : `Content-Type ${mediaType}`;
    throw new CurvdError(
      "unsupported-media-type",
      `Expected Content-Type ${OFFERED.join(" or ")}, got ${found}`,
      { value: mediaType, limit: OFFERED },
    );
  }
  return encoding;
}

/**
 * The encoding of an answer, by RFC 9110 section 12.5.1.
 *
 * @param accept the `Accept` header, or null.
 * @param own the encoding that wins among equals: the request's own, JSON for a GET.
 * @throws CurvdError `not-acceptable`, naming what is offered.
 */
export function encodingOfAnswer(accept: string | null, own: Encoding): Encoding {
  if (accept === null || accept.trim() === "") return own;
  const ranges = accept.split(",").map(parseRange);
  const other: Encoding = own === "json" ? "safetensors" : "json";
  const [ownQuality, otherQuality] = [qualityOf(own, ranges), qualityOf(other, ranges)];
  if (ownQuality === 0 && otherQuality === 0) {
    throw new CurvdError("not-acceptable", `Offered are ${OFFERED.join(" and ")}`, {
      value: accept,
      limit: OFFERED,
    });
  }
  return otherQuality > ownQuality ? other : own;
}

interface MediaRange {
  readonly type: string;
  /** 0 (refused) to 1. */
  readonly quality: number;
}

/** The quality of the most specific range that covers an encoding; 0 where none does. */
function qualityOf(encoding: Encoding, ranges: readonly MediaRange[]): number {
  const own = Object.keys(ENCODINGS).filter((type) => ENCODINGS[type] === encoding);
  for (const specific of [own, ["application/*"], ["*/*"]]) {
    const covering = ranges.filter(({ type }) => specific.includes(type));
    if (covering.length > 0) return Math.max(...covering.map(({ quality }) => quality));
  }
  return 0;
}

function parseRange(range: string): MediaRange {
  const quality = /;\s*q=([\d.]+)/i.exec(range)?.[1];
  return { type: bareType(range), quality: quality === undefined ? 1 : Number(quality) || 0 };
}

/** The media type without its parameters, in lower case. */
function bareType(mediaType: string): string {
  return mediaType.split(";")[0].trim().toLowerCase();
}
