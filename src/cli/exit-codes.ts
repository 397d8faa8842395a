/**
 * Exit codes: what a script can tell from how a command ended. The one table of error codes to exit codes.
 *
 * A code that is not listed exits with `failed`; so a new error needs a line here only if scripts should tell it apart.
 */
import { ClusterError } from '../core/fault.js';

export const EXIT = {
  ok: 0,
  failed: 1,
  /**
   * The command itself is wrong: its options, its arguments, or what it names (a file, host, source, snapshot, path …) is
   * not there, is not the only one, or is there already; or it is one for another host, or for another kind of source.
   * Nothing was done.
   */
  usage: 2,
  /** Some of the source, or a snapshot, could not be read, or not all could be restored, or set as it was. The rest was done. */
  incomplete: 3,
  noCluster: 10,
  serviceNotRunning: 11,
  /**
   * Not a member, not admitted, without the key that the command needs, or run by a user whom the service does not
   * answer or who may not write in its state folder.
   */
  notAllowed: 12,
  underReplicated: 20,
  /** A source is missing, or its newest snapshot is too old. */
  stale: 21,
  drillFailed: 22,
  interrupted: 130,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

const EXIT_OF: Readonly<Record<string, ExitCode>> = {
  ALREADY_IN_CLUSTER: EXIT.usage,
  BAD_ADDRESS: EXIT.usage,
  BAD_ADMIN_REQUEST: EXIT.usage,
  BAD_ARGUMENT: EXIT.usage,
  BAD_DURATION: EXIT.usage,
  BAD_INVITE: EXIT.usage,
  BAD_NAME: EXIT.usage,
  BAD_PATH_TEXT: EXIT.usage,
  BAD_SIZE: EXIT.usage,
  BAD_SOURCE_SPEC: EXIT.usage,
  CONTROL_BAD_REQUEST: EXIT.usage,
  CONTROL_PATH_TOO_LONG: EXIT.usage,
  FILE_UNREADABLE: EXIT.usage,
  HOST_UNKNOWN: EXIT.usage,
  INPUT_TOO_LONG: EXIT.usage,
  NEEDS_YES: EXIT.usage,
  NOT_ARCHIVED: EXIT.usage,
  NOT_A_STORE: EXIT.usage,
  NO_STORE: EXIT.usage,
  NO_SUCH_HOST: EXIT.usage,
  NO_SUCH_VERSION: EXIT.usage,
  NO_SUCH_STORE: EXIT.usage,
  ORIGIN_ELSEWHERE: EXIT.usage,
  PATH_UNKNOWN: EXIT.usage,
  POLICY_INVALID: EXIT.usage,
  POLICY_LAYOUT: EXIT.usage,
  REPLACE_REFUSED: EXIT.usage,
  SNAPSHOT_AMBIGUOUS: EXIT.usage,
  SNAPSHOT_UNKNOWN: EXIT.usage,
  SOURCE_AMBIGUOUS: EXIT.usage,
  SOURCE_ARCHIVED: EXIT.usage,
  SOURCE_EXISTS: EXIT.usage,
  SOURCE_NEEDED: EXIT.usage,
  SOURCE_UNKNOWN: EXIT.usage,
  STORES_OF_SEVERAL: EXIT.usage,
  STORE_EXISTS: EXIT.usage,
  STORE_UNKNOWN: EXIT.usage,
  STORE_UNREADABLE: EXIT.usage,
  TARGET_IN_STORE: EXIT.usage,
  TARGET_IN_USE: EXIT.usage,
  TARGET_NOT_EMPTY: EXIT.usage,
  TARGET_NOT_FOLDER: EXIT.usage,
  TARGET_OPEN_TO_OTHERS: EXIT.usage,
  TOKEN_DAMAGED: EXIT.usage,
  TOKEN_TOO_NEW: EXIT.usage,
  TREE_UNKNOWN: EXIT.usage,

  NO_CLUSTER: EXIT.noCluster,
  NO_STATE_FOLDER: EXIT.noCluster,

  SERVICE_NOT_RUNNING: EXIT.serviceNotRunning,

  CONTROL_FORBIDDEN: EXIT.notAllowed,
  IDENTITY_MISSING: EXIT.notAllowed,
  KEY_OF_ANOTHER_HOST: EXIT.notAllowed,
  KEY_REVOKED: EXIT.notAllowed,
  NO_ADMIN_KEY: EXIT.notAllowed,
  NOT_A_MEMBER: EXIT.notAllowed,
  NOT_AN_ADMIN: EXIT.notAllowed,
  POLICY_WITHHELD: EXIT.notAllowed,
  STATE_OF_ANOTHER_USER: EXIT.notAllowed,
  TOKEN_EXPIRED: EXIT.notAllowed,
  TOKEN_OTHER_CLUSTER: EXIT.notAllowed,
  TOKEN_REFUSED: EXIT.notAllowed,
  TOKEN_UNKNOWN: EXIT.notAllowed,
  TOKEN_USED_UP: EXIT.notAllowed,
  TOKEN_CLOSED: EXIT.notAllowed,

  WAIT_TIMEOUT: EXIT.underReplicated,

  NOTHING_TRIED: EXIT.drillFailed,

  INTERRUPTED: EXIT.interrupted,
};

/** True when the error, or a cause of it, is this abort's reason or an `AbortError`: some listeners throw their own. */
export function isInterruption(error: unknown, reason: unknown): boolean {
  for (let one = error; one instanceof Error; one = one.cause)
    if (one === reason || one.name === 'AbortError') return true;
  return false;
}

export function exitCodeFor(error: unknown): ExitCode {
  return (error instanceof ClusterError ? EXIT_OF[error.code] : undefined) ?? EXIT.failed;
}
