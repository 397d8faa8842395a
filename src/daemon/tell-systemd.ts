/** Tell systemd: tells systemd that the service is ready, where systemd started it and wants to know. */
import { execFile } from 'node:child_process';
import type { Logger } from 'pino';

/** Node has no datagram sockets of the unix kind, so this runs systemd's own tool. */
export function tellSystemd(log: Logger): void {
  if (process.env.NOTIFY_SOCKET === undefined) return;
  execFile('systemd-notify', ['--ready', `--pid=${process.pid}`], error => {
    if (error !== null)
      log.warn({ code: 'SYSTEMD_NOT_TOLD', err: error }, 'systemd could not be told that the service is ready');
  });
}
