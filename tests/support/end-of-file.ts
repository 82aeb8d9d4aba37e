// Set-up of each file of tests on real VMs: what its own ends have not closed is closed after them.
import { afterAll } from 'vitest';
import { closeOpenHosts } from './open-hosts.ts';

afterAll(closeOpenHosts);
