// 2 GiB each way through the gateway, over both versions of HTTP: as in tests/real/clients, but larger than what could be kept anywhere.
import { afterAll, beforeAll } from 'vitest';
import { transferTests } from '../real/clients/transfers.ts';
import { type Guest, openPlace, type Place } from '../support/clients-place.ts';

let place: Place;
let guest: Guest;
beforeAll(async () => {
  place = await openPlace();
  guest = await place.launch();
});
afterAll(() => place?.[Symbol.asyncDispose]());

transferTests(
  () => place,
  () => guest,
  2_048,
  800_000,
);
