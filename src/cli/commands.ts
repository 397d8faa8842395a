/**
 * Commands: all of them, in the order of the help, each in a file that is loaded only when it is needed.
 *
 * Loading them all takes a sixth of the processor time of a command that does little: 30 ms of 170.
 */
import type { Command } from 'commander';
import type { Run } from './run.js';

interface NamedCommand {
  /** What a person types: the command's name, then its aliases. */
  readonly names: readonly string[];
  readonly load: () => Promise<(run: Run) => Command>;
  /** It only reports. Every other command runs to its end after its reader has closed the pipe, and exits as usual. */
  readonly tells?: true;
}

export const COMMANDS: readonly NamedCommand[] = [
  { names: ['init'], load: async () => (await import('./init.js')).initCommand },
  { names: ['invite'], load: async () => (await import('./invite.js')).inviteCommand },
  { names: ['join'], load: async () => (await import('./join.js')).joinCommand },
  { names: ['up'], load: async () => (await import('./up.js')).upCommand },
  { names: ['config'], load: async () => (await import('./config.js')).configCommand },
  { names: ['status'], load: async () => (await import('./status.js')).statusCommand, tells: true },
  { names: ['hosts'], load: async () => (await import('./hosts.js')).hostsCommand, tells: true },
  { names: ['doctor'], load: async () => (await import('./doctor.js')).doctorCommand, tells: true },
  { names: ['drain'], load: async () => (await import('./drain.js')).drainCommand },
  { names: ['revoke'], load: async () => (await import('./revoke.js')).revokeCommand },
  { names: ['replace'], load: async () => (await import('./replace.js')).replaceCommand },
  { names: ['admin'], load: async () => (await import('./admin.js')).adminCommand },
  { names: ['leave'], load: async () => (await import('./leave.js')).leaveCommand },
  { names: ['key'], load: async () => (await import('./key.js')).keyCommand },
  { names: ['pause'], load: async () => (await import('./pause.js')).pauseCommand },
  { names: ['resume'], load: async () => (await import('./pause.js')).resumeCommand },
  { names: ['backup'], load: async () => (await import('./backup.js')).backupCommand },
  { names: ['snapshots'], load: async () => (await import('./snapshots.js')).snapshotsCommand, tells: true },
  { names: ['forget'], load: async () => (await import('./forget.js')).forgetCommand },
  { names: ['ls'], load: async () => (await import('./ls.js')).lsCommand, tells: true },
  { names: ['find'], load: async () => (await import('./find.js')).findCommand, tells: true },
  { names: ['diff'], load: async () => (await import('./diff.js')).diffCommand, tells: true },
  { names: ['dump'], load: async () => (await import('./dump.js')).dumpCommand, tells: true },
  {
    names: ['ls-replicas', 'whereis'],
    load: async () => (await import('./ls-replicas.js')).lsReplicasCommand,
    tells: true,
  },
  { names: ['explain'], load: async () => (await import('./explain.js')).explainCommand, tells: true },
  { names: ['survive'], load: async () => (await import('./survive.js')).surviveCommand, tells: true },
  { names: ['restore'], load: async () => (await import('./restore.js')).restoreCommand },
  { names: ['tree'], load: async () => (await import('./tree.js')).treeCommand },
  { names: ['drill'], load: async () => (await import('./drill.js')).drillCommand },
  { names: ['scrub'], load: async () => (await import('./scrub.js')).scrubCommand },
  { names: ['rebuild-index'], load: async () => (await import('./rebuild-index.js')).rebuildIndexCommand },
  { names: ['simulate'], load: async () => (await import('./simulate.js')).simulateCommand, tells: true },
];

/** Every command that the words name, since an option's value or an argument may be such a name; all if none is. */
export function commandsIn(words: readonly string[]): readonly NamedCommand[] {
  const named = COMMANDS.filter(({ names }) => names.some(name => words.includes(name)));
  return named.length > 0 ? named : COMMANDS;
}
