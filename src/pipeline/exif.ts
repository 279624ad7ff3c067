const ORIENTATION = 0x0112;
const SHORT = 3;

/**
 * The orientation in a TIFF-structured EXIF block.
 *
 * @param tiff The block from its byte-order mark on.
 * @returns 1 to 8; 1 where the block is broken or says nothing.
 */
export function exifOrientation(tiff: Uint8Array): number {
  const view = new DataView(tiff.buffer, tiff.byteOffset, tiff.byteLength);
  try {
    const order = view.getUint16(0);
    if (order !== 0x4949 && order !== 0x4d4d) return 1;
    const little = order === 0x4949;
    const directory = view.getUint32(4, little);
    const entries = view.getUint16(directory, little);
    for (let i = 0; i < entries; i++) {
      const entry = directory + 2 + i * 12;
      if (view.getUint16(entry, little) !== ORIENTATION) continue;
      const value = view.getUint16(entry + 8, little);
      const valid = view.getUint16(entry + 2, little) === SHORT && value >= 1 &&
        value <= 8;
      return valid ? value : 1;
    }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
  }
  return 1;
}
