// One raw QEMU process for the floor: no namespace, no sandbox, no verification, nothing synced. What QEMU itself needs, and nothing else.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { get } from 'node:http';
import { join } from 'node:path';
import type { Qmp } from '../src/vmm/qemu/qmp.ts';
import { connectQmp, connectSoon } from '../src/vmm/qemu/vmm-sockets.ts';

export interface FloorPlan {
  directory: string;
  guestDirectory: string;
  memoryMib: number;
  disk: string;
  port: number;
  /** `on` writes guest memory through to the base file; `off` maps it copy-on-write. */
  share: 'on' | 'off';
  incoming: boolean;
}

/** The product's machine, with QEMU's user networking in place of a slot. */
function argumentsOf(plan: FloorPlan): string[] {
  const { directory: at, memoryMib, port } = plan;
  const memory = `memory-backend-file,id=m0,size=${memoryMib}M,mem-path=${at}/base.mem,share=${plan.share}`;
  const network = `user,id=n0,net=10.111.0.0/24,host=10.111.0.1,dns=10.111.0.3,dhcpstart=10.111.0.15,hostfwd=tcp:127.0.0.1:${port}-10.111.0.2:8080`;
  const start = [
    '-kernel',
    `${plan.guestDirectory}/vmlinuz`,
    '-initrd',
    `${plan.guestDirectory}/initramfs`,
    '-append',
    'console=ttyS0 quiet panic=-1 tsc=reliable',
  ];
  return [
    ...[
      '-M',
      'pc-q35-7.2,usb=off,smbus=off,vmport=off,sata=off,memory-backend=m0,suppress-vmdesc=on',
      '-accel',
      'tcg,tb-size=64',
    ],
    ...['-cpu', 'max', '-m', String(memoryMib), '-smp', '1', '-nodefaults', '-no-user-config', '-display', 'none'],
    ...['-global', 'migration.send-configuration=off', '-object', memory],
    ...['-netdev', network, '-device', 'virtio-net-pci,netdev=n0,mac=02:57:42:00:00:02,romfile=,guest_announce=off'],
    ...[
      '-blockdev',
      JSON.stringify({ driver: 'qcow2', 'node-name': 'd0', file: { driver: 'file', filename: plan.disk } }),
      '-device',
      'virtio-blk-pci,drive=d0',
    ],
    ...['-serial', `file:${at}/console`, '-qmp', `unix:${at}/qmp,server=on,wait=off`],
    ...['-device', 'virtio-serial-pci,max_ports=3', '-chardev', `socket,id=ctl,path=${at}/control,server=on,wait=off`],
    ...[
      '-device',
      'virtserialport,chardev=ctl,name=waterbear.control',
      ...(plan.incoming ? ['-S', '-incoming', 'defer'] : start),
    ],
  ];
}

export class FloorVm {
  readonly startedMs: number;
  readonly qmp: Qmp;
  readonly process: ChildProcess;
  readonly plan: FloorPlan;

  private constructor(plan: FloorPlan, process: ChildProcess, qmp: Qmp, startedMs: number) {
    this.plan = plan;
    this.process = process;
    this.qmp = qmp;
    this.startedMs = startedMs;
  }

  static async start(plan: FloorPlan): Promise<FloorVm> {
    const startedMs = performance.now();
    const child = spawn('qemu-system-x86_64', argumentsOf(plan), { stdio: ['ignore', 'ignore', 'inherit'] });
    const qmp = await connectQmp(join(plan.directory, 'qmp'), AbortSignal.timeout(30_000));
    return new FloorVm(plan, child, qmp, startedMs);
  }

  get pid(): number {
    return this.process.pid ?? 0;
  }

  control() {
    return connectSoon(join(this.plan.directory, 'control'), AbortSignal.timeout(5_000));
  }

  async load(state: string): Promise<void> {
    await this.qmp.execute('migrate-incoming', { uri: `exec:cat ${state}` });
    while (((await this.qmp.execute('query-status')) as { status: string }).status === 'inmigrate');
    await this.qmp.execute('cont');
  }

  /** Text of one answer of the application. */
  ask(timeoutMs = 5_000): Promise<string> {
    return new Promise((resolve, reject) => {
      const request = get({ host: '127.0.0.1', port: this.plan.port, agent: false, timeout: timeoutMs }, (response) => {
        let text = '';
        response.on('data', (chunk) => {
          text += chunk;
        });
        response.on('end', () => resolve(text));
        response.on('error', reject);
      });
      request.on('timeout', () => request.destroy(new Error('timeout')));
      request.on('error', reject);
    });
  }

  async firstAnswer(): Promise<string> {
    const end = performance.now() + 60_000;
    for (;;) {
      try {
        return await this.ask();
      } catch (error) {
        if (performance.now() > end) throw error;
        await new Promise((resolve) => setTimeout(resolve, 2));
      }
    }
  }

  async end(): Promise<void> {
    const gone = once(this.process, 'exit');
    this.qmp.execute('quit').catch(() => {});
    await gone;
  }
}
