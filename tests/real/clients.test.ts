// Real clients against real VMs, through the gateway's threads as `waterbear serve` runs them. One server and one image for all: they cost most.
import { afterAll, beforeAll, describe } from 'vitest';
import { type Guest, openPlace, type Place } from '../support/clients-place.ts';
import { browserTests } from './clients/browser.ts';
import { curlTests } from './clients/curl.ts';
import { grpcTests } from './clients/grpc.ts';
import { transferTests } from './clients/transfers.ts';
import { wakeTests } from './clients/wakes.ts';

let place: Place;
let guest: Guest;
beforeAll(async () => {
  place = await openPlace();
  guest = await place.launch();
});
afterAll(() => place?.[Symbol.asyncDispose]());

const here = [() => place, () => guest] as const;

describe('curl', () => curlTests(...here));
describe('gRPC', () => grpcTests(...here));
describe('browser', () => browserTests(...here));
describe('transfers', () => transferTests(...here, 256, 120_000));
describe('wakes', () => wakeTests(here[0]));
