// One request of a client and the way back to it, alike for HTTP/1.1 and HTTP/2.
import type { Readable } from 'node:stream';
import type { RequestHead } from './request-head.ts';

export interface ClientStream {
  readonly protocol: 'HTTP/1.1' | 'HTTP/2';
  readonly method: string;
  /** With its query. */
  readonly path: string;
  readonly head: RequestHead;
  /** Of the TLS session, as it came; undefined when the client named none. */
  readonly serverName: string | undefined;
  readonly clientAddress: string;
  /** That the request came over; undefined when it is gone. */
  readonly connection: ClientConnection | undefined;
  /** A body follows the headers. */
  readonly hasBody: boolean;
  /** The whole request has been read. */
  readonly isComplete: boolean;
  /** Where the body is read; whoever reads must know that destroying it ends the client's connection or stream. */
  readonly body: Readable;
  /** Of the request, flat; known after its end. */
  readonly trailers: readonly string[];
  /** Nothing more can be said to the client. */
  readonly isClosed: boolean;
  /** The whole answer went out. */
  readonly isAnswered: boolean;
  /** `100 Continue`. */
  writeContinue(): void;
  /**
   * Sends the head of the answer, together with what is written in the same turn. `headers` are flat and belong to the stream from now on.
   * Throws when they cannot be sent in this protocol.
   */
  respond(status: number, message: string, headers: string[], form: AnswerForm): void;
  /** False when the client does not keep up; `onDrain` tells when it does again. */
  write(chunk: Buffer): boolean;
  onDrain(listener: () => void): void;
  end(last: Buffer | undefined, trailers: readonly string[]): void;
  /** Breaks the answer off, so that the client cannot take a part for the whole. `code`: of HTTP/2, RFC 9113, 7. */
  reset(code?: number): void;
  /** Calls back once, when the answer is out or the client has left. */
  onClose(listener: () => void): void;
  /** After an answer that did not wait for the whole body: lets the client see the answer, then ends what it still sends. */
  dismiss(lingerMs: number): void;
}

/** A client's TLS connection, or what stands for it. */
export interface ClientConnection {
  once(event: 'close', listener: () => void): unknown;
}

export interface AnswerForm {
  /** There will be no body. */
  empty: boolean;
  /** Trailers may follow. */
  trailers: boolean;
}
