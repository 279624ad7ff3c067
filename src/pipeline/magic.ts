/** Whether the bytes from `offset` on are those of `magic`, one Latin-1 character each. */
export function hasMagic(
  bytes: Uint8Array,
  offset: number,
  magic: string,
): boolean {
  for (let i = 0; i < magic.length; i++) {
    if (bytes[offset + i] !== magic.charCodeAt(i)) return false;
  }
  return true;
}
