// The shell of a fake VM: it answers the frames of a real one, and echoes. It knows `size`, `flood` and `exit N`.
import type { Duplex } from 'node:stream';
import { encodeFrame, FrameReader, guestFrames, hostFrames, type ShellFrame } from '../../contract/shell-frames.ts';

const prompt = 'λ $ ';

export function serveFakeShell(stream: Duplex): void {
  const reader = new FrameReader();
  const shell = new FakeShell(stream);
  stream.on('data', (chunk: Buffer) => {
    for (const frame of reader.take(chunk)) shell.take(frame);
  });
  stream.on('end', () => stream.destroy());
}

class FakeShell {
  readonly #stream: Duplex;
  #terminal = false;
  #size = '0 0';
  #line = '';

  constructor(stream: Duplex) {
    this.#stream = stream;
  }

  take({ kind, payload }: ShellFrame): void {
    switch (kind) {
      case hostFrames.terminal:
        this.#terminal = true;
        this.#begin(payload);
        break;
      case hostFrames.pipes:
        this.#begin(payload);
        break;
      case hostFrames.size:
        this.#size = `${payload.readUInt16BE(2)} ${payload.readUInt16BE(0)}`;
        break;
      case hostFrames.input:
        this.#input(payload);
        break;
      case hostFrames.inputEnd:
        this.#exit(0);
    }
  }

  #begin(command: Buffer): void {
    const argv = command.toString().split('\0').slice(0, -1);
    if (argv.length > 0) this.#run(argv.join(' '));
    else if (this.#terminal) this.#print(prompt);
  }

  #input(bytes: Buffer): void {
    this.#print(bytes);
    this.#line += bytes.toString();
    for (;;) {
      const end = this.#line.search(/[\r\n]/);
      if (end < 0) return;
      const line = this.#line.slice(0, end);
      this.#line = this.#line.slice(end + 1);
      this.#run(line);
      if (this.#terminal) this.#print(prompt);
    }
  }

  #run(line: string): void {
    const [word, argument] = line.split(' ');
    if (word === 'size') this.#print(`\r\n${this.#size}\r\n`);
    if (word === 'flood') this.#flood();
    if (word === 'warn') this.#stream.write(encodeFrame(guestFrames.errors, Buffer.from('warning\n')));
    if (word === 'exit') this.#exit(Number(argument));
  }

  #flood(): void {
    const chunk = encodeFrame(guestFrames.output, Buffer.alloc(32_768, 'y'));
    const more = (): void => {
      while (this.#stream.writable && this.#stream.write(chunk));
      if (this.#stream.writable) this.#stream.once('drain', more);
    };
    more();
  }

  #print(what: string | Buffer): void {
    if (this.#stream.writable) this.#stream.write(encodeFrame(guestFrames.output, Buffer.from(what)));
  }

  #exit(code: number): void {
    this.#stream.end(encodeFrame(guestFrames.exit, Buffer.from([0, code])));
  }
}
