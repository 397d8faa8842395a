/**
 * State owner: which user a state folder belongs to, and what to type where the service does not run.
 *
 * Its content belongs to the service's user alone. Root could write there too, but what it wrote would be closed to
 * the service, which then starts with its right to read all files but cannot sign, or does not start at all. So a
 * command that writes there without the service does it as that user or not at all.
 *
 * Asked by those commands, and by the control API's client when nobody answers.
 */
import { statSync } from 'node:fs';
import { readAccountNames } from '../catalog/account-names.js';
import { ClusterError } from '../core/fault.js';
import { LOCK_NAME, lockHolder } from '../platform/lock.js';

/** Where a system service has its state folder. */
export const SYSTEM_STATE_FOLDER = '/var/lib/scatterhoard';

/** How a system service is started. On macOS it is the user's own. */
const SYSTEM_START: Partial<Record<NodeJS.Platform, string>> = {
  linux: 'sudo systemctl start scatterhoard',
  freebsd: 'sudo service scatterhoard start',
};

/** The commands that write in the state folder themselves. */
export type WritingCommand = 'init' | 'join' | 'rebuild-index' | 'up';

/**
 * Called before anything is written. A folder that does not exist yet will be this user's.
 * @throws ClusterError STATE_OF_ANOTHER_USER
 */
export function mustOwnState(stateDir: string, command: WritingCommand): void {
  const owner = otherOwner(stateDir);
  if (owner === undefined) return;
  const advice = command === 'up' ? startText(owner, stateDir) : `Type ${asOwner(owner, stateDir, `${command} …`)}.`;
  throw new ClusterError(
    'STATE_OF_ANOTHER_USER',
    `${stateDir} belongs to ${userText(owner)}, who could not use what ${userText(process.geteuid?.())} writes there; nothing was done. ${advice}`,
    { blame: 'operator' },
  );
}

/** What to do when nobody answers. */
export function notRunningText(stateDir: string): string {
  const pid = lockHolder(`${stateDir}/${LOCK_NAME}`);
  if (pid !== undefined)
    return `The service is starting or ending: process ${pid} has the state folder. Wait and try again; the service's log says how far it is.`;
  const owner = otherOwner(stateDir);
  return owner === undefined ? "Start it with 'cluster up'." : startText(owner, stateDir);
}

function startText(owner: number, stateDir: string): string {
  const system = SYSTEM_START[process.platform];
  const byHand = asOwner(owner, stateDir, 'up');
  return system === undefined
    ? `Start the service with ${byHand}.`
    : `Start the service with '${system}', or, where it is not a system service, with ${byHand}.`;
}

/** `sudo` passes no environment on, so the folder is named, unless it is the default. */
function asOwner(owner: number, stateDir: string, command: string): string {
  const who = owner === 0 ? '' : ` -u ${readAccountNames().user(owner) || `'#${owner}'`}`;
  const where = stateDir === SYSTEM_STATE_FOLDER ? '' : ` --state ${stateDir}`;
  return `'sudo${who} cluster${where} ${command}'`;
}

/** The owner of the folder, if it is another user. */
function otherOwner(stateDir: string): number | undefined {
  const owner = statSync(stateDir, { throwIfNoEntry: false })?.uid;
  return owner === process.geteuid?.() ? undefined : owner;
}

function userText(uid: number | undefined): string {
  const name = uid === undefined ? '' : readAccountNames().user(uid);
  return name === '' ? `user ${uid}` : `the user ${name}`;
}
