/** IDX, the file format of MNIST. @module */

/**
 * The values of an IDX file of bytes: 0, 0, type 8, rank, then the sides in big-endian, then the values.
 *
 * @throws RangeError where the file is something else.
 */
export function readIdx(file: Uint8Array, rank: number): Uint8Array {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const start = 4 + 4 * rank;
  if (file.length < start || view.getUint32(0) !== 0x800 + rank) {
    throw new RangeError(`Cannot read this file as IDX bytes of rank ${rank}`);
  }
  let size = 1;
  for (let axis = 0; axis < rank; axis++) size *= view.getUint32(4 + 4 * axis);
  if (file.length !== start + size) {
    throw new RangeError(`Expected ${size} values in the IDX file, got ${file.length - start}`);
  }
  return file.subarray(start);
}
