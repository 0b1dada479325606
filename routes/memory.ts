/**
 * Memory given back as soon as it is of no use.
 *
 * Bytes outside of V8's heap are freed when the object that holds them is found to be garbage, and for every 64 MB or so of them
 * the whole heap is looked through. With bodies of 300 MB a second that took half of the time of the thread that answers.
 *
 * @module
 */

/** Less is not worth the call. */
const LEAST_BYTES = 2 ** 14;

/** Frees the memory of bytes that nobody reads any more. Nothing happens where they are a part of a larger piece of memory. */
export function giveBack({ buffer, byteLength }: Uint8Array): void {
  const isWhole = buffer instanceof ArrayBuffer && byteLength === buffer.byteLength;
  if (isWhole && byteLength >= LEAST_BYTES) buffer.transfer(0); // the detached one has no length
}
