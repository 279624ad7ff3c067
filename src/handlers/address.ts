/**
 * What a peer is counted by: its IPv4 address, or the /64 of its IPv6 address, for whoever has one
 * address of a /64 has them all.
 */
export function networkOf(hostname: string | undefined): string {
  if (!hostname) return "unknown";
  if (!hostname.includes(":")) return hostname;
  const mapped = /^::ffff:(\d+(?:\.\d+){3})$/i.exec(hostname);
  if (mapped) return mapped[1]!;
  const [head, tail] = hostname.split("::");
  const groups = (part = "") => part.split(":").filter(Boolean);
  const left = groups(head), right = groups(tail);
  const gap = Math.max(0, 8 - left.length - right.length);
  const network = [...left, ...Array<string>(gap).fill("0"), ...right]
    .slice(0, 4).map((group) => parseInt(group, 16).toString(16));
  return `${network.join(":")}::/64`;
}
