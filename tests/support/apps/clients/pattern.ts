// Bytes that both sides know without sending them: 1 MiB that looks random, each time with its number in front.
const blockBytes = 1 << 20;

function noise(): Buffer {
  const words = new Uint32Array(blockBytes / 4);
  let word = 2_463_534_242;
  for (let i = 0; i < words.length; i++) {
    // xorshift: https://www.jstatsoft.org/article/view/v008i14
    word ^= word << 13;
    word ^= word >>> 17;
    word ^= word << 5;
    words[i] = word;
  }
  return Buffer.from(words.buffer);
}

/** The first `bytes` of the pattern, in pieces that nobody else writes to; `seen` hears of each before it goes. */
export function* pattern(bytes: number, seen: (piece: Buffer) => void = () => {}): Generator<Buffer> {
  const block = noise();
  for (let sent = 0; sent < bytes; sent += blockBytes) {
    const piece = Buffer.from(block.subarray(0, Math.min(blockBytes, bytes - sent)));
    if (piece.length >= 4) piece.writeUInt32LE(sent / blockBytes);
    seen(piece);
    yield piece;
  }
}
