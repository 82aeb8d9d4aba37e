import { Duplex } from 'node:stream';
import { expect, test } from 'vitest';
import type { DataPlane } from '../contract/data-plane.ts';
import { Fault } from '../lib/errors.ts';
import { ManualClock } from '../lib/manual-clock.ts';
import { Dialer } from './dial.ts';

const never = new AbortController().signal;

function dialerOn(open: DataPlane['open']) {
  const clock = new ManualClock();
  let attempts = 0;
  const dataPlane: DataPlane = {
    find: () => undefined,
    begin: () => ({ touch() {}, end() {} }),
    awake: () => undefined,
    limiter: () => undefined,
    open: (...args) => {
      attempts += 1;
      return open(...args);
    },
    onLeave() {},
  };
  const dialer = new Dialer({ dataPlane, clock, settleMs: 100, connectTimeoutMs: 1_000 });
  return { dialer, clock, attempts: () => attempts };
}

const refuse = async (): Promise<Duplex> => {
  throw new Fault('guest_failed', { what: 'refused' });
};

test('refusals are tried again every 20 ms until the MicroVM has settled', async () => {
  const { dialer, clock, attempts } = dialerOn(refuse);
  dialer.sawAwake('a');
  const dialled = expect(dialer.dial('a', 80, never)).rejects.toMatchObject({ code: 'guest_failed' });
  await clock.advance(0);
  await clock.advance(200);
  await dialled;
  expect(attempts()).toBe(6);
  await expect(dialer.dial('a', 80, never)).rejects.toMatchObject({ code: 'guest_failed' });
  expect(attempts()).toBe(7);
});

test('it settles anew after it left, and seeing it awake again in between changes nothing', async () => {
  const { dialer, clock, attempts } = dialerOn(refuse);
  dialer.sawAwake('a');
  await clock.advance(200);
  dialer.sawAwake('a');
  await expect(dialer.dial('a', 80, never)).rejects.toMatchObject({ code: 'guest_failed' });
  expect(attempts()).toBe(1);
  dialer.left('a');
  dialer.sawAwake('a');
  const dialled = expect(dialer.dial('a', 80, never)).rejects.toMatchObject({ code: 'guest_failed' });
  await clock.advance(0);
  await clock.advance(200);
  await dialled;
  expect(attempts()).toBe(7);
});

test('other failures are not repeated', async () => {
  const { dialer, attempts } = dialerOn(async () => {
    throw new Fault('conflict', { what: 'asleep' });
  });
  dialer.sawAwake('a');
  await expect(dialer.dial('a', 80, never)).rejects.toMatchObject({ code: 'conflict' });
  expect(attempts()).toBe(1);
});

test('the wait between attempts ends with the request', async () => {
  const { dialer, clock, attempts } = dialerOn(refuse);
  const client = new AbortController();
  dialer.sawAwake('a');
  const dialled = expect(dialer.dial('a', 80, client.signal)).rejects.toMatchObject({ code: 'aborted' });
  await clock.advance(0);
  await clock.advance(30);
  client.abort();
  await dialled;
  await clock.advance(100);
  expect(attempts()).toBe(2);
});

test('an attempt has a deadline', async () => {
  const { dialer, clock } = dialerOn(
    (_id, _port, signal) => new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
  );
  const dialled = expect(dialer.dial('a', 80, never)).rejects.toMatchObject({ code: 'deadline_exceeded' });
  await clock.advance(1_000);
  await dialled;
});

test('a stream that comes after the client has left is closed', async () => {
  const late = new Duplex({ read() {}, write: (_chunk, _encoding, done) => done() });
  const client = new AbortController();
  const { dialer } = dialerOn(async () => {
    client.abort();
    return late;
  });
  await expect(dialer.dial('a', 80, client.signal)).rejects.toMatchObject({ code: 'aborted' });
  expect(late.destroyed).toBe(true);
});
