// The three proxies and the application behind them, each a process of its own on a processor of its choice.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { run } from '../../src/lib/process.ts';
import type { Tools } from './tools.ts';

const cores = { proxy: '0', load: '1' };

export interface Target {
  name: string;
  port: number;
  /** Request headers that it wants. */
  headers: string[];
  /** Processor seconds it has used so far. */
  cpuSeconds(): number;
  stop(): Promise<void>;
}

export interface Files {
  directory: string;
  key: string;
  cert: string;
}

/** Serves on plain HTTP/1.1, on the processor of the load generator. */
export async function startUpstream(directory: string): Promise<Target> {
  const program = join(directory, 'upstream');
  await run('go', ['build', '-o', program, join(import.meta.dirname, 'upstream.go')], {
    env: { ...process.env, GOCACHE: join(directory, 'go'), GOPROXY: 'off', GOTOOLCHAIN: 'local', GO111MODULE: 'off' },
    timeoutMs: 180_000,
  });
  const child = pinned(cores.load, program, ['127.0.0.1:0'], { GOMAXPROCS: '1' });
  const [line] = await once(child.stdout ?? child, 'data', { signal: AbortSignal.timeout(10_000) });
  return target('application', child, Number(String(line)), []);
}

export async function startForwarder({ key, cert }: Files, upstreamPort: number): Promise<Target> {
  const child = fork('forwarder.ts', [key, cert, String(upstreamPort)]);
  const [port] = await once(child, 'message', { signal: AbortSignal.timeout(30_000) });
  return target('undici', child, port, []);
}

export async function startGateway({ directory, key, cert }: Files, upstreamPort: number): Promise<Target> {
  const own = join(directory, 'gateway');
  mkdirSync(own);
  const child = fork('proxy.ts', [key, cert, String(upstreamPort), own]);
  const [ready] = await once(child, 'message', { signal: AbortSignal.timeout(30_000) });
  return target('waterbear', child, ready.port, [`x-aws-proxy-auth: ${ready.token}`]);
}

/** One worker, access log on, connections to the application kept. Nothing of it lies outside `directory`. */
export async function startNginx(tools: Tools, files: Files, upstreamPort: number): Promise<Target> {
  const own = join(files.directory, 'nginx');
  mkdirSync(own);
  const port = await freePort();
  writeFileSync(join(own, 'nginx.conf'), nginxConfig(own, files, port, upstreamPort));
  const args = ['-p', own, '-c', join(own, 'nginx.conf'), '-e', join(own, 'error.log')];
  const child = pinned(cores.proxy, tools.nginx, args, tools.env);
  const deadline = Date.now() + 10_000;
  while (!workerOf(child)) {
    if (Date.now() > deadline) throw new Error(`nginx did not start: ${readFileSync(join(own, 'error.log'), 'utf8')}`);
    await sleep(50);
  }
  return target('nginx', child, port, [], workerOf(child));
}

const nginxConfig = (own: string, { key, cert }: Files, port: number, upstreamPort: number): string => `
daemon off; user root; worker_processes 1; pid ${own}/pid; error_log ${own}/error.log;
events { worker_connections 1024; }
http {
  access_log ${own}/access.log combined buffer=64k;
  client_body_temp_path ${own}/body; proxy_temp_path ${own}/proxy;
  fastcgi_temp_path ${own}/fastcgi; scgi_temp_path ${own}/scgi; uwsgi_temp_path ${own}/uwsgi;
  keepalive_requests 100000000; proxy_max_temp_file_size 0;
  upstream application { server 127.0.0.1:${upstreamPort}; keepalive 128; keepalive_requests 100000000; }
  server {
    listen 127.0.0.1:${port} ssl http2;
    ssl_certificate ${cert}; ssl_certificate_key ${key};
    location / { proxy_pass http://application; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host; }
  }
}
`;

function fork(file: string, args: string[]): ChildProcess {
  const all = ['-c', cores.proxy, process.execPath, join(import.meta.dirname, file), ...args];
  return spawn('taskset', all, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
}

function pinned(core: string, command: string, args: string[], env: NodeJS.ProcessEnv): ChildProcess {
  const stdio = ['ignore', 'pipe', 'inherit'] as const;
  return spawn('taskset', ['-c', core, command, ...args], { stdio: [...stdio], env: { ...process.env, ...env } });
}

/** `cpuPid`: the process that works, where that is not the child itself. */
function target(name: string, child: ChildProcess, port: number, headers: string[], cpuPid = child.pid): Target {
  return {
    name,
    port,
    headers,
    cpuSeconds: () => cpuSecondsOf(cpuPid),
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill('SIGTERM');
      await once(child, 'exit');
    },
  };
}

/** Fields 14 and 15 of proc(5) `stat`, in ticks of 10 ms. */
function cpuSecondsOf(pid: number | undefined): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

function workerOf({ pid }: ChildProcess): number | undefined {
  const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
  return text === '' ? undefined : Number(text.split(' ')[0]);
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
